//! The servers that are compared with, each for real and driven as the load client does it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::Value;
use socket2::Socket;
use tempfile::TempDir;

use crate::axum_server;
use crate::descendants::descendants;
use crate::endpoint::Endpoint;
use crate::nchan::Nchan;
use crate::send_loop::SendLoop;
use crate::stamp::{Scope, Stamp};
use crate::stop::Stop;
use crate::wire::{Answer, AnswerReader, Item, StreamReader};

const LIMIT: Duration = Duration::from_secs(20);

/// One item of a stream.
#[derive(Debug, PartialEq)]
enum Heard {
    Comment,
    Event { id: String, kind: String, data: String },
    End,
}

/// An open stream.
struct Listening {
    socket: Socket,
    reader: StreamReader,
    heard: VecDeque<Heard>,
    bytes: usize,
}

impl Listening {
    /// Opens one, and waits until it is live.
    fn open(endpoint: &Endpoint, path: &str, fields: &str) -> (Listening, Heard) {
        let mut socket = endpoint.connect_blocking(LIMIT).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n{fields}\r\n",
            endpoint.host()
        );
        socket.write_all(request.as_bytes()).unwrap();
        let (reader, heard) = (StreamReader::default(), VecDeque::new());
        let mut listening = Listening { socket, reader, heard, bytes: 0 };
        let first = listening.next();
        (listening, first)
    }

    fn next(&mut self) -> Heard {
        let mut buffer = [0; 4096];
        while self.heard.is_empty() {
            let length = self.socket.read(&mut buffer).unwrap();
            assert!(length > 0, "the stream ended");
            self.bytes += length;
            let heard = &mut self.heard;
            let mut keep = |item: Item<'_>| heard.extend(Heard::of(item));
            self.reader.feed(&buffer[..length], &mut keep).unwrap();
        }
        self.heard.pop_front().unwrap()
    }

    /// The next event's id and data.
    fn event(&mut self) -> (String, String) {
        match self.next() {
            Heard::Event { id, data, .. } => (id, data),
            other => panic!("no event: {other:?}"),
        }
    }
}

impl Heard {
    fn of(item: Item<'_>) -> Option<Heard> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Some(match item {
            Item::Head => return None,
            Item::Comment => Heard::Comment,
            Item::End => Heard::End,
            Item::Event(event) => Heard::Event {
                id: text(event.id.unwrap_or_default()),
                kind: text(event.kind),
                data: text(event.data.as_deref().unwrap_or_default()),
            },
        })
    }
}

/// A publisher's keep-alive connection.
struct Publisher {
    socket: Socket,
    reader: AnswerReader,
}

impl Publisher {
    fn connect(endpoint: &Endpoint) -> Publisher {
        let socket = endpoint.connect_blocking(LIMIT).unwrap();
        Publisher { socket, reader: AnswerReader::default() }
    }

    fn ask(&mut self, line: &str, body: &str) -> Answer {
        let request = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.socket.write_all(request.as_bytes()).unwrap();
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.read(&mut buffer).unwrap();
            assert!(length > 0, "the connection was not kept");
            if let Some(answer) = self.reader.feed(&buffer[..length]).unwrap() {
                return answer;
            }
        }
    }

    /// Publishes and returns the answer's member `id`.
    fn publish(&mut self, path: &str, body: &str, id: &str) -> String {
        let answer = self.ask(&format!("POST {path}"), body);
        assert_eq!(answer.status / 100, 2, "{answer:?}");
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer[id].as_str().unwrap().to_owned()
    }
}

fn message(k: u32) -> (Stamp, String) {
    let stamp = Stamp { scope: Scope::Lane(3), k, t: 1_000_000_000 + u64::from(k) };
    (stamp, format!(r#"{{"message":"{stamp}"}}"#))
}

/// Broadcasts over one connection; all streams get all of it in order, with the ids of the answers.
fn broadcast(endpoint: &Endpoint, path: &str, id: &str, streams: &mut [Listening]) {
    let mut publisher = Publisher::connect(endpoint);
    for k in 0..20 {
        let (stamp, body) = message(k);
        let id = publisher.publish(path, &body, id);
        for stream in &mut *streams {
            let (heard, data) = stream.event();
            assert_eq!((heard, Stamp::find(data.as_bytes())), (id.clone(), Some(stamp)));
        }
    }
}

/// One of each kind, in a directory of their own.
fn endpoints() -> (TempDir, [Endpoint; 2]) {
    let directory = tempfile::tempdir().unwrap();
    let unix = Endpoint::Unix(directory.path().join("s"));
    (directory, [Endpoint::Tcp("127.0.0.1:0".parse().unwrap()), unix])
}

#[test]
fn send_loop_sends_exact_frames_to_all() {
    let (_directory, endpoints) = endpoints();
    for endpoint in endpoints {
        let (listener, endpoint) = endpoint.listen().unwrap();
        let (control, theirs) = UnixStream::pair().unwrap();
        let send_loop = SendLoop::new(listener, theirs, 300).unwrap();
        let send_loop = thread::spawn(move || send_loop.run());
        let mut streams = ["/stream?user=1", "/stream"].map(|path| {
            let (stream, first) = Listening::open(&endpoint, path, "Authorization: x\r\n");
            let (id, kind, data) = ("0-0.loop".into(), "connected".into(), "{}".into());
            assert_eq!(first, Heard::Event { id, kind, data });
            stream
        });
        let heads = streams.each_ref().map(|stream| stream.bytes);
        broadcast(&endpoint, "/publish", "id", &mut streams);
        for (stream, head) in streams.iter().zip(heads) {
            assert_eq!(stream.bytes - head, 20 * 300);
        }
        let mut publisher = Publisher::connect(&endpoint);
        for (line, body) in [("GET /", ""), ("POST /publish", "no stamp"), ("PUT /stream", "")] {
            assert_eq!(publisher.ask(line, body).status, 404, "{line}");
        }
        drop(control);
        send_loop.join().unwrap().unwrap();
    }
}

#[test]
fn send_loop_refuses_what_is_not_http() {
    let (listener, endpoint) = Endpoint::Tcp("127.0.0.1:0".parse().unwrap()).listen().unwrap();
    let (_control, theirs) = UnixStream::pair().unwrap();
    let send_loop = SendLoop::new(listener, theirs, 300).unwrap();
    thread::spawn(move || send_loop.run());
    let mut socket = endpoint.connect_blocking(LIMIT).unwrap();
    socket.write_all(b"\x16\x03\x01").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn axum_server_tells_all_and_one() {
    let (_directory, endpoints) = endpoints();
    for endpoint in endpoints {
        let (listener, endpoint) = endpoint.listen().unwrap();
        let (control, theirs) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || axum_server::run(listener, theirs));
        let mut streams = ["ann", "bob"].map(|user| {
            let path = format!("/stream?user={user}");
            let (stream, first) = Listening::open(&endpoint, &path, "");
            assert!(matches!(first, Heard::Event { kind, .. } if kind == "connected"));
            stream
        });
        broadcast(&endpoint, "/publish", "id", &mut streams);
        let mut publisher = Publisher::connect(&endpoint);
        for user in ["bob", "nobody", "ann"] {
            let order = format!(r#"{{"message":"for {user}","user":"{user}"}}"#);
            publisher.publish("/publish", &order, "id");
        }
        let [ann, bob] = &mut streams;
        let event = |id: &str, user: &str| {
            (id.to_owned(), format!(r#"{{"id":"{id}","message":"for {user}"}}"#))
        };
        assert_eq!((ann.event(), bob.event()), (event("23", "ann"), event("21", "bob")));
        broadcast(&endpoint, "/publish", "id", &mut streams);
        drop(control);
        server.join().unwrap().unwrap();
    }
}

#[test]
fn nchan_tells_all_and_one_and_leaves_no_process() {
    let directory = tempfile::tempdir().unwrap();
    for over_unix in [false, true] {
        let stop = Stop::after(LIMIT);
        let nchan = Nchan::start(directory.path(), over_unix, 100, &stop).unwrap();
        let endpoint = nchan.endpoint();
        let open = |channel: &str, fields: &str| {
            let path = format!("/stream?channel={channel}");
            let (stream, first) = Listening::open(endpoint, &path, fields);
            assert_eq!(first, Heard::Comment, "says hi when it is live");
            stream
        };
        let mut streams = ["all", "all"].map(|channel| open(channel, ""));
        let mut both = open("all,u7", "");
        broadcast(endpoint, "/publish?channel=all", "last_message_id", &mut streams);
        let last: Vec<_> = (0..20).map(|_| both.event()).collect();
        let mut publisher = Publisher::connect(endpoint);
        publisher.publish("/publish?channel=u8", "other", "last_message_id");
        publisher.publish("/publish?channel=u7", "own", "last_message_id");
        assert_eq!(both.event().1, "own");
        let mut back = open("all,u7", &format!("Last-Event-ID: {}\r\n", last[18].0));
        // Within a second it replays channel by channel.
        let mut missed = [back.event(), back.event()].map(|event| event.1);
        missed.sort();
        assert_eq!(missed, ["own", &last[19].1]);

        let (master, workers) = (nchan.pid(), descendants(nchan.pid()));
        assert!(!workers.is_empty());
        drop(nchan);
        for pid in workers.into_iter().chain([master]) {
            assert_eq!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH));
        }
    }
}

#[test]
fn nchan_that_cannot_start_is_quoted() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("x".repeat(100));
    std::fs::create_dir(&deep).unwrap();
    let failure = Nchan::start(&deep, true, 1, &Stop::after(LIMIT)).err().unwrap();
    assert!(failure.to_string().contains("too long path in the unix"), "{failure}");
}
