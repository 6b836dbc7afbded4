//! Tickets: what stands in a URL in place of a token, and opens one stream.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::tickets::*;
use support::tokens::{in_seconds, jwt, jwt_with, with_tokens};
use support::*;

fn server() -> Server {
    with_tokens().start()
}

#[test]
fn a_ticket_opens_one_stream() {
    let server = server();
    let ticket = ticket(&server);
    let mut stream = server.open(&by(&ticket));
    stream.connected.assert_connected(Some("ann"), "none", 30_000);
    stream.assert_next(&notify(&server));
    assert_dead(&server, &by(&ticket));
    drop(stream);
    server.wait_for_connections(0, ONE_SECOND);
    assert_dead(&server, &by(&ticket));
}

#[test]
fn a_ticket_says_how_long_it_lasts() {
    let expires_in =
        |server: &Server| server.post("/tickets", &jwt("ann"), "{}").json()["expiresIn"].clone();
    assert_eq!(expires_in(&server()), 60);
    assert_eq!(expires_in(&hasty().start()), 1);
}

#[test]
fn a_ticket_is_for_its_path() {
    let server = server();
    let ticket = ticket(&server);
    for other in [OTHER_PATH, "/chat/stream", "/api/notifications/stream", "/system/status/stream"]
    {
        assert_dead(&server, &get(&format!("{other}?ticket={ticket}")));
    }
    server.open(&by(&ticket));
}

#[test]
fn without_a_path_the_first_stream_chooses() {
    let server = server();
    let ticket = ticket_with(&server, &jwt("ann"), json!({ "path": null }));
    let other = get(&format!("{OTHER_PATH}?ticket={ticket}"));
    let stream = server.open(&by(&ticket));
    let cursor = stream.connected.id();
    assert_dead(&server, &other.clone().cursor(cursor));
    server.open(&by(&ticket).cursor(cursor));
}

#[test]
fn only_streams_have_tickets() {
    let server = server();
    for body in [
        json!({ "path": "/notifications/send" }),
        json!({ "path": "/nowhere" }),
        json!({ "path": "/notifications/stream/" }),
        json!({ "path": "/notifications/stream?userId=bob" }),
        json!({ "path": "" }),
        json!({ "path": 1 }),
        json!({ "path": [PATH] }),
    ] {
        server.post("/tickets", &jwt("ann"), body).assert_problem(422);
    }
    let ticket = ticket_with(&server, &jwt("ann"), json!({}));
    for path in ["/notifications/send", "/tickets", "/auth/renew", "/auth/revoke"] {
        assert_dead(&server, &post(&format!("{path}?ticket={ticket}"), r#"{"message":"M"}"#));
    }
    let no_ticket = server.send(&post("/tickets", "{}"));
    assert_eq!(no_ticket.assert_problem(401).head.value("www-authenticate"), Some("Bearer"));
    server.open(&by(&ticket));
}

#[test]
fn made_up_tickets() {
    let server = server();
    let good = ticket(&server);
    let last = if good.ends_with('A') { "B" } else { "A" };
    let changed = format!("{}{last}", &good[..good.len() - 1]);
    for made_up in [
        "",
        "x",
        "null",
        &"A".repeat(43),
        &"A".repeat(4000),
        &changed,
        &good[1..],
        &format!("{good}="),
        &good.to_lowercase(),
        &jwt("ann"),
    ] {
        assert_dead(&server, &by(made_up));
        let with_cursor = by(made_up).cursor(format!("1-0.{}", "0".repeat(8)));
        assert_dead(&server, &with_cursor);
    }
    // A ticket is no token.
    assert_dead(&server, &get(PATH).bearer(&good));
    assert_dead(&server, &get(&format!("{PATH}?token={good}")));
    server.open(&by(&good));
}

#[test]
fn a_ticket_beside_another_credential() {
    let server = server();
    let (ticket, token) = (ticket(&server), jwt("ann"));
    for request in [
        by(&ticket).bearer(&token),
        by(&ticket).field("X-Auth-Token", &token),
        get(&format!("{PATH}?ticket={ticket}&token={token}")),
        get(&format!("{PATH}?ticket={ticket}&ticket={ticket}")),
    ] {
        server.send(&request).assert_problem(400);
    }
    // It is explicit, and so goes before the cookie.
    let with_cookie = by(&ticket).field("Cookie", format!("rill_session={}", jwt("bob")));
    server.open(&with_cookie).connected.assert_connected(Some("ann"), "none", 30_000);
}

#[test]
fn a_ticket_waits_no_longer_than_its_time() {
    let server = hasty().start();
    let ticket = ticket(&server);
    outlast();
    assert_dead(&server, &by(&ticket));
    let cursor = server.stream(PATH, &jwt("ann")).connected.id().to_owned();
    assert_dead(&server, &by(&ticket).cursor(cursor));
}

#[test]
fn a_ticket_ends_with_its_token() {
    let server = with_tokens().env("RILL_AUTH_EXPIRY_NOTICE", "1s").start();
    let exp = in_seconds(2);
    let token = jwt_with("ann", json!({ "exp": exp }));
    let make = || ticket_with(&server, &token, json!({ "path": PATH }));
    let (used, waiting) = (make(), make());
    let stream = server.open(&by(&used));
    let mut back = server.open(&by(&used).cursor(stream.connected.id()));
    let cursor = back.connected.id().to_owned();
    assert_eq!(back.next().name(), "token-expiring");
    back.next().assert_disconnected("token_expired");
    back.assert_ended();
    // A stream may be ended a tick before its credential is.
    eventually(ONE_SECOND, "the token has ended", || in_seconds(0) > exp);
    assert_dead(&server, &by(&used).cursor(cursor));
    assert_dead(&server, &by(&waiting));
}

#[test]
fn a_ticket_carries_what_its_token_may() {
    let server = server();
    let claims = json!({ "rooms": ["team-*"], "channels": ["private-x"], "name": "Ann" });
    let make = |claims: &Value| ticket_with(&server, &jwt_with("ann", claims.clone()), json!({}));
    let open = |path: &str, claims: &Value| {
        let mark = if path.contains('?') { '&' } else { '?' };
        server.send(&get(&format!("{path}{mark}ticket={}", make(claims))))
    };
    open("/chat/stream?room=team-1", &claims).assert_status(200);
    open("/chat/stream?room=other", &claims).assert_problem(403);
    open("/api/notifications/stream?channels=private-x", &claims).assert_status(200);
    open("/api/notifications/stream?channels=orders", &claims).assert_problem(403);
    open("/notifications/stream?userId=bob", &claims).assert_problem(403);
    open("/notifications/stream?userId=bob", &json!({ "roles": ["admin"] })).assert_status(200);
}

#[test]
fn a_refused_stream_costs_no_ticket() {
    let server = with_one_stream().flags(&["--max-connections", "2"]).start();
    let make = |path: &str| {
        ticket_with(&server, &jwt_with("ann", json!({ "rooms": ["r"] })), json!({ "path": path }))
    };
    let (ticket, chat) = (make(PATH), make("/chat/stream"));
    let own = server.stream(PATH, &jwt("ann"));
    server.send(&by(&ticket)).assert_problem(429);
    drop(own);
    server.wait_for_connections(0, ONE_SECOND);
    let others = [server.stream(PATH, &jwt("bob")), server.stream(PATH, &jwt("eve"))];
    server.send(&by(&ticket)).assert_problem(503);
    drop(others);
    server.wait_for_connections(0, ONE_SECOND);
    server.send(&by(&ticket).field("Accept", "text/html")).assert_problem(406);
    server.send(&get(&format!("{PATH}?ticket={ticket}&userId=bob"))).assert_problem(403);
    server.send(&get(&format!("{PATH}?ticket={ticket}&client=%00"))).assert_problem(400);
    let head = request("HEAD", &format!("{PATH}?ticket={ticket}"));
    server.send(&head).assert_status(200);
    server.send(&get(&format!("/chat/stream?ticket={chat}&room=other"))).assert_problem(403);
    drop(server.open(&by(&ticket)));
    server.wait_for_connections(0, ONE_SECOND);
    server.open(&get(&format!("/chat/stream?ticket={chat}&room=r")));
}

#[test]
fn a_user_has_a_hundred_waiting_at_most() {
    let server = server();
    let first = ticket(&server);
    for _ in 1..100 {
        ticket(&server);
    }
    let response = server.post("/tickets", &jwt("ann"), "{}");
    response.assert_problem(429).head.assert_retry_after();
    ticket_with(&server, &jwt("bob"), json!({}));
    let _stream = server.open(&by(&first));
    ticket(&server);
    server.post("/tickets", &jwt("ann"), "{}").assert_problem(429);
}

/// Those that nobody used give their room back by the time that a refusal tells.
#[test]
fn time_makes_room_for_tickets() {
    let server = hasty().start();
    for _ in 0..100 {
        ticket(&server);
    }
    let response = server.post("/tickets", &jwt("ann"), "{}");
    let told = response.assert_problem(429).head.value("retry-after").expect("a time");
    let within = Duration::from_secs(told.parse().expect("seconds")) + ONE_SECOND;
    eventually(within, "room", || server.post("/tickets", &jwt("ann"), "{}").status() == 200);
}

/// As a client does that fetches a ticket for each stream.
#[test]
fn a_new_ticket_goes_on_from_a_cursor() {
    let server = server();
    let seen = notify(&server);
    let missed = notify(&server);
    let by_parameter = get(&format!("{PATH}?ticket={}&lastEventId={seen}", ticket(&server)));
    for request in [by(&ticket(&server)).cursor(&seen), by_parameter] {
        let mut stream = server.open(&request);
        stream.connected.assert_connected(Some("ann"), "full", 30_000);
        stream.assert_next(&missed);
    }
}

/// What a ticket is for: URLs that end up in logs have no token in them.
#[test]
fn tickets_need_no_tokens_in_urls() {
    let server = with_tokens().env("RILL_AUTH_QUERY_TOKENS", "false").start();
    server.send(&get(&format!("{PATH}?token={}", jwt("ann")))).assert_problem(401);
    server.open(&by(&ticket(&server)));
}
