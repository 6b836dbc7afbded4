//! A reader that does not keep up costs nobody else anything, is told to go, and can come back without loss.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use socket2::{Domain, Socket, Type};
use support::*;

const LISTEN: &str = "/realtime/stream?entityType=t";
const SECOND: Duration = Duration::from_secs(1);
const EVENT: usize = 200 * 1024;

/// An event of 200 KiB with a number in front.
fn event(n: u64) -> Request {
    let pad = "x".repeat(EVENT);
    let body = format!(
        r#"{{"entityType":"t","entityId":"1","action":"updated","data":{{"n":{n},"pad":"{pad}"}}}}"#
    );
    post("/realtime/update", body).bearer(DEMO)
}

/// Publishes such events, numbered from 0.
fn flood(server: &Server, mut goes_on: impl FnMut(u64) -> bool) {
    let mut peer = server.connect();
    for n in (0..).take_while(|n| goes_on(*n)) {
        peer.exchange(&event(n)).published();
    }
}

#[track_caller]
fn number(event: &Event) -> u64 {
    let data = event
        .data
        .as_deref()
        .and_then(|data| data.split_once(r#""data":{"n":"#)?.1.split_once(','));
    data.unwrap_or_else(|| panic!("no number in {:?}", event.event)).0.parse().expect("a number")
}

/// Asks for a stream and reads nothing yet. Its own receive buffer is small, so that it is soon behind.
fn sluggish(server: &Server, target: &str) -> Peer {
    let connections = server.connections();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
    socket.set_recv_buffer_size(16 * 1024).expect("a receive buffer");
    let mut peer = Peer::from_socket(socket, &server.address().into());
    peer.send(get(target).bearer(&user("slow")).bytes());
    server.wait_for_connections(connections + 1, ONE_SECOND);
    peer
}

/// What is left in a stream: the number of the next event and the last id, and the farewell if there is one.
#[track_caller]
fn drain(mut stream: Stream, pace: Duration) -> (u64, String, Option<Event>) {
    let (mut next, mut cursor) = (0, stream.connected.id().to_owned());
    while let Some(event) = stream.poll() {
        match event.name() {
            "disconnected" => {
                stream.assert_ended();
                return (next, cursor, Some(event));
            }
            "status" | "heartbeat" => {}
            _ => {
                assert_eq!(number(&event), next);
                next += 1;
                cursor = event.id().to_owned();
            }
        }
        std::thread::sleep(pace);
    }
    (next, cursor, None)
}

#[track_caller]
fn assert_rest_is_there(server: &Server, cursor: &str, next: u64, end: u64) {
    let mut stream = server.open(&get(LISTEN).bearer(&user("slow")).cursor(cursor));
    stream.connected.assert_connected(Some("slow"), "full", 30_000);
    for n in next..end {
        assert_eq!(number(&stream.next()), n);
    }
}

#[test]
fn a_reader_that_never_reads_is_dropped_and_comes_back_without_loss() {
    const EVENTS: u64 = 60;
    let server = rill().env("RILL_MAX_LAG", "1s").start();
    let slow = sluggish(&server, LISTEN);
    let mut fast = server.stream(LISTEN, &user("fast"));
    std::thread::scope(|scope| {
        scope.spawn(|| flood(&server, |n| n < EVENTS));
        for n in 0..EVENTS {
            assert_eq!(number(&fast.next()), n);
        }
    });
    server.wait_for_connections(1, SECOND + FIVE_SECONDS);
    assert!(server.memory("VmRSS") < 256 << 20, "{} MiB", server.memory("VmRSS") >> 20);
    let (next, cursor, farewell) = drain(Stream::answer(slow), Duration::ZERO);
    if let Some(farewell) = farewell {
        farewell.assert_disconnected("slow_consumer");
    }
    assert!(next < EVENTS, "it was not slow");
    assert_rest_is_there(&server, &cursor, next, EVENTS);
}

#[test]
fn a_reader_that_reads_too_slowly_is_told_why_it_ends() {
    let server = rill().env("RILL_MAX_LAG", "1s").start();
    let slow = Stream::answer(sluggish(&server, LISTEN));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| flood(&server, |_| !ended.load(Ordering::Relaxed)));
        let (next, cursor, farewell) = drain(slow, SECOND / 10);
        ended.store(true, Ordering::Relaxed);
        farewell.expect("a farewell").assert_disconnected("slow_consumer");
        assert_rest_is_there(&server, &cursor, next, next + 2);
    });
}

#[test]
fn a_reader_that_catches_up_in_time_stays() {
    const EVENTS: u64 = 60;
    let server = Server::start();
    let slow = sluggish(&server, LISTEN);
    flood(&server, |n| n < EVENTS);
    let mut slow = Stream::answer(slow);
    for n in 0..EVENTS {
        assert_eq!(number(&slow.next()), n);
    }
    flood(&server, |n| n < 1);
    assert_eq!(number(&slow.next()), 0);
}

#[test]
fn typing_is_dropped_for_who_is_behind_and_messages_are_not() {
    let server = Server::start();
    let peer = sluggish(&server, "/chat/stream?room=r");
    let mut publisher = server.connect();
    let message = json!({ "roomId": "r", "message": "x".repeat(EVENT) }).to_string();
    let mut send = |path: &str, body: &str| {
        publisher.exchange(&post(path, body).bearer(&user("ann"))).assert_status(200).json()
    };
    let ids: Vec<_> = (0..60).map(|_| send("/chat/send", &message)["id"].clone()).collect();
    send("/chat/typing", r#"{"roomId":"r"}"#);
    let last = send("/chat/send", &message)["id"].clone();
    let mut stream = Stream::answer(peer);
    for id in ids.iter().chain([&last]) {
        assert_eq!(stream.next().id(), id);
    }
}

#[test]
fn idle_is_who_takes_no_byte_of_what_waits_for_him() {
    let server = rill().flags(&["--idle-timeout", "1s"]).start();
    let mut quiet = server.stream("/notifications/stream", &user("quiet"));
    let slow = sluggish(&server, LISTEN);
    flood(&server, |n| n < 60);
    server.wait_for_connections(1, SECOND + FIVE_SECONDS);
    drop(slow);
    let id = server.notify("quiet", "hello");
    quiet.assert_next(&id);
}

/// Whatever retention throws away: a stream has no hole, it ends.
#[test]
fn what_is_no_longer_kept_is_no_hole() {
    const EVENTS: u64 = 60;
    let server = rill().env("RILL_LOG_RETENTION_COUNT", "10").start();
    let start = server.stream(LISTEN, DEMO).connected;
    server.wait_for_connections(0, ONE_SECOND);
    let slow = sluggish(&server, LISTEN);
    flood(&server, |n| n < EVENTS);
    eventually(FIVE_SECONDS, "retention", || {
        server.open(&get(LISTEN).bearer(DEMO).cursor(start.id())).next().name() == "gap"
    });
    let mut slow = Stream::answer(slow);
    for n in 0..EVENTS {
        let Some(event) = slow.poll() else { return };
        if event.name() == "disconnected" {
            event.assert_disconnected("slow_consumer");
            return slow.assert_ended();
        }
        assert_eq!(number(&event), n);
    }
}
