//! Who may speak to whom, and whose streams are whose.

mod support;

use serde_json::{Value, json};
use support::tokens::{admin_jwt, jwt, jwt_with, with_tokens};
use support::*;

fn server() -> Server {
    with_tokens().start()
}

/// What a user, a publisher and an admin are answered, and what somebody is who does not say who he is.
#[track_caller]
fn assert_answers(server: &Server, path: &str, body: &Value, [user, publisher, admin]: [u16; 3]) {
    let publisher_token = jwt_with("ann", json!({ "roles": ["publisher"] }));
    let admin_token = jwt_with("ann", json!({ "roles": ["admin"] }));
    for (token, status) in [(jwt("ann"), user), (publisher_token, publisher), (admin_token, admin)]
    {
        let response = server.post(path, &token, body);
        match status {
            403 => response.assert_problem(403),
            status => response.assert_status(status),
        };
    }
    server.send(&post(path, body.to_string())).assert_problem(401);
}

#[test]
fn notifications() {
    let server = server();
    let path = "/notifications/send";
    for body in [
        json!({ "message": "M" }),
        json!({ "message": "M", "userId": "ann" }),
        json!({ "message": "M", "userIds": ["ann"] }),
    ] {
        assert_answers(&server, path, &body, [200, 200, 200]);
    }
    for body in [
        json!({ "message": "M", "userId": "bob" }),
        json!({ "message": "M", "userId": "Ann" }),
        json!({ "message": "M", "userIds": ["ann", "bob"] }),
        json!({ "message": "M", "broadcast": true }),
    ] {
        assert_answers(&server, path, &body, [403, 200, 200]);
    }
}

#[test]
fn updates_chat_and_maintenance() {
    let server = server();
    let update = json!({ "entityType": "order", "entityId": "1", "action": "updated" });
    assert_answers(&server, "/realtime/update", &update, [403, 200, 200]);
    let message = json!({ "roomId": "lobby", "message": "M" });
    assert_answers(&server, "/chat/send", &message, [200, 200, 200]);
    assert_answers(&server, "/chat/typing", &json!({ "roomId": "lobby" }), [200, 200, 200]);
    assert_answers(&server, "/system/maintenance", &json!({ "message": "M" }), [403, 403, 200]);
}

#[test]
fn events_of_any_name() {
    let server = server();
    let event = |target: &str, value: Value| json!({ "event": "E", "data": 1, target: value });
    let path = "/api/events";
    assert_answers(&server, path, &event("userId", json!("ann")), [200, 200, 200]);
    for body in [
        event("userId", json!("bob")),
        event("userIds", json!(["ann", "bob"])),
        event("broadcast", json!(true)),
        event("channels", json!(["orders"])),
    ] {
        assert_answers(&server, path, &body, [403, 200, 200]);
    }
}

#[test]
fn credentials() {
    let server = server();
    assert_answers(&server, "/tickets", &json!({}), [200, 200, 200]);
    assert_answers(&server, "/auth/revoke", &json!({ "jti": "nobody's" }), [403, 403, 200]);
}

#[test]
fn a_right_is_looked_at_after_the_fields() {
    let server = server();
    server.post("/notifications/send", &jwt("ann"), r#"{"userId":"bob"}"#).assert_problem(422);
    server.post("/realtime/update", &jwt("ann"), "{}").assert_problem(422);
    server.post("/system/maintenance", &jwt("ann"), "{}").assert_problem(422);
    server.post("/auth/revoke", &jwt("ann"), "{}").assert_problem(422);
    server.post("/auth/revoke", &jwt("ann"), "[").assert_problem(400);
}

/// What a stream or an EventSource says of itself is not for publishers to say.
#[test]
fn reserved_names_of_events() {
    let server = server();
    for name in ["open", "error", "connected", "disconnected", "heartbeat", "gap"] {
        let body = json!({ "event": name, "data": 1, "broadcast": true });
        server.post("/api/events", &admin_jwt(), body).assert_problem(400);
    }
}

#[test]
fn the_sender_of_a_message_is_the_one_of_the_token() {
    let server = server();
    let mut stream = server.stream("/chat/stream?room=r", &jwt("bob"));
    let body = json!({ "roomId": "r", "message": "M", "userId": "root", "username": "Root" });
    server.publish("/chat/send", &jwt_with("ann", json!({ "name": "Ann" })), &body);
    let message = stream.next_named("message");
    assert_eq!((message.text("userId"), message.text("username")), ("ann".into(), "Ann".into()));
    server.post("/chat/typing", &jwt("ann"), &body).assert_status(200);
    assert_eq!(stream.next_named("typing").text("userId"), "ann");
}

const STREAMS: [&str; 4] =
    ["/notifications/stream", "/realtime/stream", "/chat/stream", "/api/notifications/stream"];

#[test]
fn another_users_stream_is_for_admins() {
    let server = server();
    let publisher = jwt_with("ann", json!({ "roles": ["publisher", "Admin", "administrator"] }));
    for path in STREAMS {
        for token in [&jwt("ann"), &publisher] {
            for other in ["bob", "Ann", "ann%20", "a%C3%A4nn"] {
                let request = get(&format!("{path}?userId={other}")).bearer(token);
                server.send(&request).assert_problem(403);
            }
            let own = server.stream(&format!("{path}?userId=ann"), token);
            own.connected.assert_connected(Some("ann"), "none", 30_000);
        }
        server.send(&get(&format!("{path}?userId=bob"))).assert_problem(403);
        let stream = server.stream(&format!("{path}?userId=bob"), &admin_jwt());
        stream.connected.assert_connected(Some("bob"), "none", 30_000);
    }
}

#[test]
fn an_admin_hears_what_the_other_would() {
    let server = server();
    let mut of_bob = server.stream("/notifications/stream?userId=bob", &admin_jwt());
    let mut own = server.stream("/notifications/stream", &admin_jwt());
    let to = |user: &str| {
        let body = json!({ "message": "M", "userId": user });
        server.publish("/notifications/send", &admin_jwt(), body)
    };
    let (to_bob, to_root, again) = (to("bob"), to("root"), to("bob"));
    of_bob.assert_next(&to_bob);
    of_bob.assert_next(&again);
    own.assert_next(&to_root);
}

/// It counts among the other's streams, as the contract has it.
#[test]
fn an_admins_stream_takes_a_place_of_the_other() {
    let server = rill().without_dev().flags(&["--max-connections-per-user", "1"]).start();
    let path = "/notifications/stream?userId=bob";
    let _first = server.stream(path, &admin_jwt());
    server.send(&get(path).bearer(&admin_jwt())).assert_problem(429);
    server.send(&get("/notifications/stream").bearer(&jwt("bob"))).assert_problem(429);
    server.stream("/notifications/stream", &admin_jwt());
}
