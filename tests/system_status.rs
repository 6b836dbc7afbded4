//! `/system/status` and its stream, `/healthz`, `/readyz`: measured values in the documented shape.

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::*;

/// `12MB` or `3%`: the number.
#[track_caller]
fn measure(value: &Value, unit: &str) -> f64 {
    let text = value.as_str().expect("a text");
    let number = text.strip_suffix(unit).unwrap_or_else(|| panic!("{text:?} is not in {unit}"));
    number.parse().unwrap_or_else(|_| panic!("{text:?} is no number of {unit}"))
}

/// The members that the status and its event have in common, in their order.
fn members(status: &Value) -> String {
    let [uptime, connections, memory, cpu] =
        ["uptime", "connections", "memory", "cpu"].map(|name| &status[name]);
    format!(
        r#""status":"healthy","uptime":{uptime},"connections":{connections},"memory":{memory},"cpu":{cpu}"#
    )
}

#[test]
fn the_status_is_the_documented_object() {
    let server = Server::start();
    let response = server.send(&get("/system/status"));
    response.assert_status(200).head.assert_value("access-control-allow-origin", "*");
    assert!(
        response
            .head
            .value("content-type")
            .is_some_and(|kind| kind.starts_with("application/json"))
    );
    let status = response.json();
    assert_eq!(response.text(), format!("{{{}}}", members(&status)));
    assert!(status["uptime"].is_u64() && status["connections"].is_u64(), "{status}");
}

#[test]
fn its_values_are_measured() {
    let server = Server::start();
    let first = server.status();
    assert_eq!(first["connections"], 0);
    assert!(first["uptime"].as_u64().is_some_and(|uptime| uptime < 30), "{first}");
    let measured = server.memory("VmRSS") as f64 / 1e6;
    let said = measure(&first["memory"], "MB");
    assert!(
        (measured / 2.0 - 2.0..measured * 2.0 + 2.0).contains(&said),
        "{said} MB, but it has {measured}"
    );
    assert!((0.0..=6400.0).contains(&measure(&first["cpu"], "%")), "{first}");

    let streams: Vec<_> =
        (0..3).map(|n| server.stream("/chat/stream", &user(&format!("user{n}")))).collect();
    assert_eq!(server.connections(), 3);
    drop(streams);
    server.wait_for_connections(0, ONE_SECOND);
    eventually(FIVE_SECONDS, "a later uptime", || {
        server.status()["uptime"].as_u64() > first["uptime"].as_u64()
    });
}

#[test]
fn its_stream_tells_it_now_and_then() {
    let server = rill().env("RILL_STATUS_INTERVAL", "1s").start();
    let opened = Instant::now();
    let mut stream = server.open(&get("/system/status/stream"));
    let times = [(); 3].map(|()| {
        let event = stream.next_of_all();
        event.assert(
            None,
            "status",
            &format!(r#"{{{},"timestamp":"$now"}}"#, members(&event.json())),
        );
        assert_eq!(event.json()["connections"], 1);
        opened.elapsed()
    });
    assert!(times[0] < Duration::from_millis(900), "not at once: {times:?}");
    assert!(times[2] - times[1] > Duration::from_millis(700), "not every second: {times:?}");
}

#[test]
fn the_realtime_stream_tells_it_too() {
    let server = rill().env("RILL_STATUS_INTERVAL", "1s").start();
    let mut stream = server.stream("/realtime/stream", &user("ann"));
    let event = stream.next_named("status");
    event.assert(None, "status", &format!(r#"{{{},"timestamp":"$now"}}"#, members(&event.json())));
}

#[test]
fn a_server_that_runs_is_healthy_and_ready() {
    let server = Server::start();
    for path in ["/healthz", "/readyz"] {
        server.send(&get(path)).assert_status(200);
        let head = server.send(&request("HEAD", path));
        assert_eq!((head.status(), head.body.len()), (200, 0));
        server.send(&post(path, "{}")).assert_problem(405);
    }
}

/// Nobody needs a credential here; one that is shown has to be good, as anywhere.
#[test]
fn a_bad_credential_is_refused_here_too() {
    let server = support::tokens::with_tokens().start();
    for path in ["/system/status", "/healthz", "/readyz", "/metrics"] {
        server.send(&get(path)).assert_status(200);
        server.send(&get(path).bearer(&support::tokens::jwt("ann"))).assert_status(200);
        server.send(&get(path).bearer("forged")).assert_problem(401);
        server.send(&get(path).field("Cookie", "rill_session=forged")).assert_problem(401);
        server.send(&get(path).bearer("one").field("X-Auth-Token", "two")).assert_problem(400);
        // For a proxy, not for us.
        server.send(&get(path).field("Authorization", "Basic YTpi")).assert_status(200);
    }
}

#[test]
fn probes_are_answered_whatever_the_rates_say() {
    let server = support::tokens::with_tokens();
    let server = server.env("RILL_RATES_FAILED_CREDENTIALS", "1/h").start();
    server.send(&get("/system/status").bearer("forged")).assert_problem(401);
    for path in ["/healthz", "/readyz"] {
        server.send(&get(path)).assert_status(200);
        server.send(&get(path).bearer("forged")).assert_status(200);
    }
    server.send(&get("/system/status").bearer("forged")).assert_problem(429);
    server.send(&get("/system/status")).assert_status(200);
}
