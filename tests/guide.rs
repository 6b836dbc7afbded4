//! The guide's stream and what is published to it.

mod support;

use serde_json::{Value, json};
use support::*;

const STREAM: &str = "/api/notifications/stream";

/// A stream past the guide's own first event.
fn listen(server: &Server, user: &str, query: &str) -> Stream {
    let mut stream = server.stream(&format!("{STREAM}{query}"), &support::user(user));
    let welcome = stream.next();
    assert_eq!((welcome.name(), &welcome.id), ("notification", &None));
    stream
}

#[test]
fn a_stream_begins_with_the_guides_own_notification() {
    let server = Server::start();
    let mut stream = server.stream(STREAM, &user("ann"));
    let expected = concat!(
        "event: notification\n",
        r#"data: {"type":"notification","notificationType":"info","message":"Connected to notification stream"}"#,
        "\n\n"
    );
    assert_eq!(stream.next().raw, expected);
}

#[test]
fn notifications() {
    let server = Server::start();
    let mut ann = listen(&server, "ann", "");
    for (body, data) in [
        (
            json!({ "message": "M" }),
            r#"{"type":"notification","notificationType":"info","message":"M","duration":5000}"#,
        ),
        (
            json!({ "message": "M", "title": "T", "notificationType": "error", "duration": 0,
                    "userId": "ann" }),
            r#"{"type":"notification","notificationType":"error","title":"T","message":"M","duration":0}"#,
        ),
    ] {
        let id = server.publish("/api/notifications", &user("ann"), &body);
        let event = ann.assert_next(&id);
        assert_eq!((event.name(), event.data.as_deref()), ("notification", Some(data)));
    }
}

#[test]
fn updates() {
    let server = Server::start();
    let mut ann = listen(&server, "ann", "?channels=orders,alerts");
    let mut bob = listen(&server, "bob", "");
    let update = |target: Value| {
        let mut body = json!({ "entity": "order", "action": "updated", "payload": { "n": 1 } });
        body.as_object_mut().expect("an object").extend(target.as_object().expect("one").clone());
        server.publish("/api/updates", DEMO, body)
    };
    let data = r#"{"type":"update","entity":"order","action":"updated","payload":{"n":1}}"#;
    let on_channel = update(json!({ "channels": ["orders"] }));
    let to_both = update(json!({ "userIds": ["ann", "bob"] }));
    let to_all = update(json!({ "broadcast": true }));
    for id in [&on_channel, &to_both, &to_all] {
        let event = ann.assert_next(id);
        assert_eq!((event.name(), event.data.as_deref()), ("update", Some(data)));
    }
    bob.assert_next(&to_both);
    bob.assert_next(&to_all);
}

#[test]
fn what_is_asked_for_badly() {
    let server = Server::start();
    for (path, body, status) in [
        ("/api/notifications", json!({}), 422),
        ("/api/notifications", json!({ "message": "M", "notificationType": "loud" }), 422),
        ("/api/notifications", json!({ "message": "M", "duration": -1 }), 422),
        ("/api/notifications", json!({ "message": "M", "duration": 1.5 }), 422),
        ("/api/notifications", json!({ "message": "M", "duration": "1" }), 422),
        ("/api/notifications", json!({ "message": "M", "userId": "a", "channels": ["b"] }), 422),
        ("/api/updates", json!({ "entity": "e", "action": "updated", "broadcast": true }), 422),
        ("/api/updates", json!({ "entity": "e", "action": "updated", "payload": 1 }), 422),
        (
            "/api/updates",
            json!({ "entity": "e", "action": "update", "payload": 1, "userId": "a" }),
            422,
        ),
        ("/api/updates", json!({ "action": "updated", "payload": 1, "userId": "a" }), 422),
        ("/api/events", json!({ "event": "gap", "data": 1, "userId": "a" }), 400),
        ("/api/events", json!({ "event": "e", "userId": "a" }), 422),
        ("/api/events", json!({ "event": "e", "data": null }), 422),
    ] {
        server.post(path, DEMO, &body).assert_problem(status);
    }
}

#[test]
fn users_send_to_themselves_and_publishers_to_anyone() {
    let server = Server::start();
    for (path, rest) in [
        ("/api/notifications", json!({ "message": "M" })),
        ("/api/updates", json!({ "entity": "e", "action": "created", "payload": null })),
        ("/api/events", json!({ "event": "e", "data": null })),
    ] {
        let to = |target: Value| {
            let mut body = rest.clone();
            body.as_object_mut()
                .expect("an object")
                .extend(target.as_object().expect("one").clone());
            body
        };
        for others in [
            json!({ "userId": "bob" }),
            json!({ "userIds": ["ann", "bob"] }),
            json!({ "broadcast": true }),
            json!({ "channels": ["c"] }),
        ] {
            server.post(path, &user("ann"), to(others.clone())).assert_problem(403);
            server.post(path, &publisher(), to(others)).published();
        }
        server.post(path, &user("ann"), to(json!({ "userId": "ann" }))).published();
    }
}

#[test]
fn an_event_may_be_for_those_who_are_there() {
    let server = Server::start();
    let mut ann = listen(&server, "ann", "");
    let body = json!({ "event": "user-action", "data": [1.10, null], "ephemeral": true });
    let answer = server.post("/api/events", &user("ann"), with(body, "userId", "ann"));
    assert_eq!(answer.assert_status(200).text(), r#"{"success":true,"id":null,"subscribers":1}"#);
    assert_eq!(ann.next().raw, "event: user-action\ndata: [1.1,null]\n\n");
}

fn with(mut body: Value, name: &str, value: &str) -> Value {
    body[name] = value.into();
    body
}

/// `auth.errors = "stream"`: what the guide's own server does.
#[test]
fn refusals_may_be_events() {
    let setup = support::tokens::with_tokens().env("RILL_AUTH_ERRORS", "stream");
    let server = setup.start();
    let ann = support::tokens::jwt("ann");
    for (request, data) in [
        (get(STREAM), r#"{"error":"Unauthorized","code":401}"#),
        (get(STREAM).bearer("nonsense"), r#"{"error":"Unauthorized","code":401}"#),
        (get("/chat/stream?userId=bob").bearer(&ann), r#"{"error":"Forbidden","code":403}"#),
        (
            get(&format!("{STREAM}?channels=private-x")).bearer(&ann),
            r#"{"error":"Forbidden","code":403}"#,
        ),
    ] {
        let mut peer = server.connect();
        peer.send(request.bytes());
        let head = peer.head();
        assert!(head.status == 200 && head.is_stream(), "{head:?}");
        let body = String::from_utf8(peer.body(&head)).expect("text");
        let (retry, rest) = body.split_once('\n').expect("two lines");
        let retry: u32 = retry.strip_prefix("retry: ").and_then(|ms| ms.parse().ok()).expect("ms");
        assert!((10_000..=60_000).contains(&retry), "{retry}");
        assert_eq!(rest, format!("event: error\ndata: {data}\n\n"));
    }
    // What is no stream, and what is wrong with a request, is refused as ever.
    server.send(&request("HEAD", STREAM)).assert_status(401);
    server.send(&post("/api/notifications", "{}")).assert_problem(401);
    server.send(&get(&format!("{STREAM}?channels=%00")).bearer(&ann)).assert_problem(400);
    assert_eq!(server.connections(), 0);
}
