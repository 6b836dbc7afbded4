//! HTTP/1 at its edges: what is refused, how, and that the connection is closed where what follows cannot be trusted.

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use support::*;

const NOTIFY: &str = "/notifications/send";
const BODY: &str = r#"{"message":"M"}"#;
const SECOND: Duration = Duration::from_secs(1);

/// These bytes are refused with `status`, and what follows them is not answered.
#[track_caller]
fn assert_refused_and_closed(server: &Server, bytes: &[u8], status: u16) {
    let mut peer = server.connect();
    let follow = get("/healthz").bytes();
    peer.send([bytes, &follow].concat());
    peer.response(false).assert_status(status);
    peer.assert_ended();
}

fn notify() -> Request {
    post(NOTIFY, BODY).bearer(&user("ann"))
}

fn unsized_notify() -> Request {
    notify().without("Content-Length")
}

const CHUNKED: &str = "f\r\n{\"message\":\"M\"}\r\n0\r\n\r\n";

#[test]
fn a_length_and_a_coding_are_400() {
    let server = Server::start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    let request = unsized_notify().body(CHUNKED);
    let length = CHUNKED.len().to_string();
    let first =
        request.clone().field("Content-Length", &length).field("Transfer-Encoding", "chunked");
    let second =
        request.clone().field("Transfer-Encoding", "chunked").field("Content-Length", &length);
    for request in [first, second] {
        assert_refused_and_closed(&server, &request.bytes(), 400);
    }
    let id = server.notify("ann", "the first");
    stream.assert_next(&id);
}

#[test]
fn any_coding_but_chunked_is_refused() {
    let server = Server::start();
    let with =
        |coding: &str| unsized_notify().field("Transfer-Encoding", coding).body(CHUNKED).bytes();
    for coding in ["gzip, chunked", "gzip", "identity", "chunked, chunked", "chunked, gzip"] {
        let mut peer = server.connect();
        peer.send(with(coding));
        let status = peer.response(false).status();
        assert!(matches!(status, 400 | 501), "{status} for {coding}");
        peer.assert_ended();
    }
    assert_refused_and_closed(&server, &with("rot13"), 501);
}

#[test]
fn two_coding_fields_are_refused() {
    let server = Server::start();
    let request = unsized_notify()
        .field("Transfer-Encoding", "chunked")
        .field("Transfer-Encoding", "chunked");
    assert_refused_and_closed(&server, &request.body(CHUNKED).bytes(), 400);
}

#[test]
fn a_coding_on_1_0_is_400() {
    let server = Server::start();
    let request = unsized_notify().http_1_0().field("Transfer-Encoding", "chunked").body(CHUNKED);
    assert_refused_and_closed(&server, &request.bytes(), 400);
}

#[test]
fn lengths_that_differ_or_are_no_numbers_are_400() {
    let server = Server::start();
    let with = |length: &str| unsized_notify().field("Content-Length", length);
    for request in [
        with("15").field("Content-Length", "16"),
        with("-1"),
        with("1x"),
        with("+15"),
        with("15, 16"),
    ] {
        assert_refused_and_closed(&server, &request.body(BODY).bytes(), 400);
    }
}

#[test]
fn chunks_that_are_none_are_no_event() {
    let server = Server::start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    for body in
        ["x\r\n", "f\r\n{\"message\":\"M\"}0\r\n\r\n", "-1\r\n\r\n", "ffffffffffffffffff\r\n\r\n"]
    {
        let mut peer = server.connect();
        peer.send(unsized_notify().field("Transfer-Encoding", "chunked").body(body).bytes());
        peer.finish();
        let answer = String::from_utf8_lossy(&peer.rest()).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let id = server.notify("ann", "the first");
    stream.assert_next(&id);
}

#[test]
fn what_is_no_http_is_400_or_nothing() {
    let server = Server::start();
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".as_slice(),
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: rill\r\nno colon\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: rill\r\na b: c\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: rill\r\na: \0\r\n\r\n",
    ] {
        let mut peer = server.connect();
        peer.send(bytes);
        let answer = String::from_utf8_lossy(&peer.rest()).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    server.send(&get("/healthz")).assert_status(200);
}

#[test]
fn one_host_exactly() {
    let server = Server::start();
    let bare = get("/healthz").without("Host");
    server.send(&bare).assert_status(400);
    server.send(&bare.clone().field("Host", "a").field("Host", "b")).assert_status(400);
    server.send(&bare.http_1_0()).assert_status(200);
}

#[test]
fn a_target_may_have_8_kib() {
    let server = Server::start();
    let target = |length: usize| format!("{:x<length$}", "/system/status?");
    server.send(&get(&target(8192))).assert_status(200);
    assert_refused_and_closed(&server, &get(&target(8193)).bytes(), 414);
}

#[test]
fn a_head_may_have_16_kib() {
    let server = Server::start();
    let with = |length: usize| get("/system/status").field("X-Padding", "x".repeat(length));
    server.send(&with(15 * 1024)).assert_status(200);
    assert_refused_and_closed(&server, &with(17 * 1024).bytes(), 431);
}

#[test]
fn a_head_may_have_64_fields() {
    let server = Server::start();
    let with = |fields: usize| {
        (1..fields).fold(get("/system/status"), |all, n| all.field(&format!("X-{n}"), "x"))
    };
    server.send(&with(64)).assert_status(200);
    assert_refused_and_closed(&server, &with(65).bytes(), 431);
}

#[test]
fn a_head_that_is_not_whole_in_time_is_closed() {
    let server = rill().env("RILL_HTTP_HEAD_TIMEOUT", "1s").start();
    let started = Instant::now();
    let mut peer = server.connect();
    let mut writer = peer.writer();
    peer.send("GET /healthz HTTP/1.1\r\nHost: rill\r\nX-Slow: ");
    let dripping = std::thread::spawn(move || {
        while writer.write_all(b"x").is_ok() {
            std::thread::sleep(SECOND / 20);
        }
    });
    let answer = peer.rest();
    assert!(
        (SECOND * 9 / 10..FIVE_SECONDS).contains(&started.elapsed()),
        "{:?}",
        started.elapsed()
    );
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 408 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    drop(peer);
    dripping.join().expect("the writer ends when the server hangs up");
}

#[test]
fn an_idle_connection_is_kept_for_longer_than_a_head_may_take() {
    let server = rill().env("RILL_HTTP_HEAD_TIMEOUT", "1s").start();
    let mut peer = server.connect();
    peer.exchange(&get("/healthz")).assert_status(200);
    std::thread::sleep(SECOND * 5 / 2);
    peer.exchange(&get("/healthz")).assert_status(200);
}

#[test]
fn an_idle_connection_is_closed_in_the_end() {
    let server = rill().env("RILL_HTTP_KEEP_ALIVE", "1s").start();
    let mut peer = server.connect();
    peer.exchange(&get("/healthz")).assert_status(200);
    let started = Instant::now();
    peer.assert_ended();
    assert!(
        (SECOND * 8 / 10..FIVE_SECONDS).contains(&started.elapsed()),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn requests_may_be_pipelined() {
    let server = Server::start();
    let mut peer = server.connect();
    peer.send(
        [
            get("/healthz").bytes(),
            notify().bytes(),
            get("/nowhere").bytes(),
            get("/healthz").bytes(),
        ]
        .concat(),
    );
    for status in [200, 200, 404, 200] {
        peer.response(false).assert_status(status);
    }
}

#[test]
fn a_connection_that_is_to_close_is_closed() {
    let server = Server::start();
    let request = get("/healthz");
    for request in [request.clone().field("Connection", "close"), request.http_1_0()] {
        let mut peer = server.connect();
        peer.exchange(&request).assert_status(200);
        peer.assert_ended();
    }
}

#[test]
fn a_stream_may_follow_requests_on_its_connection() {
    let server = Server::start();
    let mut peer = server.connect();
    peer.exchange(&get("/healthz")).assert_status(200);
    peer.exchange(&notify()).assert_status(200);
    peer.exchange(&get("/notifications/stream")).assert_problem(401);
    let mut stream = Stream::open(peer, &get("/notifications/stream").bearer(&user("ann")));
    let id = server.notify("ann", "hello");
    stream.assert_next(&id);
}

#[test]
fn a_stream_may_be_pipelined_behind_a_request() {
    let server = Server::start();
    let mut peer = server.connect();
    let listen = get("/notifications/stream").bearer(&user("ann"));
    peer.send([get("/healthz").bytes(), listen.bytes()].concat());
    peer.response(false).assert_status(200);
    let mut stream = Stream::answer(peer);
    let id = server.notify("ann", "hello");
    stream.assert_next(&id);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Server::start();
    let mut peer = server.connect();
    peer.socket().set_tcp_nodelay(true).expect("no delay");
    for byte in notify().bytes() {
        peer.send([byte]);
    }
    peer.response(false).published();
}

/// A body that was refused is no request, however much it looks like one.
#[test]
fn the_body_of_a_refused_request_is_not_answered() {
    let server = Server::start();
    let hidden = get("/hidden").bytes();
    let last = get("/healthz").field("Connection", "close").bytes();
    for refused in [
        post("/nowhere", hidden.clone()),
        post(NOTIFY, hidden.clone()),
        post("/system/status", hidden.clone()),
        post(NOTIFY, hidden.clone()).bearer(DEMO).without("Content-Type"),
        post(NOTIFY, hidden.clone()).bearer(DEMO),
        post("/nowhere", "")
            .without("Content-Length")
            .field("Content-Length", "300000")
            .body(hidden.repeat(8000)),
    ] {
        let mut peer = server.connect();
        let refused = refused.bytes();
        // The server may hang up, and then what follows is not taken.
        let _ = peer.socket().write_all(&[&refused[..], &last].concat());
        assert!((400..500).contains(&peer.response(false).status()));
        let rest = String::from_utf8_lossy(&peer.rest()).into_owned();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 200 "), "{rest}");
        assert!(rest.matches("HTTP/1.1").count() <= 1, "{rest}");
    }
}

#[test]
fn who_expects_to_be_told_to_continue_is_told() {
    let server = Server::start();
    let mut peer = server.connect();
    peer.send(notify().field("Expect", "100-continue").body("").bytes());
    assert_eq!(peer.head().status, 100);
    peer.send(BODY);
    peer.response(false).published();
}

#[test]
fn other_expectations_are_417() {
    let server = Server::start();
    server.send(&notify().field("Expect", "a miracle")).assert_status(417);
}

#[test]
fn paths_that_can_be_read_in_two_ways_are_400() {
    let server = Server::start();
    for path in [
        "/notifications%2Fstream",
        "/notifications%2fstream",
        "/notifications%5Cstream",
        "/notifications/stream%00",
        "/notifications/stre%2561m",
        "/./system/status",
        "/system/./status",
        "/x/../system/status",
        "/%2e%2E/system/status",
        "/system/%2e/status",
        "/system/status/..",
        "/system/stat%us",
        "/system/status%",
        "/system/status%7",
        "/system/%zzstatus",
        "/system/status#top",
    ] {
        let status = server.send(&get(path).bearer(DEMO)).status();
        assert_eq!(status, 400, "{path}");
    }
}

#[test]
fn other_paths_are_404() {
    let server = Server::start();
    for path in [
        "/nowhere",
        "/notifications/stream/",
        "/system/status/",
        "/healthz/",
        "/presence/",
        "/presence/rooms/",
        "/sse/conversations/c/members/",
        "/chat/rooms/r/members/",
        "/api/sse/users/",
        "/api/sse/connections/",
        "/System/status",
        "/notifications",
    ] {
        let response = server.send(&get(path).bearer(DEMO));
        response.assert_problem(404);
        assert_eq!(response.head.value("location"), None);
    }
}

#[test]
fn an_escaped_path_is_the_plain_one() {
    let server = Server::start();
    server.send(&get("/%73ystem/statu%73")).assert_status(200);
    server.stream("/notifications/str%65%61m", DEMO);
    server.publish("/notifications/s%65nd", DEMO, BODY);
}

#[test]
fn a_query_that_is_no_utf8_is_400() {
    let server = Server::start();
    for query in ["x=%FF", "%C3=1", "room=%ED%A0%80"] {
        server.send(&get(&format!("/chat/stream?{query}")).bearer(DEMO)).assert_status(400);
    }
}
