//! Channels and rooms that a token is narrowed to: when it connects, for what is replayed, live, and once it is renewed.

mod support;

use serde_json::{Value, json};
use support::tokens::{admin_jwt, jwt, jwt_with, with_tokens};
use support::*;

const CHAT: &str = "/chat/stream";

fn server() -> Server {
    with_tokens().start()
}

fn for_rooms(rooms: Value) -> String {
    jwt_with("ann", json!({ "rooms": rooms }))
}

fn for_channels(channels: Value) -> String {
    jwt_with("ann", json!({ "channels": channels }))
}

/// A message in a room; its id.
fn say(server: &Server, room: &str) -> String {
    server.publish("/chat/send", &admin_jwt(), json!({ "roomId": room, "message": "M" }))
}

fn type_in(server: &Server, room: &str) {
    let body = json!({ "roomId": room });
    server.post("/chat/typing", &admin_jwt(), body).assert_status(200);
}

fn room_stream(server: &Server, room: &str, token: &str) -> Response {
    server.send(&get(&format!("{CHAT}?room={room}")).bearer(token))
}

#[test]
fn a_room_outside_the_claim_is_shut() {
    let server = server();
    let token = for_rooms(json!(["lobby", "team-*", "a*b"]));
    for room in ["lobby", "team-1", "team-", "a*b"] {
        room_stream(&server, room, &token).assert_status(200);
        let body = json!({ "roomId": room, "message": "M" });
        server.post("/chat/send", &token, &body).published();
    }
    let look_alikes = [
        "lobby2",
        "lobb",
        "Lobby",
        "LOBBY",
        "lobby.",
        "lobby%20",
        "%20lobby",
        "team",
        "tEam-1",
        "l%D0%BEbby",
        "lobb%CE%B3",
        "team%E2%80%901",
        "*",
        "team*",
        "axb",
        "lobby%2F",
    ];
    for room in look_alikes {
        room_stream(&server, room, &token).assert_problem(403);
    }
    for room in ["lobby2", "Lobby", "lobby.", "lobby ", "l\u{43e}bby", "team", "other"] {
        let body = json!({ "roomId": room, "message": "M" });
        server.post("/chat/send", &token, &body).assert_problem(403);
        server.post("/chat/typing", &token, &body).assert_problem(403);
    }
}

#[test]
fn an_empty_list_opens_nothing() {
    let server = with_tokens().env("RILL_DRAIN_TIMEOUT", "1s").start();
    let token = for_rooms(json!([]));
    room_stream(&server, "lobby", &token).assert_problem(403);
    let body = json!({ "roomId": "lobby", "message": "M" });
    server.post("/chat/send", &token, body).assert_problem(403);
    let mut stream = server.stream(CHAT, &token);
    let body = json!({ "roomId": "lobby", "message": "M" });
    let (_, subscribers) = server.post("/chat/send", &admin_jwt(), body).published();
    assert_eq!(subscribers, 0);
    let mut resumed = server.open(&get(CHAT).bearer(&token).cursor(stream.connected.id()));
    resumed.connected.assert_connected(Some("ann"), "full", 30_000);
    drop(server.stop());
    for stream in [&mut stream, &mut resumed] {
        stream.next().assert_disconnected("shutdown");
    }
}

/// Publishers send to anyone; their lists narrow what they hear.
#[test]
fn a_publisher_speaks_where_he_does_not_listen() {
    let server = server();
    let claims = json!({ "roles": ["publisher"], "rooms": ["lobby"] });
    let token = jwt_with("ann", claims);
    server.publish("/chat/send", &token, json!({ "roomId": "other", "message": "M" }));
    room_stream(&server, "other", &token).assert_problem(403);
    let admin = jwt_with("ann", json!({ "roles": ["admin"], "rooms": [] }));
    room_stream(&server, "other", &admin).assert_status(200);
}

/// Without a room, a stream has every one that is open to it, live and replayed, also those that there will be.
#[track_caller]
fn assert_narrowed(rooms: Value, open: [&str; 2], shut: [&str; 3]) {
    let server = server();
    let token = for_rooms(rooms);
    let mut live = server.stream(CHAT, &token);
    let start = live.connected.id().to_owned();
    let mut heard = Vec::new();
    for open in open {
        for shut in shut {
            say(&server, shut);
            type_in(&server, shut);
        }
        heard.push(say(&server, open));
    }
    for id in &heard {
        live.assert_next(id);
    }
    type_in(&server, shut[0]);
    type_in(&server, open[0]);
    let typing = live.next();
    assert_eq!((typing.name(), typing.text("roomId").as_str()), ("typing", open[0]));

    let mut resumed = server.open(&get(CHAT).bearer(&token).cursor(&start));
    resumed.connected.assert_connected(Some("ann"), "full", 30_000);
    let last = say(&server, open[1]);
    for id in heard.iter().chain([&last]) {
        resumed.assert_next(id);
    }
    let mut from_first =
        server.open(&get(&format!("{CHAT}?lastEventId={}", heard[0])).bearer(&token));
    for id in [&heard[1], &last] {
        from_first.assert_next(id);
    }
}

#[test]
fn a_stream_on_all_rooms_is_narrowed_to_names() {
    assert_narrowed(json!(["lobby", "team-1"]), ["lobby", "team-1"], ["lobby2", "Lobby", "team-2"]);
}

#[test]
fn a_stream_on_all_rooms_is_narrowed_to_prefixes() {
    assert_narrowed(json!(["team-*"]), ["team-1", "team-2"], ["lobby", "team", "Team-1"]);
}

#[test]
fn a_stream_on_all_rooms_is_narrowed_to_both() {
    assert_narrowed(json!(["lobby", "team-*"]), ["lobby", "team-x"], ["lobbyx", "team", "*"]);
}

fn channel_stream(server: &Server, channels: &str, token: &str) -> Response {
    server.send(&get(&format!("/api/notifications/stream?channels={channels}")).bearer(token))
}

#[test]
fn private_channels_need_a_grant() {
    let server = server();
    let token = jwt("ann");
    for open in ["orders", "orders,news", "Private-x", "private", "privat%D0%B5-x"] {
        channel_stream(&server, open, &token).assert_status(200);
    }
    for shut in ["private-x", "private-", "orders,private-x", "private-x,orders", "private-*"] {
        channel_stream(&server, shut, &token).assert_problem(403);
    }
    assert_eq!(channel_stream(&server, "private-x", &admin_jwt()).status(), 200);
}

#[test]
fn a_list_of_channels_is_exact() {
    let server = server();
    let token = for_channels(json!(["private-x", "team-*"]));
    for open in ["private-x", "team-1", "private-x,team-2"] {
        channel_stream(&server, open, &token).assert_status(200);
    }
    let look_alikes = [
        "orders",
        "private-",
        "private-xy",
        "Private-x",
        "PRIVATE-X",
        "private-x.",
        "private-x%20",
        "%20private-x",
        "private%E2%80%90x",
        "privat%D0%B5-x",
        "private-%D1%85",
        "private-x%C2%A0",
        "private-%EF%BD%98",
        "team",
        "Team-1",
        "*",
        "private-x,orders",
        "team%2D",
    ];
    for shut in look_alikes {
        let status = channel_stream(&server, shut, &token).status();
        assert_eq!(status, if shut == "team%2D" { 200 } else { 403 }, "{shut}");
    }
    for shut in ["private-x", "orders"] {
        channel_stream(&server, shut, &for_channels(json!([]))).assert_problem(403);
    }
    // The user's own events and those to all are no channels.
    server.stream("/api/notifications/stream", &for_channels(json!([])));
}

#[test]
fn events_of_a_channel_reach_those_who_may_hear_it() {
    let server = server();
    let stream = |channels: &str, token: &str| {
        let mut stream =
            server.stream(&format!("/api/notifications/stream?channels={channels}"), token);
        assert_eq!(stream.next().id, None, "the welcome");
        stream
    };
    let mut granted = stream("private-x,orders", &for_channels(json!(["private-x", "orders"])));
    let mut other = stream("orders", &jwt("bob"));
    let publish = |channel: &str| {
        let body = json!({ "event": "E", "data": 1, "channels": [channel] });
        server.publish("/api/events", &admin_jwt(), body)
    };
    let (private, public) = (publish("private-x"), publish("orders"));
    granted.assert_next(&private);
    granted.assert_next(&public);
    other.assert_next(&public);
}

#[track_caller]
fn renew(server: &Server, stream: &Stream, token: &str) {
    renewal(server, stream, token).assert_status(200);
}

#[track_caller]
fn renewal(server: &Server, stream: &Stream, token: &str) -> Response {
    let body = json!({ "connectionId": stream.connected.text("connectionId") });
    server.post("/auth/renew", token, body)
}

#[test]
fn a_renewal_that_takes_the_right_away_ends_the_stream() {
    let server = server();
    let guide = "/api/notifications/stream";
    for (target, before, after) in [
        (format!("{CHAT}?room=r"), json!({}), json!({ "rooms": ["other"] })),
        (format!("{guide}?channels=private-x"), json!({ "channels": ["private-*"] }), json!({})),
        (format!("{guide}?channels=a,b"), json!({}), json!({ "channels": ["a"] })),
        ("/notifications/stream?userId=bob".to_owned(), json!({ "roles": ["admin"] }), json!({})),
        ("/realtime/stream?userId=bob".to_owned(), json!({ "roles": ["admin"] }), json!({})),
        (format!("{CHAT}?room=r&userId=bob"), json!({ "roles": ["admin"] }), json!({})),
    ] {
        let mut stream = server.stream(&target, &jwt_with("ann", before));
        renewal(&server, &stream, &jwt_with("ann", after)).assert_problem(403);
        stream.next_named("disconnected").assert_disconnected("revoked");
        stream.assert_ended();
    }
    server.wait_for_connections(0, ONE_SECOND);
}

#[test]
fn a_renewal_that_narrows_a_stream_on_all_rooms_counts_at_once() {
    let server = server();
    let mut stream = server.stream(CHAT, &jwt("ann"));
    let before = say(&server, "other");
    stream.assert_next(&before);
    renew(&server, &stream, &for_rooms(json!(["r", "team-*"])));
    say(&server, "other");
    let heard = say(&server, "team-1");
    stream.assert_next(&heard);
    // By names as well as by how they begin.
    renew(&server, &stream, &for_rooms(json!(["r"])));
    say(&server, "team-1");
    let heard = say(&server, "r");
    stream.assert_next(&heard);
    // And wider again.
    renew(&server, &stream, &jwt("ann"));
    let heard = say(&server, "other");
    stream.assert_next(&heard);
}

/// What was said while it was still open to the reader, and was not sent yet, is not sent any more.
#[test]
fn a_renewal_counts_for_what_a_stream_is_behind_with() {
    let server = server();
    let mut stream = server.stream(CHAT, &jwt("ann"));
    let long = json!({ "roomId": "other", "message": "x".repeat(200_000) });
    let publish = post("/chat/send", long.to_string()).bearer(&admin_jwt());
    let mut publisher = server.connect();
    for _ in 0..60 {
        publisher.exchange(&publish).published();
    }
    let last = say(&server, "other");
    renew(&server, &stream, &for_rooms(json!(["r", "team-*"])));
    let open = say(&server, "r");
    let mut seen = 0;
    loop {
        let event = stream.next();
        assert_ne!(event.id(), last);
        if event.id() == open {
            break;
        }
        seen += 1;
    }
    assert!(seen < 60, "the stream was not behind");
}

/// A stream without a room has every room that is open to its user, whatever was open when it began.
#[test]
fn a_renewal_that_widens_a_stream_on_all_rooms_counts_at_once() {
    let server = server();
    let mut stream = server.stream(CHAT, &for_rooms(json!(["r"])));
    renew(&server, &stream, &for_rooms(json!(["r", "s"])));
    let heard = say(&server, "s");
    let then = say(&server, "r");
    stream.assert_next(&heard);
    stream.assert_next(&then);
}

/// A stream on several channels of an event gets it once, and counts once.
#[test]
fn an_event_on_two_channels_reaches_a_stream_on_both_once() {
    let server = server();
    let on = |channels: &str| {
        let target = format!("/api/notifications/stream?channels={channels}");
        let mut stream = server.stream(&target, &jwt("ann"));
        assert_eq!(stream.next().name(), "notification", "the guide's own");
        stream
    };
    let (mut both, mut one, _other) = (on("a,b"), on("b"), on("c"));
    let body = json!({ "event": "e", "data": 1, "channels": ["a", "b", "a"] });
    let answer = server.post("/api/events", &admin_jwt(), body);
    let (id, subscribers) = answer.published();
    assert_eq!(subscribers, 2);
    both.assert_next(&id);
    one.assert_next(&id);
    let next =
        server.publish("/api/events", &admin_jwt(), r#"{"event":"e","data":2,"channels":["a"]}"#);
    both.assert_next(&next);
}
