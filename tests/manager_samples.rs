//! Every example of the manager's document, as it stands, under `--dev` where it needs no credential.
//!
//! - connecting, sending a message, statistics, disconnect-all: `under_dev_the_samples_need_no_credential` in
//!   `manager.rs`; the same requests by curl: `curl.rs`
//! - `broadcastMessage`, `sendToUsers`, `sendNotification`, as the requests that they become: here
//! - the client-side example with and without a user, and the disconnect event, in Chromium: here
//! - the standard events: `connected` and `heartbeat` in `streams.rs` and `heartbeat.rs`, the others here

mod support;

use serde_json::json;
use support::*;

const STREAM: &str = "/api/sse";

fn user_stream(server: &Server, user: &str) -> Stream {
    server.open(&get(&format!("{STREAM}?userId={user}")))
}

#[test]
fn messages_from_a_backend() {
    let server = Server::start();
    let mut first = user_stream(&server, "user1");
    let mut second = user_stream(&server, "user2");
    let mut third = user_stream(&server, "user123");
    let mut anonymous = server.open(&get(STREAM));
    let send = |body: &str| server.send(&post(STREAM, body)).published();

    let (id, subscribers) = send(
        r#"{"event":"system-update","data":{"message":"System maintenance in 5 minutes","type":"warning"},"broadcast":true}"#,
    );
    assert_eq!(subscribers, 4);
    let data = r#"{"message":"System maintenance in 5 minutes","type":"warning"}"#;
    for stream in [&mut first, &mut second, &mut third, &mut anonymous] {
        stream.next().assert(Some(&id), "system-update", data);
    }

    let (id, subscribers) = send(
        r#"{"event":"notification","data":{"title":"New Message","content":"You have a new message"},"userIds":["user1","user2"]}"#,
    );
    assert_eq!(subscribers, 2);
    let data = r#"{"title":"New Message","content":"You have a new message"}"#;
    for stream in [&mut first, &mut second] {
        stream.next().assert(Some(&id), "notification", data);
    }

    let (id, subscribers) = send(
        r#"{"event":"notification","data":{"title":"Welcome!","message":"Welcome to our platform","type":"success"},"userId":"user123"}"#,
    );
    assert_eq!(subscribers, 1);
    let data = r#"{"title":"Welcome!","message":"Welcome to our platform","type":"success"}"#;
    third.next().assert(Some(&id), "notification", data);

    let (id, _) = send(r#"{"event":"custom-message","data":"anything","broadcast":true}"#);
    anonymous.next().assert(Some(&id), "custom-message", r#""anything""#);
}

const CLIENT: &str = r#"
eventSource.onopen = () => {
  console.log("Connected to SSE");
};

eventSource.onmessage = (event) => {
  const data = JSON.parse(event.data);
  console.log("Received:", data);
};

eventSource.addEventListener("notification", (event) => {
  const data = JSON.parse(event.data);
  console.log("Notification:", data);
});

eventSource.addEventListener("disconnected", (event) => {
  const data = JSON.parse(event.data);
  console.log("Disconnected by server:", data);
  // Update your connection state here
  setIsConnected(false);
});

eventSource.onerror = (error) => {
  console.error("SSE Error:", error);
};
"#;

/// Runs the example in Chromium on a page of the same origin, behind one of its two ways to connect, until the second
/// disconnect-all has stopped it.
fn run_client(connect: &str) {
    let server = Server::start();
    let site = Site::in_front_of(server.address());
    let state = "const setIsConnected = (value) => console.log('setIsConnected', value);";
    site.sample("/", &[state, connect, CLIENT].concat());
    let _chromium = site.visit("app.example", "/");
    let send = |body: &str| server.send(&post(STREAM, body)).published();

    assert_eq!(site.report(), json!(["Connected to SSE"]));
    send(r#"{"event":"notification","data":{"message":"Hello!"},"broadcast":true}"#);
    assert_eq!(site.report(), json!(["Notification:", { "message": "Hello!" }]));
    send(r#"{"event":"message","data":{"n":1},"broadcast":true}"#);
    assert_eq!(site.report(), json!(["Received:", { "n": 1 }]));

    // The first time it comes back by itself, and learns what it has missed.
    for (target, returns) in [("", true), ("?stop=true", false)] {
        let path = format!("/api/sse/disconnect-all{target}");
        let answer = server.send(&request("POST", &path));
        assert_eq!(answer.assert_status(200).text(), r#"{"success":true,"disconnected":1}"#);
        let event = site.report();
        let timestamp = event[1]["timestamp"].as_str().expect("a timestamp");
        assert_timestamp(timestamp);
        let expected = json!({
            "reason": "server_disconnect",
            "message": "All clients have been disconnected by the server",
            "timestamp": timestamp
        });
        assert_eq!(event, json!(["Disconnected by server:", expected]));
        assert_eq!(site.report(), json!(["setIsConnected", false]));
        assert_eq!(site.report(), json!(["SSE Error:", { "isTrusted": true }]));
        if returns {
            send(r#"{"event":"notification","data":"missed","broadcast":true}"#);
            assert_eq!(site.report(), json!(["Connected to SSE"]));
            assert_eq!(site.report(), json!(["Notification:", "missed"]));
        } else {
            // Its one return is answered with nothing, which a browser takes for final.
            assert_eq!(site.report(), json!(["SSE Error:", { "isTrusted": true }]));
            assert_eq!(server.connections(), 0);
        }
    }
}

#[test]
fn the_client_example_with_a_user() {
    run_client(
        r#"
// Authenticated connection (recommended)
const eventSource = new EventSource("/api/sse?userId=123");
"#,
    );
}

#[test]
fn the_client_example_of_nobody_in_particular() {
    run_client(
        r#"
// Anonymous connection
const eventSource = new EventSource("/api/sse");
"#,
    );
}
