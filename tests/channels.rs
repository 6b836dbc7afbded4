//! `?channels=`: a list of names in a query, and events for those who listen to them.

mod support;

use serde_json::json;
use support::*;

const STREAM: &str = "/api/notifications/stream";

fn listen(channels: &str) -> Request {
    get(&format!("{STREAM}?channels={channels}")).bearer(&user("ann"))
}

fn open(server: &Server, channels: &str) -> Stream {
    let mut stream = server.open(&listen(channels));
    assert_eq!(stream.next().name(), "notification");
    stream
}

fn publish(server: &Server, channels: &[&str]) -> (String, u64) {
    let body = json!({ "event": "e", "data": null, "channels": channels });
    server.post("/api/events", &publisher(), body).published()
}

fn numbered(count: u32) -> String {
    (0..count).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",")
}

#[test]
fn at_most_64_names() {
    let server = Server::start();
    let mut stream = open(&server, &numbered(64));
    for channel in ["c0", "c63"] {
        let (id, subscribers) = publish(&server, &[channel]);
        assert_eq!(subscribers, 1);
        stream.assert_next(&id);
    }
    let refused = server.send(&listen(&numbered(65)));
    assert!(refused.assert_problem(400).detail().contains("channels"), "{}", refused.text());
    assert_eq!(server.connections(), 1);
}

#[test]
fn empty_and_repeated_names_are_dropped() {
    let server = Server::start();
    let mut stream = open(&server, &format!(",,{0},c0,,{0},", numbered(64)));
    let (id, subscribers) = publish(&server, &["c0", "c1", "c0"]);
    assert_eq!(subscribers, 1);
    stream.assert_next(&id);
    for nothing in ["", ",", ",,,"] {
        let mut stream = open(&server, nothing);
        publish(&server, &["c0"]);
        let body = json!({ "event": "e", "data": null, "userId": "ann" });
        let id = server.publish("/api/events", &publisher(), body);
        stream.assert_next(&id);
    }
}

#[test]
fn names_are_escaped_as_in_any_form() {
    let server = Server::start();
    let mut stream = open(&server, "the+big%20r%C3%B6om%2B,a%2Fb,%2A");
    for channel in ["the big röom+", "a/b", "*"] {
        let (id, _) = publish(&server, &[channel]);
        stream.assert_next(&id);
    }
    assert_eq!(publish(&server, &["a", "b", "c"]).1, 0);
}

#[test]
fn what_is_no_name_or_no_list_is_400() {
    let server = Server::start();
    let long = "x".repeat(129);
    for channels in ["%0A", "orders,a%00b", "orders,%E2%80%8B", "%FF", &long, "a&channels=b"] {
        server.send(&listen(channels)).assert_problem(400);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn an_event_for_channels_names_at_least_one() {
    let server = Server::start();
    for channels in [json!([]), json!([""]), json!("orders"), json!([null]), json!({})] {
        let body = json!({ "event": "e", "data": null, "channels": channels });
        server.post("/api/events", &publisher(), body).assert_problem(422);
    }
    let mut stream = open(&server, "7");
    let body = json!({ "event": "e", "data": null, "channels": [7] });
    let id = server.publish("/api/events", &publisher(), body);
    stream.assert_next(&id);
}
