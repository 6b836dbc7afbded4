//! Every way to publish refuses the same things in the same way.

mod support;

use serde_json::json;
use support::tokens::{admin_jwt, jwt, with_tokens};
use support::*;

/// Each path, with the fields that it cannot do without.
const WAYS: [(&str, &[&str]); 11] = [
    ("/notifications/send", &["message"]),
    ("/realtime/update", &["entityType", "entityId", "action"]),
    ("/chat/send", &["roomId", "message"]),
    ("/chat/typing", &["roomId"]),
    ("/system/maintenance", &["message"]),
    ("/api/notifications", &["message"]),
    ("/api/updates", &["entity", "action", "payload"]),
    ("/api/events", &["event", "data"]),
    ("/api/sse", &["event", "data"]),
    ("/sse/users/ann/events", &["event", "data"]),
    ("/sse/conversations/c/events", &["event", "data"]),
];

#[test]
fn who_does_not_say_who_he_is() {
    let server = with_tokens().start();
    for (path, _) in WAYS {
        server.send(&post(path, "{}")).assert_problem(401);
        server.send(&post(path, "{}").bearer("nonsense")).assert_problem(401);
        let two = post(path, "{}").bearer(&jwt("ann")).field("X-Auth-Token", jwt("bob"));
        server.send(&two).assert_problem(400);
    }
}

#[test]
fn what_is_no_json_object() {
    let server = with_tokens().start();
    let large = json!({ "event": "x".repeat(256 * 1024) }).to_string();
    for (path, _) in WAYS {
        for body in
            ["", "{", "[]", "null", "{}{}", r#"{"event":"a","event":"b"}"#, r#"{"event":"\ud800"}"#]
        {
            server.post(path, &admin_jwt(), body).assert_problem(400);
        }
        server.post(path, &admin_jwt(), &large).assert_problem(413);
        let untyped = post(path, "{}").bearer(&admin_jwt()).without("Content-Type");
        server.send(&untyped).assert_problem(415);
        server.send(&untyped.field("Content-Type", "text/plain")).assert_problem(415);
        let coded = post(path, "{}").bearer(&admin_jwt()).field("Content-Encoding", "gzip");
        server.send(&coded).assert_problem(415);
    }
}

#[test]
fn what_lacks_fields_names_them_all() {
    let server = with_tokens().start();
    for (path, fields) in WAYS {
        let detail = server.post(path, &admin_jwt(), "{}").assert_problem(422).detail();
        for field in fields {
            assert!(detail.contains(field), "{path}: no {field} in {detail}");
        }
    }
}

/// Every byte escaped.
fn escaped(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn bad_names_in_paths() {
    let server = with_tokens().start();
    for name in ["a\nb", "a\u{200b}b", &"x".repeat(129)].map(escaped) {
        for path in
            [format!("/sse/users/{name}/events"), format!("/sse/conversations/{name}/events")]
        {
            server.post(&path, &admin_jwt(), r#"{"event":"e","data":1}"#).assert_problem(400);
        }
        for path in [
            format!("/sse/conversations/{name}/members"),
            format!("/sse/conversations/c/members/{name}"),
            format!("/chat/rooms/{name}/members"),
            format!("/chat/rooms/r/members/{name}"),
        ] {
            server.send(&get(&path).bearer(&admin_jwt())).assert_problem(400);
            server.send(&put(&path, r#"{"members":[]}"#).bearer(&admin_jwt())).assert_problem(400);
        }
    }
    for path in ["/sse/users//events", "/sse/conversations//events"] {
        server.post(path, &admin_jwt(), r#"{"event":"e","data":1}"#).assert_problem(400);
    }
}

#[test]
fn bad_names_in_bodies() {
    let server = with_tokens().start();
    for name in ["a\nb", "a\u{200b}b", &"x".repeat(129)] {
        let body = json!({ "event": name, "data": 1, "broadcast": true });
        for (path, _) in &WAYS[7..] {
            server.post(path, &admin_jwt(), &body).assert_problem(400);
        }
        for (target, value) in [
            ("conversationId", json!(name)),
            ("channels", json!([name])),
            ("userId", json!(name)),
            ("userIds", json!([name])),
        ] {
            let body = json!({ "event": "e", "data": 1, target: value });
            server.post("/api/events", &admin_jwt(), body).assert_problem(400);
        }
        let members = json!({ "members": [name] }).to_string();
        let list = put("/sse/conversations/c/members", members).bearer(&admin_jwt());
        server.send(&list).assert_problem(400);
        let inline = json!({ "event": "e", "data": 1, "members": [name] });
        server.post("/sse/conversations/c/events", &admin_jwt(), inline).assert_problem(400);
    }
}

#[test]
fn a_number_is_the_name_of_a_user_and_of_a_conversation() {
    let server = Server::start();
    let list = put("/sse/conversations/123/members", r#"{"members":[42]}"#).bearer(&publisher());
    server.send(&list).assert_status(200);
    let mut stream = server.stream("/sse/connect", &user("42"));
    for target in [
        r#""conversationId":123"#,
        r#""conversationId":"123""#,
        r#""userId":42"#,
        r#""userIds":[42,"42"]"#,
    ] {
        let body = format!(r#"{{"event":"e","data":1.0,{target}}}"#);
        let id = server.publish("/api/sse", &publisher(), body);
        stream.next().assert(Some(&id), "e", "1.0");
    }
    for body in [r#"{"event":"e","data":null}"#, r#"{"event":"e","data":null,"members":[42]}"#] {
        let id = server.publish("/sse/conversations/123/events", &publisher(), body);
        stream.next().assert(Some(&id), "e", "null");
    }
}
