//! The manager's stream, its statistics, and streams that are sent away.

mod support;

use serde_json::{Value, json};
use support::tokens::{admin_jwt, jwt, with_tokens};
use support::*;

const STREAM: &str = "/api/sse";

/// A request of nobody in particular.
fn bare(method: &str, path: &str) -> Request {
    request(method, path)
}

#[track_caller]
fn disconnected(response: &Response) -> u64 {
    let answer = response.assert_status(200).json();
    let count = answer["disconnected"].as_u64().expect("a number");
    assert_eq!(response.text(), format!(r#"{{"success":true,"disconnected":{count}}}"#));
    count
}

#[track_caller]
fn assert_sent_away(stream: &mut Stream, message: &str) {
    let event = stream.next_named("disconnected");
    assert_eq!(
        (event.text("reason"), event.text("message")),
        ("server_disconnect".into(), message.into())
    );
    stream.assert_ended();
}

const ALL: &str = "All clients have been disconnected by the server";

/// The samples of the document, as they stand.
#[test]
fn under_dev_the_samples_need_no_credential() {
    let server = Server::start();
    let mut known = server.open(&get("/api/sse?userId=123"));
    let mut anonymous = server.open(&get(STREAM));
    known.connected.assert_connected(Some("123"), "none", 30_000);
    anonymous.connected.assert_connected(None, "none", 30_000);
    let body = r#"{"event":"notification","data":{"message":"Hello!"},"broadcast":true}"#;
    let (id, subscribers) = server.send(&post(STREAM, body)).published();
    assert_eq!(subscribers, 2);
    for stream in [&mut known, &mut anonymous] {
        let event = stream.assert_next(&id);
        assert_eq!(
            (event.name(), event.data.as_deref()),
            ("notification", Some(r#"{"message":"Hello!"}"#))
        );
    }
    let stats = server.send(&get("/api/sse/stats"));
    let expected = r#"{"success":true,"connections":2,"users":1,"anonymous":1,"byUser":{"123":1}}"#;
    assert_eq!(stats.assert_status(200).text(), expected);
    assert_eq!(disconnected(&server.send(&bare("POST", "/api/sse/disconnect-all"))), 2);
    assert_sent_away(&mut known, ALL);
    assert_sent_away(&mut anonymous, ALL);
    // They may come back at once.
    server.open(&get("/api/sse?userId=123"));
}

#[test]
fn under_dev_a_foreign_page_is_not_the_manager() {
    let server = Server::start();
    let _stream = server.open(&get(STREAM));
    for request in [
        bare("POST", "/api/sse/disconnect-all").field("Origin", "https://evil.example"),
        bare("POST", "/api/sse/disconnect-all").field("Origin", "null"),
        bare("POST", "/api/sse/disconnect-all").field("Sec-Fetch-Site", "cross-site"),
        get("/api/sse/stats").field("Origin", "https://evil.example"),
        post(STREAM, r#"{"event":"e","data":1,"broadcast":true}"#)
            .field("Origin", "http://rill.evil"),
    ] {
        server.send(&request).assert_problem(401);
    }
    // Nor is anyone elsewhere.
    server
        .send(&post("/api/events", r#"{"event":"e","data":1,"broadcast":true}"#))
        .assert_problem(401);
    let own = bare("POST", "/api/sse/disconnect-all").field("Origin", "http://rill");
    assert_eq!(disconnected(&server.send(&own)), 1);
}

#[test]
fn only_admins_manage() {
    let server = with_tokens().start();
    for (method, path) in [
        ("GET", "/api/sse/stats"),
        ("POST", "/api/sse/disconnect-all"),
        ("DELETE", "/api/sse/users/ann"),
        ("DELETE", "/api/sse/connections/0000000000000000"),
    ] {
        server.send(&bare(method, path)).assert_problem(401);
        server.send(&bare(method, path).bearer(&jwt("ann"))).assert_problem(403);
        server.send(&bare("PATCH", path).bearer(&admin_jwt())).assert_problem(405);
    }
    let allow = server.send(&bare("OPTIONS", STREAM));
    allow.assert_status(204).head.assert_value("allow", "GET, HEAD, POST, OPTIONS");
}

#[test]
fn one_user_or_one_connection_is_sent_away() {
    let server = with_tokens().start();
    let mut ann =
        [server.stream(STREAM, &jwt("ann")), server.stream("/realtime/stream", &jwt("ann"))];
    let mut bob = [server.stream(STREAM, &jwt("bob")), server.stream(STREAM, &jwt("bob"))];
    let remove = |path: &str| server.send(&bare("DELETE", path).bearer(&admin_jwt()));
    let message = "This client has been disconnected by the server";
    assert_eq!(disconnected(&remove("/api/sse/users/ann")), 2);
    ann.iter_mut().for_each(|stream| assert_sent_away(stream, message));
    assert_eq!(disconnected(&remove("/api/sse/users/ann")), 0);
    let id = bob[0].connected.text("connectionId");
    assert_eq!(disconnected(&remove(&format!("/api/sse/connections/{id}"))), 1);
    assert_sent_away(&mut bob[0], message);
    server.wait_for_connections(1, ONE_SECOND);
    for unknown in [id.as_str(), "0000000000000000", "x"] {
        remove(&format!("/api/sse/connections/{unknown}")).assert_problem(404);
    }
    let event = json!({ "event": "still-there", "data": Value::Null, "userId": "bob" });
    let id = server.publish(STREAM, &admin_jwt(), event);
    bob[1].assert_next(&id);
}

#[test]
fn who_is_told_to_stop_gets_nothing_for_a_while() {
    let server = with_tokens().start();
    let mut ann = server.stream(STREAM, &jwt("ann"));
    let mut anonymous = server.open(&get(STREAM));
    let stop = bare("POST", "/api/sse/disconnect-all?stop=true").bearer(&admin_jwt());
    assert_eq!(disconnected(&server.send(&stop)), 2);
    assert_sent_away(&mut ann, ALL);
    assert_sent_away(&mut anonymous, ALL);
    for request in [
        get(STREAM),
        get("/system/status/stream"),
        get(STREAM).bearer(&jwt("ann")),
        get("/notifications/stream").bearer(&jwt("ann")),
    ] {
        let response = server.send(&request);
        assert_eq!(
            (response.assert_status(204).text(), response.head.value("content-type")),
            ("".into(), None)
        );
    }
    // Others were not there.
    server.stream(STREAM, &jwt("bob"));
    server
        .send(&bare("POST", "/api/sse/disconnect-all?stop=1").bearer(&admin_jwt()))
        .assert_problem(400);
}

/// A foreign page that has an admin's cookie sent along.
#[test]
fn a_foreign_page_sends_nobody_away() {
    let server = with_tokens().start();
    let _stream = server.open(&get(STREAM));
    let cookie = format!("rill_session={}", admin_jwt());
    for (method, path) in [("POST", "/api/sse/disconnect-all"), ("DELETE", "/api/sse/users/ann")] {
        let with_cookie = || bare(method, path).field("Cookie", &cookie);
        for foreign in [
            with_cookie(),
            with_cookie().field("Origin", "https://evil.example"),
            with_cookie().field("Sec-Fetch-Site", "cross-site"),
        ] {
            server.send(&foreign).assert_problem(403);
        }
    }
    assert_eq!(server.connections(), 1);
    let own = bare("POST", "/api/sse/disconnect-all").field("Cookie", &cookie);
    assert_eq!(disconnected(&server.send(&own.field("Origin", "http://rill"))), 1);
}
