//! `?userId=`: the caller's own, another's for an admin, and an identity where a proxy or `--dev` vouches for it.

mod support;

use support::*;

/// The streams that are a user's.
const PATHS: [&str; 6] = [
    "/notifications/stream",
    "/realtime/stream",
    "/chat/stream",
    "/api/notifications/stream",
    "/sse/connect",
    "/api/sse",
];

fn of(path: &str, user: &str) -> Request {
    get(&format!("{path}?userId={user}"))
}

/// To a user, where he listens.
fn send(server: &Server, path: &str, user: &str) -> String {
    match path {
        "/notifications/stream" => server.notify(user, "M"),
        _ => {
            let body = r#"{"event":"e","data":1}"#;
            server.publish(&format!("/sse/users/{user}/events"), DEMO, body)
        }
    }
}

#[test]
fn it_is_the_callers_own_or_an_admin_asks() {
    let server = Server::start();
    for path in PATHS {
        let own = server.open(&of(path, "ann").bearer(&user("ann")));
        own.connected.assert_connected(Some("ann"), "none", 30_000);
        for roles in ["user", "publisher"] {
            server.send(&of(path, "bob").bearer(&token("ann", roles))).assert_problem(403);
        }
        let bobs = server.open(&of(path, "bob").bearer(DEMO));
        bobs.connected.assert_connected(Some("bob"), "none", 30_000);
        drop((own, bobs));
        server.wait_for_connections(0, ONE_SECOND);
    }
}

#[test]
fn an_admin_hears_what_is_for_the_other() {
    let server = Server::start();
    for path in ["/notifications/stream", "/api/notifications/stream", "/sse/connect", "/api/sse"] {
        let mut bobs = server.open(&of(path, "bob").bearer(DEMO));
        send(&server, path, "test123");
        let id = send(&server, path, "bob");
        let first = bobs.next();
        // The guide's stream begins with something of its own.
        let event = if first.id.is_none() { bobs.next() } else { first };
        assert_eq!(event.id(), id, "{path}");
    }
}

#[test]
fn alone_it_is_an_identity_under_dev() {
    let server = Server::start();
    for path in PATHS {
        let ann = server.open(&of(path, "ann"));
        ann.connected.assert_connected(Some("ann"), "none", 30_000);
        drop(ann);
        server.wait_for_connections(0, ONE_SECOND);
    }
    let mut ann = server.open(&of("/sse/connect", "ann"));
    let id = send(&server, "/sse/connect", "ann");
    ann.assert_next(&id);
}

#[test]
fn alone_it_is_an_identity_behind_a_trusted_proxy() {
    let server = rill().without_dev().env("RILL_AUTH_TRUST_USER_ID", "true").start();
    for path in PATHS {
        let ann = server.open(&of(path, "ann"));
        ann.connected.assert_connected(Some("ann"), "none", 30_000);
        drop(ann);
        server.wait_for_connections(0, ONE_SECOND);
    }
}

#[test]
fn alone_it_is_403_otherwise() {
    let server = rill().without_dev().start();
    for path in PATHS {
        server.send(&of(path, "ann")).assert_problem(403);
    }
    assert_eq!(server.connections(), 0);
}
