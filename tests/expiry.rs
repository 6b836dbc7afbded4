//! The end of a token under a live stream: told before, put off by a renewal, and kept to.

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::tokens::{in_seconds, jwt, jwt_with, rfc3339, with_tokens};
use support::*;

const PATH: &str = "/notifications/stream";

/// A server that tells a second before.
fn server() -> Server {
    with_tokens().env("RILL_AUTH_EXPIRY_NOTICE", "1s").start()
}

/// A token of ann that ends at this second.
fn until(exp: u64) -> String {
    jwt_with("ann", json!({ "exp": exp }))
}

/// The notice, byte for byte.
#[track_caller]
fn assert_told(event: &Event, exp: u64) {
    let data = format!(r#"{{"expiresAt":"{}"}}"#, rfc3339(exp));
    event.assert(None, "token-expiring", &data);
}

/// The end: not before its second, and not a second after.
#[track_caller]
fn assert_expired(stream: &mut Stream, exp: u64) {
    let farewell = stream.next();
    farewell.assert_disconnected("token_expired");
    let said = humantime::parse_rfc3339(&farewell.text("timestamp")).expect("a timestamp");
    let end = UNIX_EPOCH + Duration::from_secs(exp);
    // The wheel that ends streams is no finer than this.
    let early = Duration::from_millis(100);
    assert!(end <= said + early && said < end + ONE_SECOND, "{farewell:?} at {}", rfc3339(exp));
    stream.assert_ended();
}

fn seconds_left(exp: u64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    exp as f64 - now.as_secs_f64()
}

#[track_caller]
fn renew(server: &Server, stream: &Stream, token: &str) -> Response {
    let body = json!({ "connectionId": stream.connected.text("connectionId") });
    server.post("/auth/renew", token, body)
}

#[test]
fn a_stream_is_told_and_then_ends_with_its_token() {
    let server = server();
    let exp = in_seconds(2);
    let token = until(exp);
    let mut streams = [
        server.stream(PATH, &token),
        server.stream("/chat/stream", &token),
        server.stream("/system/status/stream", &token),
        server.open(&get(PATH).http_1_0().bearer(&token)),
    ];
    for stream in &mut streams {
        assert_told(&stream.next(), exp);
        assert!(seconds_left(exp) < 1.5, "told too early");
    }
    for stream in &mut streams {
        assert_expired(stream, exp);
    }
    server.wait_for_connections(0, ONE_SECOND);
    server.send(&get(PATH).bearer(&token)).assert_problem(401);
}

#[test]
fn who_comes_late_is_told_at_once() {
    let server = with_tokens().start();
    let exp = in_seconds(2);
    let mut stream = server.stream(PATH, &until(exp));
    assert_told(&stream.next(), exp);
    assert!(seconds_left(exp) > 0.0, "not told before the end");
    assert_expired(&mut stream, exp);
}

#[test]
fn events_go_on_between_the_notice_and_the_end() {
    let server = server();
    let exp = in_seconds(2);
    let mut stream = server.stream(PATH, &until(exp));
    assert_told(&stream.next(), exp);
    let id = server.publish("/notifications/send", &jwt("ann"), json!({ "message": "M" }));
    stream.assert_next(&id);
    assert_expired(&mut stream, exp);
    // What the client goes on from is the event: the others have no id.
    let mut next = server.open(&get(PATH).bearer(&jwt("ann")).cursor(&id));
    next.connected.assert_connected(Some("ann"), "full", 30_000);
    let more = server.publish("/notifications/send", &jwt("ann"), json!({ "message": "M" }));
    next.assert_next(&more);
}

#[test]
fn a_renewal_puts_the_end_off() {
    let server = server();
    let (first, second) = (in_seconds(2), in_seconds(4));
    let mut stream = server.stream(PATH, &until(first));
    let answer = renew(&server, &stream, &until(second));
    let expected = format!(r#"{{"success":true,"expiresAt":"{}"}}"#, rfc3339(second));
    assert_eq!(answer.assert_status(200).text(), expected);
    assert_told(&stream.next(), second);
    assert_expired(&mut stream, second);
}

#[test]
fn it_is_told_again_after_a_renewal() {
    let server = server();
    let (first, second) = (in_seconds(2), in_seconds(4));
    let mut stream = server.open(&get(PATH).http_1_0().bearer(&until(first)));
    assert_told(&stream.next(), first);
    renew(&server, &stream, &until(second)).assert_status(200);
    assert_told(&stream.next(), second);
    assert_expired(&mut stream, second);
}

/// The new token counts, also when it ends sooner.
#[test]
fn a_renewal_may_bring_the_end_nearer() {
    let server = server();
    let mut stream = server.stream(PATH, &jwt("ann"));
    let exp = in_seconds(1);
    renew(&server, &stream, &until(exp)).assert_status(200);
    assert_told(&stream.next(), exp);
    assert_expired(&mut stream, exp);
}

#[test]
fn a_stream_is_renewed_by_its_user_alone() {
    let server = server();
    let mut stream = server.stream(PATH, &jwt("ann"));
    let admin = jwt_with("root", json!({ "roles": ["admin"] }));
    for other in [jwt("bob"), jwt("Ann"), admin] {
        renew(&server, &stream, &other).assert_problem(404);
    }
    let over = until(in_seconds(0) - 1);
    let response = renew(&server, &stream, &over);
    let challenge = response.assert_problem(401).head.value("www-authenticate");
    assert!(challenge.is_some_and(|text| text.contains("invalid_token")), "{challenge:?}");
    let nobody = renew(&server, &stream, "");
    nobody.assert_problem(401);
    renew(&server, &stream, &jwt("ann")).assert_status(200);
    let id = server.publish("/notifications/send", &jwt("ann"), json!({ "message": "M" }));
    stream.assert_next(&id);
}

/// The answer tells nobody whether there is a stream of another user.
#[test]
fn streams_that_are_not_there_look_like_anothers() {
    let server = server();
    let stream = server.stream(PATH, &jwt("bob"));
    let anothers = renew(&server, &stream, &jwt("ann"));
    anothers.assert_problem(404);
    let id = stream.connected.text("connectionId");
    let changed = |from: usize| {
        let (head, tail) = id.split_at(from);
        let digit = if tail.starts_with('0') { "1" } else { "0" };
        format!("{head}{digit}{}", &tail[1..])
    };
    let unknown = [
        changed(0),
        changed(id.len() - 1),
        format!("{id}0"),
        "x".into(),
        "0".into(),
        "-1".into(),
        " ".into(),
        "ff".repeat(200),
    ];
    for id in unknown {
        let response = server.post("/auth/renew", &jwt("ann"), json!({ "connectionId": id }));
        assert_eq!(response.assert_problem(404).text(), anothers.text(), "{id}");
    }
    let wrong: [Value; 6] = [
        json!({}),
        json!({ "connectionId": null }),
        json!({ "connectionId": "" }),
        json!({ "connectionId": 1 }),
        json!({ "connectionId": [id] }),
        json!({ "connectionID": id }),
    ];
    for body in wrong {
        server.post("/auth/renew", &jwt("ann"), &body).assert_problem(422);
    }
    server.post("/auth/renew", &jwt("ann"), "[]").assert_problem(400);
}

#[test]
fn a_stream_that_has_ended_is_not_renewed() {
    let server = server();
    let stream = server.stream(PATH, &jwt("ann"));
    let body = json!({ "connectionId": stream.connected.text("connectionId") });
    drop(stream);
    server.wait_for_connections(0, ONE_SECOND);
    server.post("/auth/renew", &jwt("ann"), &body).assert_problem(404);
    let _another = server.stream(PATH, &jwt("ann"));
    server.post("/auth/renew", &jwt("ann"), &body).assert_problem(404);
}

#[test]
fn a_stream_whose_reader_is_stuck_ends_too() {
    let server = server();
    let exp = in_seconds(4);
    let reader = clogged_stream_of(&server, &until(exp), &jwt("ann"));
    assert_eq!(server.connections(), 1);
    server.wait_for_connections(0, FIVE_SECONDS + FIVE_SECONDS);
    assert!(seconds_left(exp) < 0.1, "before its time");
    drop(reader);
}

/// What the clocks may differ by is given to the streams as well.
#[test]
fn the_leeway_comes_before_the_end() {
    let setup = with_tokens().env("RILL_AUTH_EXPIRY_NOTICE", "1s");
    let server = setup.env("RILL_AUTH_LEEWAY", "2s").start();
    let exp = in_seconds(0);
    let mut stream = server.stream(PATH, &until(exp));
    assert_told(&stream.next(), exp + 2);
    assert_expired(&mut stream, exp + 2);
}

#[test]
fn a_token_may_last_for_very_long() {
    let server = server();
    let last_day_of_9999 = 253_402_214_399;
    let mut stream = server.stream(PATH, &until(last_day_of_9999));
    renew(&server, &stream, &until(last_day_of_9999 - 1)).assert_status(200);
    let id = server.publish("/notifications/send", &jwt("ann"), json!({ "message": "M" }));
    stream.assert_next(&id);
    server.send(&get(PATH).bearer(&until(last_day_of_9999 + 1))).assert_problem(401);
}
