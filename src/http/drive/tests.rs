mod ending;

use super::*;
use http_body_util::{BodyExt, Full};
use hyper::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const TIMEOUTS: Timeouts =
    Timeouts { head: Duration::from_secs(10), keep_alive: Duration::from_secs(75) };

/// A service with one path for each thing that a service may do; it tells which requests began,
/// were done or were dropped.
struct App(mpsc::UnboundedSender<String>);

/// Tells at its drop whether the request was done.
struct Trace<'a>(&'a App, Method, bool);

impl Drop for Trace<'_> {
    fn drop(&mut self) {
        let end = if self.2 { "done" } else { "dropped" };
        let _ = self.0.0.send(format!("{} {end}", self.1));
    }
}

impl Serve for App {
    type Seat = &'static str;
    type Body = Full<Bytes>;

    async fn serve(
        &self,
        request: Request<Incoming>,
        handoff: Handoff<&'static str>,
    ) -> Response<Full<Bytes>> {
        let mut trace = Trace(self, request.method().clone(), false);
        let target = request.uri().to_string();
        let response = match target.as_str() {
            "/stream" => handoff.seat("seat").await,
            "/panic" => panic!("a handler's fault"),
            "/early" => response(413, "too much"),
            "/unread" => response(401, "who?"),
            "/slow" => {
                sleep(Duration::from_secs(5)).await;
                response(200, "slow")
            }
            "/big" => Response::new(Full::from(vec![b'x'; 1 << 20])),
            _ => match request.into_body().collect().await {
                Ok(body) => response(200, &format!("{target}:{:?}", body.to_bytes())),
                Err(_) => response(400, "cut off"),
            },
        };
        trace.2 = true;
        response
    }

    fn refuse(&self, refusal: &HeadRefusal) -> Bytes {
        Bytes::from(format!("HTTP/1.1 {}\r\n\r\n{}", refusal.status, refusal.detail))
    }

    fn fault(&self) -> Response<Full<Bytes>> {
        response(500, "fault")
    }
}

fn response(status: u16, body: &str) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::from(body.to_owned())).unwrap()
}

/// A connection with the driver at its other end.
struct Peer {
    socket: DuplexStream,
    driver: JoinHandle<Outcome<DuplexStream, &'static str>>,
    traces: mpsc::UnboundedReceiver<String>,
    drain: watch::Sender<bool>,
}

fn connect_through(buffer: usize) -> Peer {
    let (socket, theirs) = duplex(buffer);
    let (tell, traces) = mpsc::unbounded_channel();
    let (drain, drained) = watch::channel(false);
    let driver = async move { drive(theirs, &TIMEOUTS, &App(tell), drained).await };
    Peer { socket, driver: tokio::spawn(driver), traces, drain }
}

fn connect() -> Peer {
    connect_through(64 * 1024)
}

impl Peer {
    async fn send(&mut self, bytes: &str) {
        self.socket.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// What comes next, without its Date.
    async fn hear(&mut self) -> String {
        let mut bytes = vec![0; 1 << 16];
        let length = self.socket.read(&mut bytes).await.unwrap();
        undated(&bytes[..length])
    }

    async fn hear_all(&mut self) -> String {
        let mut bytes = Vec::new();
        self.socket.read_to_end(&mut bytes).await.unwrap();
        undated(&bytes)
    }

    async fn ending(self) -> Ending {
        match self.driver.await.unwrap() {
            Outcome::Ended(ending) => ending,
            Outcome::HandedOff { .. } => panic!("handed off"),
        }
    }
}

fn undated(bytes: &[u8]) -> String {
    let text = str::from_utf8(bytes).unwrap();
    text.split_inclusive("\r\n").filter(|line| !line.starts_with("date: ")).collect()
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn closing(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const POST: &str = "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz";
const BARE: &str = "\r\n\nGET /c HTTP/1.1\nHost: h\n\n";
const BAD: &str =
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
const BAD_ANSWER: &str =
    "HTTP/1.1 400 Bad Request\r\n\r\nContent-Length and Transfer-Encoding exclude each other.";
const STREAM: &str = "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn the_driver_may_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let (tell, _) = mpsc::unbounded_channel();
    let app = App(tell);
    is_send(&drive(duplex(1).0, &TIMEOUTS, &app, watch::channel(false).1));
}

#[tokio::test(start_paused = true)]
async fn requests_may_be_split_anywhere() {
    let requests = format!("{GET}{POST}{BARE}{POST}");
    let answers = [ok("/a:b\"\""), ok("/b:b\"xyz\""), ok("/c:b\"\""), ok("/b:b\"xyz\"")].concat();
    for split in 0..=requests.len() {
        let mut peer = connect();
        peer.send(&requests[..split]).await;
        sleep(Duration::from_millis(1)).await;
        peer.send(&requests[split..]).await;
        assert_eq!(peer.hear_all().await, answers, "split at {split}");
        assert_eq!(peer.ending().await, Ending::Idle);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_may_come_byte_by_byte() {
    let peer = connect_through(1);
    let (mut from, mut to) = tokio::io::split(peer.socket);
    let send = async {
        for byte in format!("{GET}{POST}{BARE}").bytes() {
            to.write_all(&[byte]).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
    };
    let mut bytes = Vec::new();
    let (heard, ()) = tokio::join!(from.read_to_end(&mut bytes), send);
    heard.unwrap();
    assert_eq!(undated(&bytes), [ok("/a:b\"\""), ok("/b:b\"xyz\""), ok("/c:b\"\"")].concat());
}

#[tokio::test(start_paused = true)]
async fn blank_lines_are_counted_anew_for_each_request() {
    let mut peer = connect();
    peer.send(&format!("\r\n\r\n{GET}").repeat(20)).await;
    assert_eq!(peer.hear_all().await, ok("/a:b\"\"").repeat(20));
}

#[tokio::test(start_paused = true)]
async fn a_refused_head_is_answered_and_ends_the_connection() {
    let mut peer = connect();
    peer.send(&format!("{BAD}1\r\nx\r\n0\r\n\r\n{GET}")).await;
    assert_eq!(peer.hear_all().await, BAD_ANSWER);
    peer.socket.shutdown().await.unwrap();
    assert_eq!(peer.ending().await, Ending::Refused(StatusCode::BAD_REQUEST));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_become_a_head_is_refused_before_its_end() {
    for (bytes, status) in [
        ("\u{16}\u{3}\u{1}".to_owned(), "400 Bad Request"),
        ("\r\n".repeat(40), "400 Bad Request"),
        (format!("GET /{}", "x".repeat(16 << 10)), "414 URI Too Long"),
        (
            format!("{}A: {}", &GET[..GET.len() - 2], "x".repeat(16 << 10)),
            "431 Request Header Fields Too Large",
        ),
    ] {
        let mut peer = connect();
        peer.send(&bytes).await;
        let heard = peer.hear_all().await;
        assert!(heard.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{heard}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_pipelined_request_is_judged() {
    let mut peer = connect();
    peer.send(&format!("{POST}{GET}{BAD}{GET}")).await;
    assert_eq!(peer.hear_all().await, [&ok("/b:b\"xyz\""), &ok("/a:b\"\""), BAD_ANSWER].concat());
    peer.traces.close();
    assert_eq!(peer.traces.recv().await.as_deref(), Some("POST done"));
    assert_eq!(peer.traces.recv().await.as_deref(), Some("GET done"));
    assert_eq!(peer.traces.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_body_is_never_read_as_a_request() {
    let mut peer = connect();
    let body = format!("{GET}{BAD}");
    let length = body.len();
    let post = format!("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
    peer.send(&format!("{post}{body}{GET}")).await;
    let answer = ok(&format!("/b:{:?}", Bytes::from(body)));
    assert_eq!(peer.hear_all().await, answer + &ok("/a:b\"\""));
}

#[tokio::test(start_paused = true)]
async fn a_chunked_request_is_the_last_one() {
    let mut peer = connect();
    let head = "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    peer.send(&format!("{head}3\r\nxyz\r\n0\r\n\r\n{GET}{STREAM}")).await;
    assert_eq!(peer.hear_all().await, closing("200 OK", "/b:b\"xyz\""));
    drop(peer.socket);
    assert!(matches!(peer.driver.await, Ok(Outcome::Ended(Ending::LastAnswer))));
}

#[tokio::test(start_paused = true)]
async fn a_client_may_wait_for_100_continue() {
    let mut peer = connect();
    peer.send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(peer.hear().await, "HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("xyz").await;
    assert_eq!(peer.hear().await, ok("/b:b\"xyz\""));
    peer.send(GET).await;
    assert_eq!(peer.hear().await, ok("/a:b\"\""));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_ends_the_connection_unless_it_is_there() {
    let mut peer = connect();
    peer.send("POST /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz").await;
    let kept = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 4\r\n\r\nwho?";
    assert_eq!(peer.hear().await, kept);
    peer.send("POST /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n").await;
    assert_eq!(peer.hear_all().await, closing("401 Unauthorized", "who?"));
}

#[tokio::test(start_paused = true)]
async fn http_1_0_and_close() {
    let mut peer = connect();
    peer.send("POST /unread HTTP/1.0\r\nContent-Length: 1\r\n\r\nx").await;
    let heard = peer.hear_all().await;
    assert!(heard.starts_with("HTTP/1.0 401 Unauthorized\r\nconnection: close\r\n"), "{heard}");
    let mut peer = connect();
    peer.send(&format!("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n{GET}")).await;
    assert_eq!(peer.hear_all().await, closing("200 OK", "/a:b\"\""));
}

#[tokio::test(start_paused = true)]
async fn what_hyper_refuses_is_a_bare_400() {
    let mut peer = connect();
    peer.send("GET http:// HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let bare = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(peer.hear_all().await, bare);
    assert_eq!(peer.ending().await, Ending::LastAnswer);
}

#[tokio::test(start_paused = true)]
async fn a_stream_takes_the_socket() {
    for earlier in ["", GET, POST] {
        let mut peer = connect();
        peer.send(&format!("{earlier}{STREAM}read ahead")).await;
        let Ok(Outcome::HandedOff { mut socket, seat }) = peer.driver.await else {
            panic!("not handed off")
        };
        assert_eq!(seat, "seat");
        if !earlier.is_empty() {
            let mut bytes = [0; 4096];
            let length = peer.socket.read(&mut bytes).await.unwrap();
            assert!(bytes[..length].starts_with(b"HTTP/1.1 200 OK\r\n"));
        }
        socket.write_all(b"frame").await.unwrap();
        peer.socket.write_all(b"later").await.unwrap();
        let (mut theirs, mut ours) = ([0; 5], [0; 5]);
        peer.socket.read_exact(&mut theirs).await.unwrap();
        socket.read_exact(&mut ours).await.unwrap();
        assert_eq!((&theirs, &ours), (b"frame", b"later"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_one_request() {
    let mut peer = connect();
    peer.send(&format!("GET /panic HTTP/1.1\r\nHost: h\r\n\r\n{GET}")).await;
    let fault = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 5\r\n\r\nfault";
    assert_eq!(peer.hear_all().await, [fault, &ok("/a:b\"\"")].concat());
    let mut peer = connect();
    peer.send("POST /panic HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n").await;
    assert_eq!(peer.hear_all().await, closing("500 Internal Server Error", "fault"));
}

/// A client of a driver that closes after one connection; real, for its RSTs.
async fn connect_tcp() -> (TcpStream, JoinHandle<Outcome<TcpStream, &'static str>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let driver = async move {
        let (tell, _) = mpsc::unbounded_channel();
        let (_drain, drained) = watch::channel(false);
        drive(socket, &TIMEOUTS, &App(tell), drained).await
    };
    (client, tokio::spawn(driver))
}

#[tokio::test]
async fn a_stream_takes_a_real_socket() {
    let (mut client, driver) = connect_tcp().await;
    client.write_all(format!("{GET}{STREAM}").as_bytes()).await.unwrap();
    let Ok(Outcome::HandedOff { socket, .. }) = driver.await else { panic!("not handed off") };
    let mut socket = socket.into_std().unwrap();
    std::io::Write::write_all(&mut socket, b"frame").unwrap();
    drop(socket);
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(undated(&bytes), ok("/a:b\"\"") + "frame");
}
