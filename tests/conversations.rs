//! `/sse/connect`: events to users and to the members of conversations, who come and go.

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::tokens::{admin_jwt, jwt_with, with_tokens};
use support::*;

const CONNECT: &str = "/sse/connect";
const GRACE: Duration = Duration::from_secs(5);

fn connect(server: &Server, user: &str) -> Stream {
    server.stream(CONNECT, &token(user, "user"))
}

fn put_list(server: &Server, conversation: &str, members: &[&str]) {
    let path = format!("/sse/conversations/{conversation}/members");
    let body = json!({ "members": members }).to_string();
    server.send(&put(&path, body).bearer(&publisher())).assert_status(200);
}

fn change(server: &Server, method: &str, conversation: &str, user: &str) {
    let path = format!("/sse/conversations/{conversation}/members/{user}");
    server.send(&request(method, &path).bearer(&publisher())).assert_status(200);
}

fn to(conversation: &str) -> String {
    format!("/sse/conversations/{conversation}/events")
}

fn message() -> Value {
    json!({ "event": "message:new", "data": { "message": { "text": "Hello!" } } })
}

fn say(server: &Server, conversation: &str) -> String {
    server.publish(&to(conversation), &publisher(), message())
}

#[test]
fn events_reach_users_and_members_as_they_were_published() {
    let server = Server::start();
    put_list(&server, "c", &["ann", "bob"]);
    let (mut ann, mut bob) = (connect(&server, "ann"), connect(&server, "bob"));
    let mut eve = connect(&server, "eve");
    ann.next().assert(None, "user:online", r#"{"userId":"bob","timestamp":"$now"}"#);
    for name in [
        "message:new",
        "message:delivered",
        "message:read",
        "conversation:updated",
        "user:typing",
        "user:online",
        "user:offline",
    ] {
        let body = format!(r#"{{"event":"{name}","data": {{ "a": 1.50, "b": [null] }} }}"#);
        let (id, subscribers) = server.post(&to("c"), &publisher(), body).published();
        assert_eq!(subscribers, 2);
        for stream in [&mut ann, &mut bob] {
            stream.next().assert(Some(&id), name, r#"{"a":1.50,"b":[null]}"#);
        }
    }
    let only = server.post("/sse/users/eve/events", &publisher(), message());
    eve.next().assert(Some(&only.published().0), "message:new", r#"{"message":{"text":"Hello!"}}"#);
    let all = json!({ "event": "news", "data": 1, "broadcast": true });
    let id = server.publish("/api/events", &publisher(), all);
    for stream in [&mut ann, &mut bob, &mut eve] {
        stream.assert_next(&id);
    }
}

#[test]
fn a_conversation_is_a_target_of_the_other_ways_to_publish() {
    let server = Server::start();
    put_list(&server, "c", &["ann"]);
    let mut ann = connect(&server, "ann");
    let bodies = [
        ("/api/sse", json!({ "event": "e", "data": {}, "conversationId": "c" })),
        ("/api/events", json!({ "event": "e", "data": {}, "conversationId": "c" })),
        ("/api/notifications", json!({ "message": "m", "conversationId": "c" })),
        (
            "/api/updates",
            json!({ "entity": "e", "action": "created", "payload": 1, "conversationId": "c" }),
        ),
    ];
    for (path, body) in bodies {
        let id = server.publish(path, &user("ann"), &body);
        ann.assert_next(&id);
        server.post(path, &user("bob"), &body).assert_problem(403);
        let mut two = body.clone();
        two["userId"] = json!("ann");
        server.post(path, &publisher(), two).assert_problem(422);
    }
}

#[test]
fn who_may_send() {
    let server = Server::start();
    put_list(&server, "c", &["ann"]);
    server.post(&to("c"), &user("ann"), message()).published();
    server.post(&to("c"), &user("bob"), message()).assert_problem(403);
    server.post(&to("unknown"), &user("bob"), message()).assert_problem(403);
    server.post(&to("unknown"), &publisher(), message()).published();
    server.post("/sse/users/ann/events", &user("ann"), message()).published();
    server.post("/sse/users/ann/events", &user("bob"), message()).assert_problem(403);
    for (body, status) in [
        (json!({ "data": 1 }), 422),
        (json!({ "event": "e" }), 422),
        (json!({ "event": "gap", "data": 1 }), 400),
        (json!({ "event": "e", "data": 1, "ephemeral": "yes" }), 422),
        (json!({ "event": "e", "data": 1, "members": [] }), 422),
        (json!({ "event": "e", "data": 1, "members": [""] }), 422),
    ] {
        server.post(&to("c"), &publisher(), &body).assert_problem(status);
    }
}

/// Whoever has his own idea of who is in a conversation may say it with the event.
#[test]
fn an_audience_can_come_with_the_event() {
    let server = Server::start();
    let (mut ann, mut bob) = (connect(&server, "ann"), connect(&server, "bob"));
    let mut body = message();
    body["members"] = json!(["ann", "bob", "ann"]);
    let (id, subscribers) = server.post(&to("c"), &publisher(), &body).published();
    assert_eq!(subscribers, 2);
    ann.assert_next(&id);
    bob.assert_next(&id);
    server.post(&to("c"), &user("ann"), &body).assert_problem(403);
}

#[test]
fn ephemeral_events_pass_and_are_not_kept() {
    let server = Server::start();
    put_list(&server, "c", &["ann"]);
    let mut ann = connect(&server, "ann");
    let typing = json!({ "event": "user:typing", "data": { "userId": "bob" }, "ephemeral": true });
    let answer = server.post(&to("c"), &publisher(), typing);
    assert_eq!(answer.json(), json!({ "success": true, "id": null, "subscribers": 1 }));
    ann.next().assert(None, "user:typing", r#"{"userId":"bob"}"#);
}

#[test]
fn joining_and_leaving_change_the_live_stream_at_once() {
    let server = Server::start();
    let mut ann = connect(&server, "ann");
    for round in 0..20 {
        say(&server, "c");
        change(&server, "PUT", "c", "ann");
        let id = say(&server, "c");
        assert_eq!(ann.assert_next(&id).name(), "message:new", "{round}");
        change(&server, "DELETE", "c", "ann");
    }
    let last = server.publish("/sse/users/ann/events", &publisher(), message());
    ann.assert_next(&last);
}

/// Both hold at once: nothing is missed from the change on, and nothing comes twice.
#[test]
fn members_change_while_their_streams_replay() {
    let server = Server::start();
    put_list(&server, "c", &["ann"]);
    let start = say(&server, "c");
    let mine: Vec<String> = (0..300).map(|_| say(&server, "c")).collect();
    let other: Vec<String> = (0..300).map(|_| say(&server, "d")).collect();
    let mut resumed = server.open(&get(CONNECT).bearer(&user("ann")).cursor(&start));
    change(&server, "PUT", "d", "ann");
    let later = say(&server, "d");
    let mut got = Vec::new();
    while got.last() != Some(&later) {
        let event = resumed.next();
        got.push(event.id().to_owned());
    }
    let of_c: Vec<&String> = got.iter().filter(|id| mine.contains(id)).collect();
    assert_eq!(of_c, mine.iter().collect::<Vec<_>>());
    let rest: Vec<&String> = got.iter().filter(|id| other.contains(id)).collect();
    let suffix = &other[other.len() - rest.len()..];
    assert_eq!(rest, suffix.iter().collect::<Vec<_>>(), "those that came after it had joined");
    assert_eq!(got.len(), of_c.len() + rest.len() + 1);
    change(&server, "DELETE", "c", "ann");
    let again = server.open(&get(CONNECT).bearer(&user("ann")).cursor(&start)).next();
    assert_eq!(again.id(), other[0], "of what he left nothing is replayed");
}

#[test]
fn conversations_outlast_a_crash() {
    let server = Server::start();
    put_list(&server, "c", &["ann", "bob"]);
    let start = say(&server, "c");
    let missed = say(&server, "c");
    let server = server.crash().start();
    let mut ann = server.open(&get(CONNECT).bearer(&user("ann")).cursor(&start));
    ann.assert_next(&missed);
    let id = say(&server, "c");
    ann.assert_next(&id);
}

#[test]
fn a_claim_narrows_conversations() {
    let server = with_tokens().start();
    for conversation in ["c", "d", "team-1"] {
        let path = format!("/sse/conversations/{conversation}/members/ann");
        server.send(&request("PUT", &path).bearer(&admin_jwt())).assert_status(200);
    }
    let narrowed = jwt_with("ann", json!({ "conversations": ["c", "team-*"] }));
    let mut ann = server.stream(CONNECT, &narrowed);
    let say = |conversation: &str| server.publish(&to(conversation), &admin_jwt(), message());
    let (first, _, last) = (say("c"), say("d"), say("team-1"));
    ann.assert_next(&first);
    ann.assert_next(&last);
    server.post(&to("d"), &narrowed, message()).assert_problem(403);
    server.post(&to("c"), &narrowed, message()).published();
    for path in ["/sse/conversations/d/members", "/sse/conversations/d/members/ann"] {
        server.send(&get(path).bearer(&narrowed)).assert_problem(403);
        server.send(&get(&path.replace("/d/", "/c/")).bearer(&narrowed)).assert_status(200);
    }
}

#[test]
fn an_admin_may_have_the_stream_of_another() {
    let server = Server::start();
    put_list(&server, "c", &["ann"]);
    let mut stream = server.stream("/sse/connect?userId=ann", &token("root", "admin"));
    stream.connected.assert_connected(Some("ann"), "none", 30_000);
    let id = say(&server, "c");
    stream.assert_next(&id);
    change(&server, "PUT", "d", "ann");
    let id = say(&server, "d");
    stream.assert_next(&id);
    server.send(&get("/sse/connect?userId=ann").bearer(&user("bob"))).assert_problem(403);
    server.send(&get(CONNECT)).assert_problem(401);
}

#[test]
fn those_who_share_a_conversation_see_who_is_online() {
    let server = Server::start();
    put_list(&server, "c", &["ann", "bob"]);
    put_list(&server, "d", &["ann", "bob", "eve"]);
    let (mut ann, mut stranger) = (connect(&server, "ann"), connect(&server, "dan"));
    let bob = connect(&server, "bob");
    let online = r#"{"userId":"bob","timestamp":"$now"}"#;
    ann.next().assert(None, "user:online", online);
    let second = connect(&server, "bob");
    let left = Instant::now();
    drop((bob, second));
    ann.next().assert(None, "user:offline", online);
    let elapsed = left.elapsed();
    assert!((GRACE * 9 / 10..GRACE + ONE_SECOND).contains(&elapsed), "{elapsed:?}");
    let _eve = connect(&server, "eve");
    ann.next().assert(None, "user:online", r#"{"userId":"eve","timestamp":"$now"}"#);
    let id = server.publish("/sse/users/dan/events", &publisher(), message());
    stranger.assert_next(&id);
}

#[test]
fn a_reload_is_not_offline() {
    let server = Server::start();
    put_list(&server, "c", &["ann", "bob"]);
    let mut ann = connect(&server, "ann");
    let bob = connect(&server, "bob");
    ann.next_named("user:online");
    drop(bob);
    server.wait_for_connections(1, ONE_SECOND);
    let _bob = connect(&server, "bob");
    // Longer than the grace of what was closed.
    let until = Instant::now() + GRACE + ONE_SECOND;
    while Instant::now() < until {
        let id = say(&server, "c");
        ann.assert_next(&id);
        std::thread::sleep(Duration::from_millis(100));
    }
}
