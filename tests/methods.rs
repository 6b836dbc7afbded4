//! Methods: what HEAD and OPTIONS answer, and what is refused at a path that takes others.

mod support;

use support::*;

/// Each kind of path, the streams first, with the methods that it takes.
const PATHS: [(&str, &str); 40] = [
    ("/notifications/stream", "GET, HEAD, OPTIONS"),
    ("/realtime/stream", "GET, HEAD, OPTIONS"),
    ("/chat/stream", "GET, HEAD, OPTIONS"),
    ("/system/status/stream", "GET, HEAD, OPTIONS"),
    ("/api/notifications/stream", "GET, HEAD, OPTIONS"),
    ("/sse/connect", "GET, HEAD, OPTIONS"),
    ("/api/sse", "GET, HEAD, POST, OPTIONS"),
    ("/api/sse/stats", "GET, HEAD, OPTIONS"),
    ("/api/sse/connections", "GET, HEAD, OPTIONS"),
    ("/api/sse/connections/1", "GET, HEAD, DELETE, OPTIONS"),
    ("/api/sse/users/ann", "GET, HEAD, DELETE, OPTIONS"),
    ("/notifications/send", "POST, OPTIONS"),
    ("/realtime/update", "POST, OPTIONS"),
    ("/chat/send", "POST, OPTIONS"),
    ("/chat/typing", "POST, OPTIONS"),
    ("/system/maintenance", "POST, OPTIONS"),
    ("/api/notifications", "POST, OPTIONS"),
    ("/api/updates", "POST, OPTIONS"),
    ("/api/events", "POST, OPTIONS"),
    ("/api/sse/disconnect-all", "POST, OPTIONS"),
    ("/sse/users/ann/events", "POST, OPTIONS"),
    ("/sse/conversations/c/events", "POST, OPTIONS"),
    ("/sse/conversations/c/members", "GET, HEAD, PUT, DELETE, OPTIONS"),
    ("/sse/conversations/c/members/ann", "GET, HEAD, PUT, DELETE, OPTIONS"),
    ("/chat/rooms/r/members", "GET, HEAD, PUT, DELETE, OPTIONS"),
    ("/chat/rooms/r/members/ann", "GET, HEAD, PUT, DELETE, OPTIONS"),
    ("/", "GET, HEAD, OPTIONS"),
    ("/sse-client", "GET, HEAD, OPTIONS"),
    ("/openapi.json", "GET, HEAD, OPTIONS"),
    ("/session", "GET, HEAD, POST, DELETE, OPTIONS"),
    ("/presence/ann", "GET, HEAD, OPTIONS"),
    ("/presence/rooms/r", "GET, HEAD, OPTIONS"),
    ("/presence/conversations/c", "GET, HEAD, OPTIONS"),
    ("/system/status", "GET, HEAD, OPTIONS"),
    ("/healthz", "GET, HEAD, OPTIONS"),
    ("/readyz", "GET, HEAD, OPTIONS"),
    ("/metrics", "GET, HEAD, OPTIONS"),
    ("/tickets", "POST, OPTIONS"),
    ("/auth/renew", "POST, OPTIONS"),
    ("/auth/revoke", "POST, OPTIONS"),
];

fn streams() -> impl Iterator<Item = &'static str> {
    PATHS.into_iter().map(|(path, _)| path).take(7)
}

#[test]
fn head_is_the_same_head_without_a_body_and_a_slot() {
    let server = Server::start();
    let fields = |head: &Head| {
        let mut fields = head.fields.clone();
        fields.retain(|(name, _)| name != "date");
        fields.sort();
        fields
    };
    for path in streams() {
        let mut peer = server.connect();
        let head = peer.exchange(&request("HEAD", path).bearer(DEMO)).head;
        peer.exchange(&get("/healthz")).assert_status(200);
        assert_eq!(server.connections(), 0);
        let stream = server.stream(path, DEMO);
        assert_eq!(fields(&head), fields(&stream.head));
        drop(stream);
        server.wait_for_connections(0, ONE_SECOND);
    }
}

#[test]
fn options_is_204() {
    let server = Server::start();
    for (path, methods) in PATHS {
        let plain = server.send(&request("OPTIONS", path));
        plain.assert_status(204).head.assert_value("allow", methods);
        let preflight = request("OPTIONS", path).field("Origin", "http://page.example");
        let response = server.send(&preflight.field("Access-Control-Request-Method", "GET"));
        assert_eq!((response.status(), response.text().as_ref()), (204, ""));
        let allowed =
            response.head.value("access-control-allow-headers").expect("what a page may send");
        let allowed: Vec<_> = allowed.split(", ").map(str::to_ascii_lowercase).collect();
        for name in [
            "authorization",
            "cache-control",
            "content-type",
            "idempotency-key",
            "last-event-id",
            "x-auth-token",
        ] {
            assert!(allowed.iter().any(|allowed| allowed == name), "{name} in {allowed:?}");
        }
    }
}

#[test]
fn other_methods_are_405_with_allow() {
    let server = Server::start();
    for (path, methods) in PATHS {
        let taken: Vec<&str> = methods.split(", ").collect();
        let others = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"].into_iter();
        for method in others.filter(|method| !taken.contains(method)) {
            let refused = request(method, path).bearer(DEMO).field("Content-Length", "0");
            let refused = server.send(&refused);
            refused.assert_status(405).head.assert_value("allow", methods);
        }
    }
}

#[test]
fn methods_that_http_does_not_define_are_501() {
    let server = Server::start();
    for method in ["BREW", "get", "X"] {
        server.send(&request(method, "/notifications/stream").bearer(DEMO)).assert_status(501);
    }
}
