//! How often an address or a user may do something.

mod support;

use std::thread;
use std::time::Duration;

use serde_json::json;
use support::tokens::{admin_jwt, jwt, jwt_with};
use support::*;

const PATH: &str = "/notifications/stream";
const SEND: &str = "/notifications/send";

fn server(rate: &str, value: &str) -> Server {
    rill().without_dev().env(&format!("RILL_RATES_{rate}"), value).start()
}

fn ann() -> String {
    jwt("ann")
}

fn message(token: &str) -> Request {
    post(SEND, r#"{"message":"M"}"#).bearer(token)
}

/// 429, when to come again, and what was exceeded (draft-ietf-httpapi-ratelimit-headers). The seconds to wait.
#[track_caller]
fn assert_exceeded(response: &Response, policy: &str, name: &str, most_seconds: u64) -> u64 {
    let head = &response.assert_problem(429).head;
    head.assert_retry_after();
    let seconds = head.value("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((1..=most_seconds).contains(&seconds), "{seconds}");
    head.assert_value("ratelimit-policy", policy);
    head.assert_value("ratelimit", &format!("\"{name}\";r=0;t={seconds}"));
    seconds
}

/// Comes again when it was told to.
fn wait(seconds: u64) {
    thread::sleep(Duration::from_secs(seconds));
}

#[test]
fn there_are_no_rates_by_default() {
    let server = rill().without_dev().start();
    let mut peer = server.connect();
    for _ in 0..100 {
        peer.exchange(&message(&ann())).published();
        peer.exchange(&message("bad")).assert_problem(401);
        server.open(&get(PATH).bearer(&jwt("eve")).field("Connection", "close"));
        server.wait_for_connections(0, ONE_SECOND);
    }
}

#[test]
fn an_address_asks_for_streams_only_so_often() {
    let server = server("CONNECTS", "3/h");
    let ask = || server.send(&get(PATH).bearer(&ann()));
    for _ in 0..3 {
        ask().assert_status(200);
    }
    assert_exceeded(&ask(), "\"connects\";q=3;w=3600", "connects", 1200);
    // Whoever it is, and whatever stream he asks for.
    let anonymous = server.send(&get("/system/status/stream"));
    assert_exceeded(&anonymous, "\"connects\";q=3;w=3600", "connects", 1200);
    server.send(&get(PATH).bearer(&jwt("bob"))).assert_problem(429);
    server.send(&get(PATH).bearer("bad")).assert_problem(429);
    server.wait_for_connections(0, ONE_SECOND);
    peer_from(2, &server).exchange(&get(PATH).bearer(&ann())).assert_status(200);
    // Other requests are not counted.
    server.send(&message(&ann())).published();
    server.send(&request("HEAD", PATH).bearer(&ann())).assert_status(200);
    server.send(&request("OPTIONS", PATH)).assert_status(204);
}

#[test]
fn a_request_that_is_refused_counts_as_well() {
    let server = server("CONNECTS", "3/h");
    server.send(&get(PATH)).assert_problem(401);
    server.send(&get(PATH).bearer("bad")).assert_problem(401);
    server.send(&get("/notifications/stream?userId=bob").bearer(&ann())).assert_problem(403);
    server.send(&get(PATH).bearer(&ann())).assert_problem(429);
}

#[test]
fn what_needs_no_stream_costs_no_connect() {
    let server = server("CONNECTS", "1/h");
    for _ in 0..5 {
        server.send(&get("/notifications/stream/").bearer(&ann())).assert_problem(404);
        server.send(&request("PUT", PATH)).assert_problem(405);
        server
            .send(&request("OPTIONS", PATH).field("Origin", "https://a.example"))
            .assert_status(204);
        server
            .send(
                &get(PATH)
                    .field("Cookie", format!("rill_session={}", ann()))
                    .field("Origin", "https://a.example"),
            )
            .assert_problem(403);
    }
    server.open(&get(PATH).bearer(&ann()));
}

#[test]
fn refused_connects_take_no_slot() {
    let setup = rill().without_dev().env("RILL_RATES_CONNECTS", "1/h");
    let server = setup.flags(&["--max-connections", "2"]).start();
    let _one = server.stream(PATH, &ann());
    for _ in 0..10 {
        server.send(&get(PATH).bearer(&ann())).assert_problem(429);
    }
    assert_eq!(server.connections(), 1);
    Stream::open(peer_from(2, &server), &get(PATH).bearer(&ann()));
}

#[test]
fn after_bad_credentials_not_even_good_ones_are_looked_at() {
    let server = server("FAILED_CREDENTIALS", "3/h");
    let policy = "\"failed_credentials\";q=3;w=3600";
    server.send(&get(PATH).bearer("bad")).assert_problem(401);
    server.send(&get(&format!("{PATH}?token=bad"))).assert_problem(401);
    server.send(&get(&format!("{PATH}?ticket=bad"))).assert_problem(401);
    for bad in [message("bad"), get(PATH).field("X-Auth-Token", "bad")] {
        assert_exceeded(&server.send(&bad), policy, "failed_credentials", 1200);
    }
    for good in [get(PATH).bearer(&ann()), message(&ann()), post("/tickets", "{}").bearer(&ann())] {
        assert_exceeded(&server.send(&good), policy, "failed_credentials", 1200);
    }
    // Nothing is looked at where there is nothing.
    server.send(&get(PATH)).assert_problem(401);
    server.open(&get("/system/status/stream"));
    server.send(&request("OPTIONS", PATH).bearer("bad")).assert_status(204);
    server.send(&get("/healthz").bearer("bad")).assert_status(200);
    let mut other = peer_from(2, &server);
    other.exchange(&message(&ann())).published();
    other.exchange(&message("bad")).assert_problem(401);
}

#[test]
fn good_credentials_and_missing_ones_are_no_failures() {
    let server = server("FAILED_CREDENTIALS", "1/h");
    for _ in 0..10 {
        server.send(&get(PATH)).assert_problem(401);
        server.send(&message(&ann())).published();
        server.send(&get("/notifications/stream?userId=bob").bearer(&ann())).assert_problem(403);
    }
}

#[test]
fn a_user_publishes_only_so_often_wherever_he_is() {
    let server = server("PUBLISHES", "3/h");
    server.send(&message(&ann())).published();
    peer_from(2, &server).exchange(&message(&ann())).published();
    server.send(&post("/chat/typing", r#"{"roomId":"r"}"#).bearer(&ann())).assert_status(200);
    for mut peer in [server.connect(), peer_from(3, &server)] {
        let policy = "\"publishes\";q=3;w=3600";
        assert_exceeded(&peer.exchange(&message(&ann())), policy, "publishes", 1200);
    }
    server.send(&message(&jwt("bob"))).published();
    // He may listen, and hears nothing of what was refused.
    let mut stream = server.stream(PATH, &ann());
    let to_all = post(SEND, r#"{"message":"M","broadcast":true}"#)
        .bearer(&jwt_with("eve", json!({ "roles": ["publisher"] })));
    stream.assert_next(&server.send(&to_all).published().0);
}

#[test]
fn a_publish_beyond_the_rate_is_refused_before_its_body() {
    let server = server("PUBLISHES", "1/h");
    server.send(&message(&ann())).published();
    let unsent = post(SEND, "").without("Content-Length").field("Content-Length", "100");
    server.send(&unsent.bearer(&ann())).assert_problem(429);
    let plain = message(&ann()).without("Content-Type").field("Content-Type", "text/plain");
    server.send(&plain).assert_problem(429);
}

#[test]
fn changes_of_members_are_publishes_and_refused_before_their_body() {
    let server = server("PUBLISHES", "2/h");
    let list = "/chat/rooms/r/members";
    let by_admin = |method: &str, path: &str| request(method, path).bearer(&admin_jwt());
    server.send(&by_admin("PUT", "/chat/rooms/r/members/ann")).assert_status(200);
    server.send(&put(list, r#"{"members":["ann"]}"#).bearer(&admin_jwt())).assert_status(200);
    server.send(&put(list, "no JSON").bearer(&admin_jwt())).assert_problem(429);
    server.send(&by_admin("DELETE", list)).assert_problem(429);
    server.send(&by_admin("GET", list)).assert_status(200);
}

#[test]
fn a_user_publishes_only_so_many_bytes() {
    let setup = rill().without_dev().env("RILL_HTTP_BODY_LIMIT", "1KiB");
    let server = setup.env("RILL_RATES_BYTES", "2000/h").start();
    let sized = |size: usize| {
        let frame = r#"{"message":""}"#.len();
        format!(r#"{{"message":"{}"}}"#, "x".repeat(size - frame))
    };
    let send = |size: usize, token: &str| server.send(&post(SEND, sized(size)).bearer(token));
    let mut stream = server.stream(PATH, &ann());
    let first = send(900, &ann()).published().0;
    let body = sized(900);
    let chunked = post(SEND, format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    let chunked = chunked.without("Content-Length").field("Transfer-Encoding", "chunked");
    let second = server.send(&chunked.bearer(&ann())).published().0;
    let policy = "\"bytes\";q=2000;qu=\"content-bytes\";w=3600";
    assert_exceeded(&send(900, &ann()), policy, "bytes", 3600);
    send(900, &jwt("bob")).published();
    // What was refused cost nothing, so that there is room for a small one.
    let third = send(150, &ann()).published().0;
    send(150, &ann()).assert_problem(429);
    for id in [first, second, third] {
        stream.assert_next(&id);
    }
}

#[test]
fn a_stream_beyond_the_rate_may_be_told_to_come_back() {
    let setup = rill().without_dev().env("RILL_REFUSE_STREAMS", "retry");
    let server = setup.env("RILL_RATES_CONNECTS", "1/h").env("RILL_RATES_PUBLISHES", "1/h").start();
    let _stream = server.stream(PATH, &ann());
    let mut peer = server.connect();
    peer.send(get(PATH).bearer(&ann()).bytes());
    let head = peer.head();
    assert!(head.status == 200 && head.is_stream(), "{head:?}");
    let body = String::from_utf8(peer.body(&head)).expect("text");
    let retry = body.strip_prefix("retry: ").and_then(|rest| rest.strip_suffix("\n\n"));
    let retry: u32 =
        retry.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("{body:?}"));
    assert!((10_000..=60_000).contains(&retry), "{body:?}");
    assert_eq!(server.connections(), 1);
    // An EventSource is not what publishes.
    server.send(&message(&ann())).published();
    server.send(&message(&ann())).assert_problem(429);
}

#[test]
fn whoever_waits_as_told_may_come_again() {
    let setup = rill().without_dev().env("RILL_RATES_CONNECTS", "1/s");
    let server = setup.env("RILL_RATES_PUBLISHES", "1/s").start();
    for request in [message(&ann()), get(PATH).bearer(&ann())] {
        server.send(&request).assert_status(200);
        let refused = server.send(&request);
        let policy = if request.bytes().starts_with(b"GET") { "connects" } else { "publishes" };
        wait(assert_exceeded(&refused, &format!("\"{policy}\";q=1;w=1"), policy, 1));
        server.send(&request).assert_status(200);
    }
}

#[test]
fn whoever_was_shut_out_may_try_again_after_the_time() {
    let server = server("FAILED_CREDENTIALS", "1/s");
    server.send(&message("bad")).assert_problem(401);
    let refused = server.send(&message("bad"));
    let policy = "\"failed_credentials\";q=1;w=1";
    wait(assert_exceeded(&refused, policy, "failed_credentials", 1));
    server.send(&message(&ann())).published();
    server.send(&message("bad")).assert_problem(401);
}

/// A rate of an address is none where there is no address.
#[test]
fn a_unix_socket_has_only_the_rates_of_users() {
    let setup = rill().without_dev().listen_unix().env("RILL_RATES_CONNECTS", "1/h");
    let setup = setup.env("RILL_RATES_FAILED_CREDENTIALS", "1/h");
    let server = setup.env("RILL_RATES_PUBLISHES", "1/h").start();
    let ask = |request: &Request| Peer::unix(server.unix_path()).exchange(request);
    for _ in 0..3 {
        ask(&get(PATH).bearer(&ann())).assert_status(200);
        ask(&get(PATH).bearer("bad")).assert_problem(401);
    }
    ask(&message(&ann())).published();
    ask(&message(&ann())).assert_problem(429);
}

#[test]
fn what_is_no_rate_is_refused_at_the_start() {
    for (variable, value) in [
        ("RILL_RATES_CONNECTS", "0/s"),
        ("RILL_RATES_CONNECTS", "10"),
        ("RILL_RATES_PUBLISHES", "10/d"),
        ("RILL_RATES_FAILED_CREDENTIALS", "-1/s"),
        // No body of the largest size would ever pass.
        ("RILL_RATES_BYTES", "1000/s"),
    ] {
        let output = rill().env(variable, value).output();
        let said = String::from_utf8_lossy(&output.stderr);
        let key = variable.trim_start_matches("RILL_RATES_").to_lowercase();
        assert!(!output.status.success(), "{variable}={value}");
        assert!(said.contains(variable) || said.contains(&format!("rates.{key}")), "{said}");
    }
}
