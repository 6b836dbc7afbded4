//! Bodies that are no JSON, no JSON of ours, too much of it, or never whole. None becomes an event; most of the tests
//! end with one that does.

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use support::*;

const NOTIFY: &str = "/notifications/send";
const LIMIT: usize = 256 * 1024;

/// The stream of ann, who is sent what is tried here.
fn listen(server: &Server) -> Stream {
    server.stream("/notifications/stream", &user("ann"))
}

fn notify(body: impl Into<Vec<u8>>) -> Request {
    post(NOTIFY, body).bearer(&user("ann"))
}

/// Nothing of what was tried has become an event, and the next event does.
#[track_caller]
fn assert_nothing_came(server: &Server, stream: &mut Stream) {
    let id = server.notify("ann", "the first");
    stream.assert_next(&id);
}

#[test]
fn what_is_no_json_is_400() {
    let server = Server::start();
    let mut stream = listen(&server);
    let bodies: [&[u8]; 22] = [
        b"",
        b" ",
        b"{",
        b"}",
        b"{\"message\":\"M\"",
        b"{\"message\":\"M\"}}",
        b"{\"message\":\"M\"} {\"message\":\"N\"}",
        b"{\"message\":\"M\",}",
        b"{\"message\":\"M",
        b"{\"message\":}",
        b"{'message':'M'}",
        b"{message:\"M\"}",
        b"{\"message\":\"M\" /* comment */}",
        b"{\"message\":\"a\nb\"}",
        b"{\"message\":\"\\x41\"}",
        b"{\"message\":\"M\",\"n\":01}",
        b"{\"message\":\"M\",\"n\":NaN}",
        b"\xff\xfe{\0}\0",
        b"{\"message\":\"\xff\"}",
        b"{\"message\":\"\xc0\xaf\"}",
        b"{\"message\":\"\xed\xa0\x80\"}",
        b"{\"message\":\"M\",\"\xc3\":1}",
    ];
    for body in bodies {
        server.send(&notify(body)).assert_problem(400);
    }
    assert_nothing_came(&server, &mut stream);
}

#[test]
fn invalid_utf8_inside_data_is_400() {
    let server = Server::start();
    let body =
        b"{\"entityType\":\"t\",\"entityId\":\"1\",\"action\":\"updated\",\"data\":[\"\xff\"]}";
    server.send(&post("/realtime/update", *body).bearer(DEMO)).assert_problem(400);
}

#[test]
fn what_is_no_object_is_refused() {
    let server = Server::start();
    for body in ["[]", "[{\"message\":\"M\"}]", "\"M\"", "5", "null", "true"] {
        let status = server.send(&notify(body)).status();
        assert!(matches!(status, 400 | 422), "{status} for {body}");
    }
}

#[test]
fn lone_surrogates_are_400() {
    let server = Server::start();
    for text in [
        r"\ud800",
        r"\udc00",
        r"a\uDBFFb",
        r"\ud800\ud800",
        r"\udc00\ud800",
        r"\ud800\n",
        r"\ud83dA\ude00",
    ] {
        server.send(&notify(format!(r#"{{"message":"{text}"}}"#))).assert_problem(400);
        let body = format!(
            r#"{{"entityType":"t","entityId":"1","action":"updated","data":{{"a":["{text}"]}}}}"#
        );
        server.send(&post("/realtime/update", body).bearer(DEMO)).assert_problem(400);
        let body = format!(
            r#"{{"entityType":"t","entityId":"1","action":"updated","data":{{"{text}":1}}}}"#
        );
        server.send(&post("/realtime/update", body).bearer(DEMO)).assert_problem(400);
    }
    let mut stream = listen(&server);
    server.send(&notify(r#"{"message":"\ud83d\ude00"}"#)).assert_status(200);
    assert_eq!(stream.next().text("message"), "😀");
}

#[test]
fn repeated_top_level_members_are_400() {
    let server = Server::start();
    for body in [
        r#"{"message":"M","message":"N"}"#,
        r#"{"message":"M","message":"M"}"#,
        r#"{"message":"M","m\u0065ssage":"N"}"#,
        r#"{"message":"M","userId":"ann","userId":"bob"}"#,
        r#"{"message":"M","unlisted":1,"unlisted":1}"#,
    ] {
        server.send(&notify(body)).assert_problem(400);
    }
}

/// An update whose body is nested `depth` deep, its own braces counted.
fn nested(depth: usize) -> String {
    let data = format!("{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    format!(r#"{{"entityType":"t","entityId":"1","action":"updated","data":{data}}}"#)
}

#[test]
fn a_body_nested_128_deep_is_kept() {
    let server = Server::start();
    let mut stream = server.stream("/realtime/stream", DEMO);
    let id = server.publish("/realtime/update", DEMO, nested(128));
    let data = format!("{}{}", "[".repeat(127), "]".repeat(127));
    let payload =
        r#"{"entityType":"t","entityId":"1","action":"updated","data":$data,"timestamp":"$now"}"#;
    stream.next().assert(Some(&id), "update", &payload.replace("$data", &data));
}

#[test]
fn deeper_bodies_are_kept_or_refused_but_harm_nobody() {
    let server = Server::start();
    for depth in [200, 1000, 100_000] {
        let response = server.post("/realtime/update", DEMO, nested(depth));
        if response.status() != 200 {
            response.assert_problem(400);
        }
        let open = format!(r#"{{"message":{}"#, "[".repeat(depth));
        server.send(&notify(open)).assert_problem(400);
        let unlisted = format!(
            r#"{{"message":"M","x":{}{}}}"#,
            "{\"a\":".repeat(depth / 4),
            "0".to_owned() + &"}".repeat(depth / 4)
        );
        assert!(matches!(server.send(&notify(unlisted)).status(), 200 | 400));
    }
    server.notify("ann", "still here");
}

#[test]
fn another_media_type_is_415() {
    let server = Server::start();
    let body = r#"{"message":"M"}"#;
    let bare = notify(body).without("Content-Type");
    server.send(&bare).assert_problem(415);
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "application/problem+json",
        "json",
        "",
    ] {
        server.send(&bare.clone().field("Content-Type", kind)).assert_problem(415);
    }
    for kind in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
    ] {
        server.send(&bare.clone().field("Content-Type", kind)).assert_status(200);
    }
}

#[test]
fn a_content_coding_is_415() {
    let server = Server::start();
    for coding in ["gzip", "br", "deflate, gzip"] {
        server
            .send(&notify(r#"{"message":"M"}"#).field("Content-Encoding", coding))
            .assert_problem(415);
    }
}

/// A notification whose body has exactly this many bytes.
fn sized(length: usize) -> String {
    let frame = r#"{"message":""}"#;
    format!(r#"{{"message":"{}"}}"#, "x".repeat(length - frame.len()))
}

#[test]
fn a_body_may_have_256_kib() {
    let server = Server::start();
    let mut stream = listen(&server);
    server.send(&notify(sized(LIMIT))).assert_status(200);
    assert_eq!(stream.next().text("message").len(), LIMIT - r#"{"message":""}"#.len());
    let refused = server.send(&notify(sized(LIMIT + 1)));
    refused.assert_problem(413).head.assert_close();
    assert_nothing_came(&server, &mut stream);
}

#[test]
fn a_declared_size_is_refused_before_the_body() {
    let server = Server::start();
    let started = Instant::now();
    let request = notify("").without("Content-Length").field("Content-Length", "5000000");
    let mut peer = server.connect();
    peer.exchange(&request).assert_problem(413).head.assert_close();
    assert!(started.elapsed() < ONE_SECOND, "{:?}", started.elapsed());
}

#[test]
fn a_refused_body_that_is_sent_on_does_not_hide_the_refusal() {
    let server = Server::start();
    let bare = notify("").without("Content-Length");
    let sized = bare.clone().field("Content-Length", "5000000");
    let chunked = bare.field("Transfer-Encoding", "chunked");
    for (head, block) in [
        (sized, vec![b' '; 0x1000]),
        (chunked, [b"1000\r\n", &[b' '; 0x1000][..], b"\r\n"].concat()),
    ] {
        let mut peer = server.connect();
        peer.send(head.bytes());
        for _ in 0..5_000_000 / 0x1000 {
            // The server may hang up after a mebibyte, as the contract says.
            if peer.socket().write_all(&block).is_err() {
                break;
            }
        }
        peer.response(false).assert_problem(413).head.assert_close();
    }
}

#[test]
fn a_body_that_stalls_is_408() {
    let server = rill().env("RILL_HTTP_BODY_TIMEOUT", "1s").start();
    let mut stream = listen(&server);
    let mut peer = server.connect();
    let started = Instant::now();
    peer.send(notify(r#"{"message":"M"}"#).bytes().split_last().expect("bytes").1);
    let response = peer.response(false);
    response.assert_problem(408);
    assert!(
        (Duration::from_millis(900)..FIVE_SECONDS).contains(&started.elapsed()),
        "{:?}",
        started.elapsed()
    );
    peer.assert_ended();
    assert_nothing_came(&server, &mut stream);
}

#[test]
fn a_body_that_drips_is_408() {
    let server = rill().env("RILL_HTTP_BODY_TIMEOUT", "1s").start();
    let mut peer = server.connect();
    let mut writer = peer.writer();
    peer.send(notify("").without("Content-Length").field("Content-Length", "1000").bytes());
    let dripping = std::thread::spawn(move || {
        while writer.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    peer.response(false).assert_problem(408);
    peer.assert_ended();
    drop(peer);
    dripping.join().expect("the writer ends when the server hangs up");
}

#[test]
fn a_body_that_ends_early_is_no_event() {
    let server = Server::start();
    let mut stream = listen(&server);
    let whole = notify(r#"{"message":"M"}"#).without("Content-Length");
    let sized = whole.clone().field("Content-Length", "100");
    let chunked = whole.field("Transfer-Encoding", "chunked").body("f\r\n{\"message\":\"M\"}\r\n");
    for request in [sized, chunked] {
        let mut peer = server.connect();
        peer.send(request.bytes());
        peer.finish();
        let answer = peer.rest();
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_nothing_came(&server, &mut stream);
}

#[test]
fn a_chunked_body_is_a_body() {
    let server = Server::start();
    let mut stream = listen(&server);
    let request = notify("").without("Content-Length").field("Transfer-Encoding", "chunked");
    let body = "5;extension=1\r\n{\"mes\r\nA\r\nsage\":\"M\"}\r\n0\r\nTrailer: x\r\n\r\n";
    let (id, _) = server.send(&request.body(body)).published();
    stream.assert_next(&id);
}
