//! `GET /metrics`: what was counted, in the form that Prometheus reads.

mod support;

use support::*;

/// The value of a line, 0 if it is not there yet.
fn value(server: &Server, name: &str) -> f64 {
    let response = server.send(&get("/metrics"));
    response.assert_status(200);
    let text = response.text().into_owned();
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().expect("a number"))
}

#[test]
fn its_form_is_that_of_openmetrics() {
    let server = Server::start();
    let response = server.send(&get("/metrics"));
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.assert_status(200).head.assert_value("content-type", media_type);
    response.head.assert_value("cache-control", "no-store");
    assert!(response.text().ends_with("# EOF\n"));
    server.send(&request("HEAD", "/metrics")).assert_status(200);
    server.send(&post("/metrics", "{}")).assert_problem(405);
}

#[test]
fn streams_events_and_refusals_are_counted() {
    let server = Server::start();
    let mut stream = server.open(&get("/notifications/stream").bearer(&user("ann")));
    assert_eq!(value(&server, "rill_streams"), 1.0);
    assert_eq!(value(&server, "rill_streams_opened_total"), 1.0);
    let publish = post("/notifications/send", r#"{"message":"hi"}"#).bearer(&user("ann"));
    server.send(&publish).published();
    stream.next();
    server.send(&post("/notifications/send", "{}").bearer("nobody")).assert_problem(401);
    assert_eq!(value(&server, "rill_events_published_total{kind=\"kept\"}"), 1.0);
    assert_eq!(value(&server, "rill_credentials_refused_total"), 1.0);
    assert_eq!(value(&server, "rill_answers_total{status=\"401\"}"), 1.0);
    drop(stream);
    server.wait_for_connections(0, ONE_SECOND);
    // The shard counts at the end of its turn.
    let ended = "rill_streams_ended_total{reason=\"left\"}";
    eventually(ONE_SECOND, "the end is counted", || value(&server, ended) == 1.0);
    assert_eq!(value(&server, "rill_deliveries_total"), 1.0);
    assert_eq!(value(&server, "rill_streams"), 0.0);
    assert!(value(&server, "process_resident_memory_bytes") > 1e6);
}
