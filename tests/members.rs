//! Lists of members of rooms and conversations: who may change and see them, what they close and open, and that they
//! outlast the server.

mod support;

use serde_json::{Value, json};
use support::*;

const LIST: &str = "/chat/rooms/r/members";

fn put_list(server: &Server, path: &str, members: Value) -> Response {
    let body = json!({ "members": members }).to_string();
    server.send(&put(path, body).bearer(&publisher()))
}

fn by(method: &str, path: &str, token: &str) -> Request {
    request(method, path).bearer(token)
}

fn of_publisher(server: &Server, method: &str, path: &str) -> Response {
    server.send(&by(method, path, &publisher()))
}

#[track_caller]
fn assert_members(response: &Response, members: Value) {
    response.assert_status(200);
    assert_eq!(response.json(), json!({ "success": true, "members": members }));
}

fn room(server: &Server, user: &str) -> Response {
    server.send(&get("/chat/stream?room=r").bearer(&token(user, "user")))
}

#[test]
fn a_list_is_put_added_to_taken_from_and_deleted() {
    let server = Server::start();
    for base in [LIST, "/sse/conversations/r/members"] {
        let one = |user: &str| format!("{base}/{user}");
        assert_members(&of_publisher(&server, "GET", base), json!([]));
        assert_members(
            &put_list(&server, base, json!(["bob", "ann", 7, "bob"])),
            json!(["7", "ann", "bob"]),
        );
        assert_members(
            &of_publisher(&server, "PUT", &one("eve")),
            json!(["7", "ann", "bob", "eve"]),
        );
        assert_members(
            &of_publisher(&server, "PUT", &one("eve")),
            json!(["7", "ann", "bob", "eve"]),
        );
        assert_members(&of_publisher(&server, "DELETE", &one("7")), json!(["ann", "bob", "eve"]));
        assert_members(&of_publisher(&server, "DELETE", &one("7")), json!(["ann", "bob", "eve"]));
        assert_members(&of_publisher(&server, "GET", &one("ann")), json!(["ann"]));
        of_publisher(&server, "GET", &one("7")).assert_problem(404);
        assert_members(&put_list(&server, base, json!(["bob"])), json!(["bob"]));
        assert_members(&of_publisher(&server, "DELETE", base), json!([]));
        assert_members(&of_publisher(&server, "DELETE", base), json!([]));
        assert_members(&of_publisher(&server, "DELETE", &one("bob")), json!([]));
    }
}

#[test]
fn publishers_change_lists_and_members_see_them() {
    let server = Server::start();
    put_list(&server, LIST, json!(["ann"])).assert_status(200);
    let one = "/chat/rooms/r/members/ann";
    for path in [LIST, one] {
        server.send(&by("GET", path, &user("ann"))).assert_status(200);
        server.send(&by("GET", path, &user("bob"))).assert_problem(403);
        server.send(&request("GET", path)).assert_problem(401);
        server.send(&put(path, r#"{"members":["ann"]}"#).bearer(&user("ann"))).assert_problem(403);
        server.send(&by("DELETE", path, &user("ann"))).assert_problem(403);
        server.send(&by("GET", path, &token("root", "admin"))).assert_status(200);
        server
            .send(&post(path, "{}").bearer(&publisher()))
            .assert_problem(405)
            .head
            .assert_value("allow", "GET, HEAD, PUT, DELETE, OPTIONS");
    }
}

#[test]
fn a_body_that_is_no_list_is_refused() {
    let server = Server::start();
    for (members, status) in [
        (r#"{}"#, 422),
        (r#"{"members":null}"#, 422),
        (r#"{"members":"ann"}"#, 422),
        (r#"{"members":[1.5]}"#, 422),
        (r#"{"members":[""]}"#, 422),
        (r#"{"members":["a\n"]}"#, 400),
        (r#"{"members":["#, 400),
        (r#"[]"#, 400),
    ] {
        server.send(&put(LIST, members).bearer(&publisher())).assert_problem(status);
    }
    server.send(&put("/chat/rooms/%0A/members", "{}").bearer(&publisher())).assert_problem(400);
    let many = |count: u32| Value::from((0..count).map(|n| n.to_string()).collect::<Vec<_>>());
    put_list(&server, LIST, many(10_001)).assert_problem(422);
    let all = put_list(&server, LIST, many(10_000));
    assert_eq!(all.json()["members"].as_array().map(Vec::len), Some(10_000));
    let text = put(LIST, "{}").bearer(&publisher()).without("Content-Type");
    server.send(&text.field("Content-Type", "text/plain")).assert_problem(415);
}

#[test]
fn a_room_with_a_list_is_for_its_members() {
    let server = Server::start();
    room(&server, "bob").assert_status(200);
    put_list(&server, LIST, json!(["ann"])).assert_status(200);
    room(&server, "ann").assert_status(200);
    room(&server, "bob").assert_problem(403);
    let message = json!({ "roomId": "r", "message": "hi" });
    server.post("/chat/send", &user("ann"), &message).published();
    for path in ["/chat/send", "/chat/typing"] {
        server.post(path, &user("bob"), &message).assert_problem(403);
    }
    server.post("/chat/send", &publisher(), &message).published();
    server.stream("/chat/stream?room=r", &token("root", "admin"));
    // Emptied it stays closed; without a list it is open.
    of_publisher(&server, "DELETE", "/chat/rooms/r/members/ann").assert_status(200);
    room(&server, "ann").assert_problem(403);
    of_publisher(&server, "DELETE", LIST).assert_status(200);
    room(&server, "bob").assert_status(200);
}

#[test]
fn a_list_ends_the_streams_of_others_at_once() {
    let server = Server::start();
    let mut ann = server.stream("/chat/stream?room=r", &user("ann"));
    let mut bob = server.stream("/chat/stream?room=r", &user("bob"));
    ann.next_named("user-joined");
    let mut boss = server.stream("/chat/stream?room=r", &token("root", "admin"));
    ann.next_named("user-joined");
    let mut everywhere = server.stream("/chat/stream", &user("bob"));
    put_list(&server, LIST, json!(["ann"])).assert_status(200);
    bob.next_named("user-joined");
    bob.next().assert_disconnected("revoked");
    bob.assert_ended();
    let secret =
        server.publish("/chat/send", &user("ann"), json!({ "roomId": "r", "message": "psst" }));
    let open =
        server.publish("/chat/send", &user("ann"), json!({ "roomId": "q", "message": "hi" }));
    ann.assert_next(&secret);
    boss.assert_next(&secret);
    everywhere.assert_next(&open);
}

/// Who may not read is not counted either.
#[test]
fn the_members_of_a_room_are_its_subscribers() {
    let server = Server::start();
    put_list(&server, LIST, json!(["ann"])).assert_status(200);
    let _streams = [
        server.stream("/chat/stream?room=r", &user("ann")),
        server.stream("/chat/stream", &user("ann")),
        server.stream("/chat/stream", &user("bob")),
        server.stream("/chat/stream", &token("root", "admin")),
    ];
    let message = json!({ "roomId": "r", "message": "hi" });
    assert_eq!(server.post("/chat/send", &user("ann"), message).published().1, 3);
}

#[test]
fn what_is_replayed_is_what_may_be_read_then() {
    let server = Server::start();
    let say = |room: &str| {
        server.publish("/chat/send", &publisher(), json!({ "roomId": room, "message": "hi" }))
    };
    let start = say("r");
    let (secret, open) = (say("r"), say("q"));
    put_list(&server, LIST, json!(["ann"])).assert_status(200);
    let all =
        |user_name: &str| server.open(&get("/chat/stream").bearer(&user(user_name)).cursor(&start));
    all("bob").assert_next(&open);
    let mut ann = all("ann");
    ann.assert_next(&secret);
    ann.assert_next(&open);
    let removed = of_publisher(&server, "DELETE", "/chat/rooms/r/members/ann");
    removed.assert_status(200);
    all("ann").assert_next(&open);
}

/// Only what may be read counts.
#[test]
fn the_replay_limit_counts_what_may_be_read() {
    let server = rill().env("RILL_LOG_REPLAY_LIMIT", "2").start();
    let say = |room: &str| {
        server.publish("/chat/send", &publisher(), json!({ "roomId": room, "message": "hi" }))
    };
    let start = say("q");
    put_list(&server, LIST, json!(["ann"])).assert_status(200);
    let events: Vec<String> = ["q", "r", "q", "r", "r", "r"].iter().map(|room| say(room)).collect();
    let resume = |token: &str| server.open(&get("/chat/stream").bearer(token).cursor(&start));
    let mut bob = resume(&user("bob"));
    bob.connected.assert_connected(Some("bob"), "full", 30_000);
    bob.assert_next(&events[0]);
    bob.assert_next(&events[2]);
    let mut ann = resume(&user("ann"));
    ann.next().assert_gap("replay_limit", &start);
    ann.assert_next(&events[4]);
}

#[test]
fn lists_outlast_a_crash() {
    let server = Server::start();
    put_list(&server, LIST, json!(["ann", "bob"])).assert_status(200);
    of_publisher(&server, "DELETE", "/chat/rooms/r/members/bob").assert_status(200);
    put_list(&server, "/chat/rooms/empty/members", json!([])).assert_status(200);
    put_list(&server, "/chat/rooms/gone/members", json!(["ann"])).assert_status(200);
    of_publisher(&server, "DELETE", "/chat/rooms/gone/members").assert_status(200);
    let server = server.crash().start();
    assert_members(&of_publisher(&server, "GET", LIST), json!(["ann"]));
    room(&server, "bob").assert_problem(403);
    for (closed, status) in [("empty", 403), ("gone", 200)] {
        let path = format!("/chat/stream?room={closed}");
        server.send(&get(&path).bearer(&user("bob"))).assert_status(status);
    }
}
