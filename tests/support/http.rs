//! A peer that says exactly what it is told to and shows exactly what it was answered.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{PATIENCE, Request};

/// What comes next in a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Chunk(Vec<u8>),
    /// `0 CRLF CRLF`
    Last,
    /// The connection ended without the last chunk.
    Cut,
}

/// One connection to the server.
pub(crate) struct Peer {
    socket: BufReader<Socket>,
}

impl Peer {
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        Self::from_socket(
            Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket"),
            &address.into(),
        )
    }

    pub(crate) fn unix(path: &Path) -> Self {
        let address = SockAddr::unix(path).expect("a path that fits");
        Self::from_socket(Socket::new(Domain::UNIX, Type::STREAM, None).expect("socket"), &address)
    }

    /// Connects a socket that the test has prepared.
    pub(crate) fn from_socket(socket: Socket, address: &SockAddr) -> Self {
        socket.connect(address).unwrap_or_else(|error| panic!("connect to {address:?}: {error}"));
        socket.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        socket.set_write_timeout(Some(PATIENCE)).expect("write timeout");
        Self { socket: BufReader::with_capacity(64 * 1024, socket) }
    }

    pub(crate) fn socket(&self) -> &Socket {
        self.socket.get_ref()
    }

    /// A second handle on the same connection, for a thread that writes while another reads.
    pub(crate) fn writer(&self) -> Socket {
        self.socket().try_clone().expect("a second handle")
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let mut socket = self.socket();
        socket.write_all(bytes.as_ref()).expect("the server takes bytes");
    }

    /// Sends and takes the whole answer. An event stream is left after its head.
    #[track_caller]
    pub(crate) fn exchange(&mut self, request: &Request) -> Response {
        self.send(request.bytes());
        self.response(request.is_head())
    }

    #[track_caller]
    pub(crate) fn response(&mut self, to_head: bool) -> Response {
        let head = self.head();
        let bare = to_head || head.is_stream() || matches!(head.status, 100..200 | 204 | 304);
        let body = if bare { Vec::new() } else { self.body(&head) };
        Response { head, body }
    }

    /// The body that this head announces, to its end.
    #[track_caller]
    pub(crate) fn body(&mut self, head: &Head) -> Vec<u8> {
        match head.value("content-length") {
            Some(length) => self.exactly(length.parse().expect("a length")).expect("a whole body"),
            None if head.value("transfer-encoding").is_some() => self.chunks(),
            None => self.rest(),
        }
    }

    #[track_caller]
    pub(crate) fn head(&mut self) -> Head {
        let mut raw = Vec::new();
        while !raw.ends_with(b"\r\n\r\n") {
            let line =
                self.line().unwrap_or_else(|| panic!("the server hung up after {:?}", lossy(&raw)));
            raw.extend(line);
        }
        Head::parse(&raw)
    }

    /// One line with its LF, or none when the connection ended before it did.
    #[track_caller]
    pub(crate) fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        ended(self.socket.read_until(b'\n', &mut line));
        line.ends_with(b"\n").then_some(line)
    }

    #[track_caller]
    pub(crate) fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        match self.socket.read_exact(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => None,
            result => (ended(result.map(|()| 1)) == 1).then_some(bytes),
        }
    }

    #[track_caller]
    pub(crate) fn piece(&mut self) -> Piece {
        let Some(line) = self.line() else { return Piece::Cut };
        let digits = line.strip_suffix(b"\r\n").map(lossy).expect("a chunk's size ends in CRLF");
        let size = usize::from_str_radix(&digits, 16)
            .unwrap_or_else(|_| panic!("{digits:?} is no chunk size"));
        let Some(mut chunk) = self.exactly(size + 2) else { return Piece::Cut };
        assert_eq!(chunk.split_off(size), b"\r\n", "what ends a chunk");
        if size == 0 { Piece::Last } else { Piece::Chunk(chunk) }
    }

    #[track_caller]
    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            match self.piece() {
                Piece::Chunk(chunk) => body.extend(chunk),
                Piece::Last => return body,
                Piece::Cut => panic!("the body was cut off after {:?}", lossy(&body)),
            }
        }
    }

    /// Everything up to the end of the connection.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        ended(self.socket.read_to_end(&mut rest));
        rest
    }

    /// What one read gives.
    #[track_caller]
    pub(crate) fn read_once(&mut self) -> Vec<u8> {
        let bytes = match self.socket.fill_buf() {
            Ok(bytes) => bytes.to_vec(),
            Err(error) => vec![0; ended(Err(error))],
        };
        self.socket.consume(bytes.len());
        bytes
    }

    /// The server has nothing more to say and says so with a FIN (or a RST).
    #[track_caller]
    pub(crate) fn assert_ended(&mut self) {
        assert_eq!(lossy(&self.rest()), "", "after the end");
    }

    /// Sends FIN: the client has nothing more to say.
    pub(crate) fn finish(&self) {
        match self.socket().shutdown(Shutdown::Write) {
            // The server has hung up altogether.
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            result => result.expect("FIN"),
        }
    }

    /// Closes with RST, as a killed client with unread bytes does.
    pub(crate) fn abort(self) {
        self.socket().set_linger(Some(Duration::ZERO)).expect("linger");
    }
}

/// A reset ends a connection as a FIN does; silence fails the test.
#[track_caller]
fn ended(read: io::Result<usize>) -> usize {
    match read {
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
        Err(error) => panic!("the server sent nothing for {PATIENCE:?}: {error}"),
    }
}

pub(super) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A status line and fields.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) version: String,
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    #[track_caller]
    fn parse(raw: &[u8]) -> Self {
        let text = std::str::from_utf8(raw).expect("a head is text");
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let line = lines.next().expect("split gives one at least");
        let (version, rest) =
            line.split_once(' ').unwrap_or_else(|| panic!("{line:?} is no status line"));
        let status = rest.get(..3).and_then(|code| code.parse().ok());
        let field = |line: &str| {
            let (name, value) =
                line.split_once(':').unwrap_or_else(|| panic!("{line:?} is no field"));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Self {
            version: version.to_owned(),
            status: status.unwrap_or_else(|| panic!("{line:?} has no status")),
            fields: lines.map(field).collect(),
        }
    }

    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let values = self.fields.iter().filter(|(known, _)| known == name);
        values.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a field that may be there once.
    #[track_caller]
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        match self.values(name)[..] {
            [] => None,
            [value] => Some(value),
            _ => panic!("{name} more than once in {self:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn assert_value(&self, name: &str, value: &str) {
        assert_eq!(self.value(name), Some(value), "{name} in {self:?}");
    }

    /// `Retry-After` in whole seconds.
    #[track_caller]
    pub(crate) fn assert_retry_after(&self) {
        let seconds = self.value("retry-after").expect("Retry-After");
        assert!(seconds.parse::<u32>().is_ok(), "Retry-After: {seconds}");
    }

    /// The server says that it will close, which is what it does without being asked only here.
    #[track_caller]
    pub(crate) fn assert_close(&self) {
        self.assert_value("connection", "close");
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.values("content-type").iter().any(|value| value.starts_with("text/event-stream"))
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    pub(crate) fn text(&self) -> Cow<'_, str> {
        lossy(&self.body)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    #[track_caller]
    pub(crate) fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status(), status, "{:?} {}", self.head, self.text());
        self
    }

    /// A refusal as the contract words it: `application/problem+json` with
    /// `type,title,status,detail` and the guide's `error` and `code`.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16) -> &Self {
        self.assert_status(status);
        self.head.assert_value("content-type", "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["code"], status, "{problem}");
        assert!(
            problem["error"].as_str().is_some_and(|error| reasons(status).contains(&error)),
            "{problem}"
        );
        for member in ["type", "title", "detail"] {
            assert!(
                problem[member].as_str().is_some_and(|text| !text.is_empty()),
                "{member} in {problem}"
            );
        }
        self
    }

    #[track_caller]
    pub(crate) fn detail(&self) -> String {
        self.json()["detail"].as_str().expect("a detail").to_owned()
    }
}

/// The phrases of RFC 9110, section 15, and RFC 6585; before it two were called otherwise, and the `http` crate still does.
fn reasons(status: u16) -> &'static [&'static str] {
    match status {
        400 => &["Bad Request"],
        401 => &["Unauthorized"],
        403 => &["Forbidden"],
        404 => &["Not Found"],
        405 => &["Method Not Allowed"],
        406 => &["Not Acceptable"],
        408 => &["Request Timeout"],
        409 => &["Conflict"],
        413 => &["Content Too Large", "Payload Too Large"],
        414 => &["URI Too Long"],
        415 => &["Unsupported Media Type"],
        417 => &["Expectation Failed"],
        421 => &["Misdirected Request"],
        422 => &["Unprocessable Content", "Unprocessable Entity"],
        429 => &["Too Many Requests"],
        431 => &["Request Header Fields Too Large"],
        501 => &["Not Implemented"],
        503 => &["Service Unavailable"],
        507 => &["Insufficient Storage"],
        _ => panic!("no test expects {status}"),
    }
}

impl Response {
    /// The answer to a publish that succeeded, byte for byte; its id and its number of subscribers.
    #[track_caller]
    pub(crate) fn published(&self) -> (String, u64) {
        self.assert_status(200).accepted()
    }

    /// The same whatever the durability promises: 200, or 202 where nothing is kept.
    #[track_caller]
    pub(crate) fn accepted(&self) -> (String, u64) {
        assert!(
            self.head
                .value("content-type")
                .is_some_and(|kind| kind.starts_with("application/json")),
            "{self:?}"
        );
        let answer = self.json();
        let id = answer["id"].as_str().unwrap_or_else(|| panic!("no id: {answer}")).to_owned();
        let subscribers =
            answer["subscribers"].as_u64().unwrap_or_else(|| panic!("no number: {answer}"));
        assert_eq!(
            self.text(),
            format!(r#"{{"success":true,"id":"{id}","subscribers":{subscribers}}}"#)
        );
        (id, subscribers)
    }
}
