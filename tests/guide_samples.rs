//! Every example of the guide, as it stands. The words that a reader replaces are replaced: the host, and `your_token`,
//! `abc123` and the like by a token.
//!
//! - response headers, request headers, query parameters, the two ways to authenticate: the first tests here
//! - message format, the event types, and what the Node.js, FastAPI, Django and Redis examples send: `events_*` here
//! - the reconnection example: `what_was_missed_since_*` here
//! - the error events: `refusals_may_be_events` in `guide.rs`, and in Chromium here
//! - the two curl commands: `curl.rs`
//! - the EventSource example and session-based authentication, in Chromium: the last tests here
//! - limits, rates and CORS of the last chapters: `limits.rs`, `rates.rs`, `cors.rs`; what to monitor: `metrics.rs`

mod support;

use serde_json::{Value, json};
use support::tokens::{jwt, with_tokens};
use support::*;

const STREAM: &str = "/api/notifications/stream";
const WELCOME: &str = r#"{"type":"notification","notificationType":"info","message":"Connected to notification stream"}"#;

/// A stream past its first notification.
#[track_caller]
fn open(server: &Server, request: &Request) -> Stream {
    let mut stream = server.open(request);
    stream.next().assert(None, "notification", WELCOME);
    stream
}

#[track_caller]
fn listen(server: &Server, user: &str) -> Stream {
    open(server, &get(STREAM).bearer(&support::user(user)))
}

/// An event for the stream of `12345`.
fn publish(server: &Server) -> String {
    let body = json!({ "event": "e", "data": 1, "userId": "12345" });
    server.publish("/api/events", DEMO, body)
}

#[test]
fn the_headers_of_the_answer() {
    let server = Server::start();
    let stream = listen(&server, "12345");
    stream.head.assert_value("content-type", "text/event-stream");
    let cache = stream.head.value("cache-control").expect("Cache-Control");
    assert!(cache.split(", ").any(|directive| directive == "no-cache"), "{cache}");
    stream.head.assert_value("connection", "keep-alive");
    stream.head.assert_value("access-control-allow-origin", "*");
    // A browser looks for this one in the answer to its preflight.
    let preflight = request("OPTIONS", STREAM)
        .field("Origin", "http://app.example")
        .field("Access-Control-Request-Method", "GET")
        .field("Access-Control-Request-Headers", "cache-control");
    let allowed = server.send(&preflight).assert_status(204).head.clone();
    let allowed = allowed.value("access-control-allow-headers").expect("what may be sent");
    assert!(allowed.split(", ").any(|name| name == "Cache-Control"), "{allowed}");
}

#[test]
fn the_headers_of_the_request() {
    let server = Server::start();
    let last = publish(&server);
    let missed = publish(&server);
    let request = get(STREAM)
        .bearer(&user("12345"))
        .field("Last-Event-ID", &last)
        .field("Accept", "text/event-stream");
    open(&server, &request).assert_next(&missed);
}

#[test]
fn the_query_parameters() {
    let server = Server::start();
    let last = publish(&server);
    let missed = publish(&server);
    let ann = user("12345");
    let all = format!("?token={ann}&lastEventId={last}&userId=12345&channels=orders,alerts");
    let mut stream = open(&server, &get(&format!("{STREAM}{all}")));
    stream.connected.assert_connected(Some("12345"), "full", 30_000);
    stream.assert_next(&missed);
    for channel in ["orders", "alerts"] {
        let body = json!({ "event": "e", "data": 1, "channels": [channel] });
        let id = server.publish("/api/events", &publisher(), body);
        stream.assert_next(&id);
    }
    // The examples of the table: a token that is none, another user, and an id of long ago.
    server.send(&get(&format!("{STREAM}?token=abc123"))).assert_problem(401);
    let other = get(&format!("{STREAM}?userId=12345")).bearer(&user("ann"));
    server.send(&other).assert_problem(403);
    let long_ago = get(&format!("{STREAM}?lastEventId=1642678901234")).bearer(&ann);
    let mut stream = server.open(&long_ago);
    stream.next().assert_gap("too_old", "1642678901234");
    stream.next().assert(None, "notification", WELCOME);
    stream.assert_next(&last);
}

#[test]
fn what_was_missed_since_the_last_id_comes_with_its_type_and_data() {
    let server = Server::start();
    let last = publish(&server);
    let note = json!({ "message": "missed", "userId": "12345" });
    let note = server.publish("/api/notifications", DEMO, note);
    let update = json!({ "entity": "order", "action": "deleted", "payload": 7, "broadcast": true });
    let update = server.publish("/api/updates", DEMO, update);
    let by_query = get(&format!("{STREAM}?lastEventId={last}"));
    for request in [by_query, get(STREAM).field("Last-Event-ID", &last)] {
        let mut stream = open(&server, &request.bearer(&user("12345")));
        stream.next().assert(
            Some(&note),
            "notification",
            r#"{"type":"notification","notificationType":"info","message":"missed","duration":5000}"#,
        );
        let data = r#"{"type":"update","entity":"order","action":"deleted","payload":7}"#;
        stream.next().assert(Some(&update), "update", data);
    }
}

#[test]
fn events_of_the_type_notification() {
    let server = Server::start();
    let mut stream = listen(&server, "12345");
    let basic = json!({
        "type": "notification",
        "notificationType": "success",
        "title": "Order Completed",
        "message": "Your order #12345 has been shipped",
        "userId": "12345"
    });
    let id = server.publish("/api/notifications", DEMO, basic);
    let data = r##"{"type":"notification","notificationType":"success","title":"Order Completed","message":"Your order #12345 has been shipped","duration":5000}"##;
    stream.next().assert(Some(&id), "notification", data);
    for kind in ["success", "error", "warning", "info"] {
        let body = json!({
            "type": "notification",
            "notificationType": kind,
            "title": "Optional title",
            "message": "Required message text",
            "duration": 5000,
            "broadcast": true
        });
        let id = server.publish("/api/notifications", DEMO, body);
        let data = format!(
            r#"{{"type":"notification","notificationType":"{kind}","title":"Optional title","message":"Required message text","duration":5000}}"#
        );
        stream.next().assert(Some(&id), "notification", &data);
    }
}

/// `broadcastNotification` and `broadcastUpdate` after an order, as the Node.js example calls them.
#[test]
fn events_of_a_new_order() {
    let server = Server::start();
    let mut streams = [listen(&server, "12345"), listen(&server, "ann")];
    let note = json!({
        "type": "notification",
        "notificationType": "success",
        "title": "New Order",
        "message": "Order #7 has been created",
        "broadcast": true
    });
    let note = server.publish("/api/notifications", &publisher(), note);
    let update = json!({ "entity": "order", "action": "created", "payload": { "id": 7 }, "broadcast": true });
    let update = server.publish("/api/updates", &publisher(), update);
    for stream in &mut streams {
        assert_eq!(stream.assert_next(&note).text("title"), "New Order");
        let data = r#"{"type":"update","entity":"order","action":"created","payload":{"id":7}}"#;
        stream.next().assert(Some(&update), "update", data);
    }
}

#[test]
fn events_of_the_type_update() {
    let server = Server::start();
    let mut stream = listen(&server, "12345");
    for action in ["created", "updated", "deleted"] {
        let body = format!(
            r#"{{
  "type": "update",
  "entity": "order",
  "action": "{action}",
  "payload": {{
    "orderId": 12345,
    "status": "shipped",
    "updatedAt": "2025-07-15T10:30:00Z"
  }},
  "userId": 12345
}}"#
        );
        let id = server.publish("/api/updates", DEMO, body);
        let data = format!(
            r#"{{"type":"update","entity":"order","action":"{action}","payload":{{"orderId":12345,"status":"shipped","updatedAt":"2025-07-15T10:30:00Z"}}}}"#
        );
        stream.next().assert(Some(&id), "update", &data);
    }
}

#[test]
fn events_of_types_of_ones_own() {
    let server = Server::start();
    let mut stream = listen(&server, "12345");
    let data = r#"{
  "userId": 123,
  "action": "login",
  "timestamp": "2025-07-15T10:30:00Z",
  "metadata": {
    "ip": "192.168.1.1",
    "userAgent": "Mozilla/5.0..."
  }
}"#;
    let body = format!(r#"{{"event":"user-action","data":{data},"userId":"12345"}}"#);
    let id = server.publish("/api/events", DEMO, body);
    let data = r#"{"userId":123,"action":"login","timestamp":"2025-07-15T10:30:00Z","metadata":{"ip":"192.168.1.1","userAgent":"Mozilla/5.0..."}}"#;
    stream.next().assert(Some(&id), "user-action", data);
    // What the server and the browser say themselves nobody else can say.
    for reserved in ["open", "error", "connected", "disconnected", "heartbeat", "gap"] {
        let body = json!({ "event": reserved, "data": {}, "broadcast": true });
        let refused = server.post("/api/events", DEMO, body);
        assert!(refused.assert_problem(400).detail().contains("event"), "{}", refused.text());
    }
}

#[test]
fn events_that_keep_a_stream_alive() {
    let server = rill().flags(&["--heartbeat", "1s"]).start();
    let mut stream = listen(&server, "12345");
    let heartbeat = stream.next_named("heartbeat");
    heartbeat.assert(Some(heartbeat.id()), "heartbeat", "{}");
    // Every 30 seconds unless somebody says otherwise.
    let connected = listen(&Server::start(), "12345").connected;
    assert_eq!(connected.json()["heartbeatInterval"], 30_000);
}

const EVENT_SOURCE: &str = "
const eventSource = new EventSource('/api/notifications/stream?token=your_token');

eventSource.onmessage = (event) => {
  console.log('Default message:', JSON.parse(event.data));
};

eventSource.addEventListener('notification', (event) => {
  console.log('Notification:', JSON.parse(event.data));
});

eventSource.addEventListener('update', (event) => {
  console.log('Update:', JSON.parse(event.data));
});

eventSource.onerror = (error) => {
  console.error('SSE error:', error);
};
";

/// In Chromium, on a page of the same origin; the server is killed under it, and it comes back by itself.
#[test]
fn the_event_source_example_goes_on_after_a_crash() {
    let server = Server::start();
    let site = Site::in_front_of(server.address());
    site.sample("/", &EVENT_SOURCE.replace("your_token", DEMO));
    let _chromium = site.visit("app.example", "/");
    let welcome: Value = serde_json::from_str(WELCOME).expect("JSON");
    assert_eq!(site.report(), json!(["Notification:", welcome]));

    server.publish("/api/notifications", DEMO, json!({ "message": "for me" }));
    assert_eq!(site.report()[1]["message"], "for me");
    let update = json!({ "entity": "order", "action": "created", "payload": 7, "broadcast": true });
    server.publish("/api/updates", DEMO, &update);
    let seen = json!({ "type": "update", "entity": "order", "action": "created", "payload": 7 });
    assert_eq!(site.report(), json!(["Update:", seen]));
    let message = json!({ "event": "message", "data": [1], "broadcast": true });
    server.publish("/api/events", DEMO, message);
    assert_eq!(site.report(), json!(["Default message:", [1]]));

    let address = server.address().to_string();
    let setup = server.crash().listen(&address);
    assert_eq!(site.report(), json!(["SSE error:", { "isTrusted": true }]));
    let server = setup.start();
    server.publish("/api/notifications", DEMO, json!({ "message": "missed" }));
    let mut next = site.report();
    // One for each time that it asked in vain.
    while next[0] == "SSE error:" {
        next = site.report();
    }
    assert_eq!(next, json!(["Notification:", welcome]));
    assert_eq!(site.report()[1]["message"], "missed");
}

/// In Chromium, on a page of the same origin, which publishes too. The token is nowhere but in the session's cookie.
#[test]
fn session_based_authentication() {
    let server = with_tokens().start();
    let site = Site::in_front_of(server.address());
    let script = "
document.cookie = 'rill_session=$token';
const eventSource = new EventSource('/api/notifications/stream');
eventSource.addEventListener('notification', async (event) => {
  const { message } = JSON.parse(event.data);
  tell(message);
  if (message !== 'Connected to notification stream') return;
  const headers = { 'Content-Type': 'application/json' };
  const body = JSON.stringify({ message: 'from the page' });
  const answer = await fetch('/api/notifications', { method: 'POST', headers, body });
  if (answer.status !== 200) tell(answer.status);
});
eventSource.onerror = () => tell('error');
";
    site.page("/", &script.replace("$token", &jwt("12345")));
    let _chromium = site.visit("app.example", "/");
    assert_eq!(site.report(), "Connected to notification stream");
    assert_eq!(site.report(), "from the page");
}

/// In Chromium: with `auth.errors = "stream"` a page learns why it is refused, and stays one that comes back.
#[test]
fn error_events() {
    let server = with_tokens().env("RILL_AUTH_ERRORS", "stream").start();
    let site = Site::in_front_of(server.address());
    let script = "
const eventSource = new EventSource('/api/notifications/stream?token=abc123');
eventSource.addEventListener('error', (event) => {
  tell(event.data ? JSON.parse(event.data) : eventSource.readyState === EventSource.CONNECTING);
});
";
    site.page("/", script);
    let _chromium = site.visit("app.example", "/");
    assert_eq!(site.report(), json!({ "error": "Unauthorized", "code": 401 }));
    // The end of that stream.
    assert_eq!(site.report(), true);
    assert_eq!(server.connections(), 0);
}
