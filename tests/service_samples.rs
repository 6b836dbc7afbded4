//! Every example of the service's document, as it stands: its functions as the requests that they become.
//!
//! - the three ways to authenticate, and reconnection: the first tests here, with real tokens
//! - `sendEventToUser`, `broadcastToConversation`, the message controller, the event format: `events_*` here
//! - the client-side example, in Chromium: `the_client_example_*` here
//! - the event types: `every_event_type` here; `user:online` and `user:offline` of the server's own: `conversations.rs`

mod support;

use serde_json::{Value, json};
use support::tokens::{admin_jwt, jwt, with_tokens};
use support::*;

const CONNECT: &str = "/sse/connect";

#[test]
fn three_ways_to_authenticate() {
    let server = with_tokens().start();
    let token = jwt("userId123");
    for request in [
        get(&format!("{CONNECT}?token={token}")),
        get(CONNECT).field("Authorization", format!("Bearer {token}")),
        get(CONNECT).field("X-Auth-Token", &token),
    ] {
        let stream = server.open(&request);
        stream.connected.assert_connected(Some("userId123"), "none", 30_000);
    }
    for request in [
        get(CONNECT),
        get(&format!("{CONNECT}?token=YOUR_JWT_TOKEN")),
        get(CONNECT).field("Authorization", "Bearer YOUR_JWT_TOKEN"),
        get(CONNECT).field("X-Auth-Token", "YOUR_JWT_TOKEN"),
    ] {
        server.send(&request).assert_problem(401);
    }
}

#[test]
fn reconnection_with_an_id() {
    let server = with_tokens().start();
    let token = jwt("userId123");
    let target = format!("{CONNECT}?token={token}");
    let send = || {
        let body = json!({ "event": "message:new", "data": {} });
        server.publish("/sse/users/userId123/events", &admin_jwt(), body)
    };
    let (last, missed) = (send(), send());
    server.open(&get(&target).field("Last-Event-ID", last)).assert_next(&missed);
    // The document's own id is none of ours: that is said, and the stream goes on.
    let mut stream = server.open(&get(&target).field("Last-Event-ID", "123"));
    stream.next().assert_gap("invalid_cursor", "123");
    let live = send();
    stream.assert_next(&live);
}

fn put_members(server: &Server, members: Value) {
    let body = json!({ "members": members }).to_string();
    let list = put("/sse/conversations/conv123/members", body).bearer(&publisher());
    server.send(&list).assert_status(200);
}

#[test]
fn events_to_a_user() {
    let server = Server::start();
    let mut stream = server.stream(CONNECT, &user("userId123"));
    let _other = server.stream(CONNECT, &user("user456"));
    let body = r#"{
  "event": "message:new",
  "data": {
    "conversationId": "conv123",
    "message": { "text": "Hello!", "senderId": "user456" }
  }
}"#;
    let answer = server.post("/sse/users/userId123/events", &publisher(), body);
    let (id, subscribers) = answer.published();
    assert_eq!(subscribers, 1);
    let data = r#"{"conversationId":"conv123","message":{"text":"Hello!","senderId":"user456"}}"#;
    assert_eq!(stream.next().raw, format!("id: {id}\nevent: message:new\ndata: {data}\n\n"));
}

#[test]
fn events_to_the_members_of_a_conversation() {
    let server = Server::start();
    let mut streams =
        ["user123", "userId123"].map(|name| server.stream(CONNECT, &support::user(name)));
    put_members(&server, json!(["user123", "userId123"]));
    let body = json!({ "event": "message:new", "data": { "message": {
        "id": "msg789",
        "text": "Hello everyone!",
        "senderId": "user123",
        "createdAt": "2025-07-15T10:30:00.000Z"
    } } });
    // As the controller does it: the backend's own right, or the sender's as a member.
    for token in [publisher(), user("user123")] {
        let answer = server.post("/sse/conversations/conv123/events", &token, &body);
        let (id, subscribers) = answer.published();
        assert_eq!(subscribers, 2);
        for stream in &mut streams {
            let event = stream.assert_next(&id);
            assert_eq!((event.name(), event.json()), ("message:new", body["data"].clone()));
        }
    }
    server.post("/sse/conversations/conv123/events", &user("user456"), &body).assert_problem(403);
}

#[test]
fn every_event_type() {
    let server = Server::start();
    put_members(&server, json!(["userId123"]));
    let mut stream = server.stream(CONNECT, &user("userId123"));
    assert_eq!(stream.connected.name(), "connected");
    for name in [
        "message:new",
        "message:delivered",
        "message:read",
        "conversation:updated",
        "user:typing",
        "user:online",
        "user:offline",
    ] {
        let body = json!({ "event": name, "data": { "conversationId": "conv123" } });
        for path in ["/sse/users/userId123/events", "/sse/conversations/conv123/events"] {
            let id = server.publish(path, &publisher(), &body);
            stream.next().assert(Some(&id), name, r#"{"conversationId":"conv123"}"#);
        }
    }
    let connected = json!({ "event": "connected", "data": {} });
    server.post("/sse/users/userId123/events", &publisher(), connected).assert_problem(400);
}

const CLIENT: &str = "
// Connect with JWT token
const token = 'your-jwt-token';
const eventSource = new EventSource(`http://localhost:3000/sse/connect?token=${token}`);

// Handle connection
eventSource.addEventListener('connected', (e) => {
  const data = JSON.parse(e.data);
  console.log('Connected:', data);
});

// Handle custom events
eventSource.addEventListener('message:new', (e) => {
  const message = JSON.parse(e.data);
  console.log('New message:', message);
});

// Handle errors
eventSource.onerror = (error) => {
  console.error('SSE error:', error);
  // EventSource will automatically reconnect
};

// Close connection
// eventSource.close();
";

/// In Chromium, on a page of another origin, with a real token.
#[test]
fn the_client_example_reconnects_automatically() {
    let setup = with_tokens();
    let server = setup.start();
    let host = format!("localhost:{}", server.address().port());
    let site = Site::open();
    let code = CLIENT.replace("localhost:3000", &host);
    site.sample("/", &code.replace("your-jwt-token", &jwt("userId123")));
    let _chromium = site.visit("app.example", "/");
    let send = |server: &Server, text: &str| {
        let body = json!({ "event": "message:new", "data": { "text": text } });
        server.publish("/sse/users/userId123/events", &jwt("userId123"), body)
    };
    let connected = site.report();
    assert_eq!(
        (&connected[0], &connected[1]["userId"]),
        (&json!("Connected:"), &json!("userId123"))
    );
    send(&server, "Hello!");
    assert_eq!(site.report(), json!(["New message:", { "text": "Hello!" }]));

    let address = server.address().to_string();
    let setup = server.crash().listen(&address);
    assert_eq!(site.report(), json!(["SSE error:", { "isTrusted": true }]));
    let server = setup.start();
    send(&server, "missed");
    let mut next = site.report();
    // One for each time that it asked in vain.
    while next[0] == "SSE error:" {
        next = site.report();
    }
    assert_eq!((&next[0], &next[1]["resume"]), (&json!("Connected:"), &json!("full")));
    assert_eq!(site.report(), json!(["New message:", { "text": "missed" }]));
}
