//! A program's own routes next to Rill's, on connections that the program itself accepts.

mod support;

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use rill::config::Config;
use rill::http::{Front, Mount};
use rill::node::Node;
use serde_json::json;
use support::*;
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

type BoxError = Box<dyn Error + Send + Sync>;
type Answer = hyper::Response<BoxBody<Bytes, BoxError>>;

/// A body that says what it is told to, when it is told to.
struct Told(UnboundedReceiver<&'static str>);

impl Body for Told {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx).map(|text| match text? {
            "break" => Some(Err("broken".into())),
            "panic" => panic!("a body's fault"),
            text => Some(Ok(Frame::data(Bytes::from(text)))),
        })
    }
}

fn whole(text: impl Into<Bytes>) -> Answer {
    hyper::Response::new(Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed())
}

/// Says which route was taken; some of them misbehave.
async fn answer(request: hyper::Request<Incoming>, told: Arc<Telling>) -> Result<Answer, BoxError> {
    let route = format!("{} {}", request.method(), request.uri());
    match request.uri().path() {
        "/panic" => panic!("a fault of the program"),
        "/error" => Err("another fault of the program".into()),
        "/echo" => Ok(whole(request.into_body().collect().await?.to_bytes())),
        "/told" => {
            let (tell, body) = unbounded_channel();
            let _ = told.0.send(tell);
            Ok(hyper::Response::new(Told(body).boxed()))
        }
        _ => Ok(whole(route)),
    }
}

/// Where the bodies of `/told` can be told what to say.
struct Telling(UnboundedSender<UnboundedSender<&'static str>>);

/// A program with an accept loop of its own on a port and on a unix socket.
struct Program {
    runtime: Runtime,
    node: Node,
    address: SocketAddr,
    dir: TempDir,
    bodies: UnboundedReceiver<UnboundedSender<&'static str>>,
    leave: oneshot::Sender<()>,
    accepting: JoinHandle<Front>,
}

impl Program {
    fn start(settings: &[(&'static str, &'static str)]) -> Program {
        let base = [("dev", "true"), ("log.store", "memory"), ("shards", "1")];
        let config = Config::of(base.iter().chain(settings).copied()).expect("settings");
        let runtime = Runtime::new().expect("a runtime");
        let (tell, bodies) = unbounded_channel();
        let told = Arc::new(Telling(tell));
        let routes = service_fn(move |request| answer(request, Arc::clone(&told)));
        let mount = Arc::new(Mount::new(routes).keeping(&["/", "/metrics"]));
        let dir = TempDir::with_prefix("rill-").expect("a directory");
        let path = dir.path().join("socket");
        let (leave, mut left) = oneshot::channel::<()>();
        let (node, address, accepting) = runtime.block_on(async {
            let node = Node::start(&config).expect("a node");
            let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let unix = UnixListener::bind(path).expect("a unix socket");
            let (server, address) = (Arc::clone(node.server()), tcp.local_addr());
            let accepting = tokio::spawn(async move {
                let front = Front::default();
                loop {
                    let socket = tokio::select! {
                        accepted = tcp.accept() => accepted.expect("a connection").0.into(),
                        accepted = unix.accept() => accepted.expect("a connection").0.into(),
                        _ = &mut left => return front,
                    };
                    tokio::spawn(server.serve_connection(socket, &mount, &front));
                }
            });
            (node, address.expect("an address"), accepting)
        });
        Program { runtime, node, address, dir, bodies, leave, accepting }
    }

    fn connect(&self) -> Peer {
        Peer::tcp(self.address)
    }

    #[track_caller]
    fn send(&self, request: &Request) -> Response {
        self.connect().exchange(request)
    }

    /// The answer to `GET /told`, and what says its body.
    #[track_caller]
    fn told(&mut self, peer: &mut Peer) -> UnboundedSender<&'static str> {
        peer.send(get("/told").bytes());
        let body = self.bodies.blocking_recv().expect("a body");
        assert_eq!(peer.head().status, 200);
        body
    }

    /// Takes no more connections, and drains within this time.
    fn drain(self, within: Duration) -> (Runtime, Node) {
        self.leave.send(()).expect("a loop that accepts");
        let front = self.runtime.block_on(self.accepting).expect("a front");
        let until = Instant::now() + within;
        self.runtime.block_on(self.node.drain(&mut [front], until));
        (self.runtime, self.node)
    }
}

const STREAM: &str = "/notifications/stream";

#[test]
fn one_connection_serves_both_until_a_stream_takes_it() {
    let program = Program::start(&[]);
    let mut streams = Vec::new();
    for mut peer in [program.connect(), Peer::unix(&program.dir.path().join("socket"))] {
        assert_eq!(peer.exchange(&get("/a?b=c")).text(), "GET /a?b=c");
        assert_eq!(peer.exchange(&get("/healthz")).text(), r#"{"status":"alive"}"#);
        assert_eq!(peer.exchange(&post("/echo", "said")).text(), "said");
        // Pipelined, so that the seat has to wait for the answer before it.
        peer.send([get("/z").bytes(), get(STREAM).bearer(&user("ann")).bytes()].concat());
        assert_eq!(peer.response(false).text(), "GET /z");
        let mut stream = Stream::answer(peer);
        let body = json!({ "userId": "ann", "message": "M" });
        let sent = post("/notifications/send", body.to_string()).bearer(&publisher());
        let (id, _) = program.send(&sent).accepted();
        stream.assert_next(&id);
        streams.push(stream);
    }
    assert_eq!(program.node.hub().stats().connections, 2);
}

#[test]
fn what_is_not_rills_is_the_programs_whatever_it_looks_like() {
    let program = Program::start(&[("http.allowed_hosts", "app.example")]);
    for (method, target) in [
        ("BREW", "/coffee"),
        ("OPTIONS", "/a"),
        ("PUT", "/notifications/stream/"),
        ("GET", "/a%2Fb/../%00"),
        ("DELETE", "/healthz%2F"),
        // Rill's own, kept by the program.
        ("GET", "/"),
        ("GET", "/metrics"),
        ("POST", "/%6Detrics"),
    ] {
        let answer = program.send(&request(method, target));
        assert_eq!(answer.assert_status(200).text(), format!("{method} {target}"));
        assert_eq!(answer.head.value("access-control-allow-origin"), None, "{target}");
    }
    let head = program.send(&request("HEAD", "/abc"));
    head.assert_status(200).head.assert_value("content-length", "9");
    // Rill's have Rill's manners.
    program.send(&get("/healthz")).assert_problem(421);
    let ours =
        |method, target| request(method, target).without("Host").field("Host", "app.example");
    program.send(&ours("POST", "/healthz")).assert_problem(405);
    program.send(&ours("OPTIONS", STREAM)).assert_status(204);
    program.send(&ours("GET", "/api/sse/users/a%0Ab")).assert_problem(400);
}

#[test]
fn a_fault_of_the_program_costs_one_request() {
    let program = Program::start(&[]);
    let mut stream = Stream::open(program.connect(), &get(STREAM).bearer(&user("ann")));
    let mut peer = program.connect();
    for target in ["/panic", "/error", "/panic"] {
        let fault = peer.exchange(&get(target));
        assert_eq!(fault.assert_status(500).json()["code"], 500);
        assert!(!fault.text().contains("program"), "{}", fault.text());
    }
    assert_eq!(peer.exchange(&get("/a")).text(), "GET /a");
    let sent = post("/notifications/send", r#"{"message":"M"}"#).bearer(&user("ann"));
    let (id, _) = peer.exchange(&sent).accepted();
    stream.assert_next(&id);
}

#[test]
fn a_body_may_be_a_stream_of_its_own() {
    let mut program = Program::start(&[]);
    let mut peer = program.connect();
    let body = program.told(&mut peer);
    for text in ["one", "two"] {
        body.send(text).expect("it is read");
        assert_eq!(peer.piece(), Piece::Chunk(text.into()));
    }
    drop(body);
    assert_eq!(peer.piece(), Piece::Last);
    // The connection goes on, up to a body that breaks.
    for fault in ["break", "panic"] {
        let body = program.told(&mut peer);
        body.send(fault).expect("it is read");
        assert_eq!(peer.piece(), Piece::Cut);
        peer = program.connect();
    }
    // Whoever leaves is noticed.
    let body = program.told(&mut peer);
    drop(peer);
    program.runtime.block_on(async {
        tokio::time::timeout(PATIENCE, body.closed()).await.expect("a body that is dropped");
    });
}

#[test]
fn every_head_keeps_to_the_same_bounds() {
    let program = Program::start(&[("http.head_timeout", "1s"), ("http.keep_alive", "200ms")]);
    let many = (0..64).fold(get("/a"), |request, _| request.field("X", "y"));
    program.send(&many).assert_problem(431);
    program.send(&get("/a").field("Host", "b")).assert_problem(400);
    let mut slow = program.connect();
    slow.send("GET /a HTTP/1.1\r\n");
    slow.assert_ended();
    let mut kept = program.connect();
    kept.exchange(&get("/a")).assert_status(200);
    kept.assert_ended();
}

#[test]
fn a_drain_tells_streams_and_lets_answers_finish() {
    let mut program = Program::start(&[]);
    let mut stream = Stream::open(program.connect(), &get(STREAM).bearer(&user("ann")));
    let mut idle = program.connect();
    idle.exchange(&get("/a")).assert_status(200);
    let mut talking = program.connect();
    let body = program.told(&mut talking);
    let drained = std::thread::spawn(move || program.drain(PATIENCE));
    stream.next().assert_disconnected("shutdown");
    stream.assert_ended();
    idle.assert_ended();
    body.send("last words").expect("it is read");
    drop(body);
    assert_eq!(talking.piece(), Piece::Chunk("last words".into()));
    assert_eq!(talking.piece(), Piece::Last);
    talking.assert_ended();
    let (runtime, node) = drained.join().expect("a drain");
    let hub = Arc::clone(node.hub());
    node.stop();
    let name = rill::event::Name::new("late").expect("a name");
    assert!(runtime.block_on(hub.broadcast_message(&name, &1)).is_err());
}

#[test]
fn a_drain_does_not_wait_longer_than_it_may() {
    let mut program = Program::start(&[]);
    let mut talking = program.connect();
    let _body = program.told(&mut talking);
    let begun = Instant::now();
    let (runtime, node) = program.drain(Duration::from_millis(300));
    assert!(begun.elapsed() < ONE_SECOND, "{:?}", begun.elapsed());
    node.stop();
    runtime.shutdown_background();
}
