//! Streams by ticket that come back: to their own place, in time, and nobody in their stead.

mod support;

use serde_json::json;
use support::tickets::*;
use support::tokens::{in_seconds, jwt, jwt_with, with_tokens};
use support::*;

fn server() -> Server {
    with_tokens().start()
}

#[test]
fn a_stream_takes_its_own_place_when_it_comes_back() {
    let server = with_one_stream().start();
    let ticket = ticket(&server);
    let mut stream = server.open(&by(&ticket));
    for _ in 0..5 {
        let seen = notify(&server);
        stream.assert_next(&seen);
        let missed = notify(&server);
        let mut back = server.open(&by(&ticket).cursor(&seen));
        back.connected.assert_connected(Some("ann"), "full", 30_000);
        back.assert_next(&missed);
        // It had been sent to the old one too.
        stream.next_named("disconnected").assert_disconnected("replaced");
        stream.assert_ended();
        stream = back;
    }
    server.wait_for_connections(1, ONE_SECOND);
    server.send(&get(PATH).bearer(&jwt("ann"))).assert_problem(429);
}

#[test]
fn a_stream_comes_back_after_a_cut() {
    let server = with_one_stream().start();
    let ticket = ticket(&server);
    let stream = server.open(&by(&ticket));
    let cursor = stream.connected.id().to_owned();
    stream.into_peer().abort();
    server.wait_for_connections(0, ONE_SECOND);
    let missed = notify(&server);
    let mut back = server.open(&by(&ticket).cursor(&cursor));
    back.assert_next(&missed);
    drop(back);
    server.wait_for_connections(0, ONE_SECOND);
    server.open(&by(&ticket).cursor(&missed)).connected.assert_connected(
        Some("ann"),
        "full",
        30_000,
    );
}

#[test]
fn a_stream_comes_back_in_time_or_not_at_all() {
    let server = hasty().start();
    let ticket = ticket(&server);
    let stream = server.open(&by(&ticket));
    // As long as it is there, no time passes for the ticket.
    outlast();
    let mut back = server.open(&by(&ticket).cursor(stream.connected.id()));
    back.connected.assert_connected(Some("ann"), "full", 30_000);
    let cursor = notify(&server);
    back.assert_next(&cursor);
    drop((stream, back));
    server.wait_for_connections(0, ONE_SECOND);
    outlast();
    assert_dead(&server, &by(&ticket).cursor(&cursor));
}

/// Whoever reads a ticket in a log has no place in its stream.
#[test]
fn a_used_ticket_needs_a_cursor_of_this_log() {
    let server = server();
    let ticket = ticket(&server);
    let stream = server.open(&by(&ticket));
    let cursor = stream.connected.cursor();
    let (id, epoch) = (stream.connected.id(), cursor.epoch.clone());
    let made_up = [
        String::new(),
        "x".into(),
        "0".into(),
        "0-0".into(),
        "1-1.x".into(),
        cursor.ms.to_string(),
        format!("{}", cursor.ms + 1000),
        format!("{}-{}", cursor.ms, cursor.seq),
        format!("{}-{}.{}", cursor.ms, cursor.seq, epoch.chars().rev().collect::<String>() + "0"),
        format!("{}-{}.", cursor.ms, cursor.seq),
        format!("{}-{}.{epoch}", cursor.ms + 100_000, cursor.seq),
        format!("{id} ") + "x",
        format!("{id},{id}"),
    ];
    for made_up in &made_up {
        assert_dead(&server, &by(&ticket).cursor(made_up));
    }
    assert_dead(&server, &by(&ticket).cursor(id).cursor(id));
    // It would be in the log too.
    assert_dead(&server, &get(&format!("{PATH}?ticket={ticket}&lastEventId={id}")));
    assert_eq!(server.connections(), 1);
    server.open(&by(&ticket).cursor(id));
}

/// No stream goes on from before it began.
#[test]
fn a_used_ticket_needs_a_cursor_of_its_stream() {
    let server = server();
    let before = notify(&server);
    notify(&server);
    let ticket = ticket(&server);
    let _stream = server.open(&by(&ticket));
    let epoch = Cursor::parse(&before).epoch;
    for earlier in [before, format!("1-0.{epoch}")] {
        assert_dead(&server, &by(&ticket).cursor(earlier));
    }
}

/// Of an IPv6 address a client chooses the lower half itself, and may choose it anew.
#[test]
fn a_stream_comes_back_from_its_own_ipv6_network() {
    let server = with_tokens().env("RILL_HTTP_TRUSTED_PROXIES", "127.0.0.1").start();
    let ticket = ticket(&server);
    let from = |address: &str| by(&ticket).field("X-Forwarded-For", address);
    let stream = server.open(&from("2001:db8::1"));
    let cursor = stream.connected.id();
    assert_dead(&server, &from("2001:db8:0:1::1").cursor(cursor));
    server.open(&from("2001:db8::ffff:1").cursor(cursor));
}

/// How far the log is, everybody can read in the public stream of the server's status; where the stream's
/// client is, nobody else is.
#[test]
fn a_ticket_from_a_log_is_worth_nothing_with_a_public_cursor() {
    let server = with_tokens().env("RILL_HTTP_TRUSTED_PROXIES", "127.0.0.1").start();
    let ticket = ticket(&server);
    let from = |address: &str| by(&ticket).field("X-Forwarded-For", address);
    let mut stream = server.open(&from("10.0.0.1"));
    let public = server.open(&get("/system/status/stream"));
    let cursor = public.connected.id();
    assert_dead(&server, &from("10.0.0.2").cursor(cursor));
    stream.assert_next(&notify(&server));
    let _back = server.open(&from("10.0.0.1").cursor(cursor));
    stream.next_named("disconnected").assert_disconnected("replaced");
}

/// One ticket, one stream, whoever and whatever the streams say that they are.
#[test]
fn streams_of_a_ticket_are_of_one_client_and_one_user() {
    let server = server();
    let admin = jwt_with("root", json!({ "roles": ["admin"] }));
    let ticket = ticket_with(&server, &admin, json!({ "path": PATH }));
    let with = |parameters: &str| get(&format!("{PATH}?ticket={ticket}{parameters}"));
    let first = server.open(&with("&client=a&userId=bob"));
    let cursor = first.connected.id();
    for other in [
        "",
        "&client=b",
        "&client=b&userId=bob",
        "&userId=bob",
        "&client=a",
        "&client=a&userId=eve",
    ] {
        assert_dead(&server, &with(other).cursor(cursor));
    }
    assert_eq!(server.connections(), 1);
    let _second = server.open(&with("&userId=bob&client=a").cursor(cursor));
    server.wait_for_connections(1, ONE_SECOND);
}

#[test]
fn a_return_that_is_refused_costs_no_ticket() {
    let server = with_one_stream().start();
    let ticket = ticket(&server);
    let stream = server.open(&by(&ticket));
    let cursor = stream.connected.id().to_owned();
    drop(stream);
    server.wait_for_connections(0, ONE_SECOND);
    let other = server.stream(PATH, &jwt("ann"));
    server.send(&by(&ticket).cursor(&cursor)).assert_problem(429);
    drop(other);
    server.wait_for_connections(0, ONE_SECOND);
    server.open(&by(&ticket).cursor(&cursor)).connected.assert_connected(
        Some("ann"),
        "full",
        30_000,
    );
}

#[test]
fn a_stream_comes_back_after_a_restart() {
    let mut server = server();
    let ticket = ticket(&server);
    let mut cursor = server.open(&by(&ticket)).connected.id().to_owned();
    for crashes in [true, false] {
        let missed = notify(&server);
        let setup = if crashes { server.crash() } else { server.stop() };
        server = setup.start();
        let mut back = server.open(&by(&ticket).cursor(&cursor));
        back.connected.assert_connected(Some("ann"), "full", 30_000);
        back.assert_next(&missed);
        cursor = missed;
    }
    assert_dead(&server, &by(&ticket));
}

#[test]
fn a_ticket_that_waits_outlasts_a_restart_and_opens_one_stream() {
    let server = server();
    let waiting = ticket(&server);
    let server = server.crash().start();
    let stream = server.open(&by(&waiting));
    let cursor = stream.connected.id().to_owned();
    let server = server.crash().start();
    assert_dead(&server, &by(&waiting));
    server.open(&by(&waiting).cursor(&cursor));
}

#[test]
fn whose_stream_it_was_is_known_after_a_restart() {
    let start = || with_tokens().env("RILL_HTTP_TRUSTED_PROXIES", "127.0.0.1");
    let server = start().start();
    let ticket = ticket(&server);
    let from = |address: &str| by(&ticket).field("X-Forwarded-For", address);
    let cursor = server.open(&from("10.0.0.1")).connected.id().to_owned();
    let server = server.crash().start();
    assert_dead(&server, &from("10.0.0.2").cursor(&cursor));
    server.open(&from("10.0.0.1").cursor(&cursor));
}

#[test]
fn a_path_that_was_chosen_is_kept_over_a_restart() {
    let server = server();
    let ticket = ticket_with(&server, &jwt("ann"), json!({}));
    let cursor = server.open(&by(&ticket)).connected.id().to_owned();
    let server = server.crash().start();
    assert_dead(&server, &get(&format!("{OTHER_PATH}?ticket={ticket}")).cursor(&cursor));
    server.open(&by(&ticket).cursor(&cursor));
}

/// A stream by ticket is renewed as any; its ticket stays what it was.
#[test]
fn a_renewal_is_for_the_stream_and_not_for_its_ticket() {
    let server = with_tokens().env("RILL_AUTH_EXPIRY_NOTICE", "0s").start();
    let exp = in_seconds(2);
    let token = jwt_with("ann", json!({ "exp": exp }));
    let ticket = ticket_with(&server, &token, json!({ "path": PATH }));
    let mut stream = server.open(&by(&ticket));
    let mut witness = server.stream(PATH, &token);
    let body = json!({ "connectionId": stream.connected.text("connectionId") });
    server.post("/auth/renew", &jwt("ann"), body).assert_status(200);
    witness.next_named("disconnected").assert_disconnected("token_expired");
    let id = notify(&server);
    stream.assert_next(&id);
    // A stream may be ended a tick before its credential is.
    eventually(ONE_SECOND, "the token has ended", || in_seconds(0) > exp);
    assert_dead(&server, &by(&ticket).cursor(&id));
}
