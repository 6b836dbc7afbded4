//! Who is there, for those who ask: one user, or everyone in a room.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::tokens::{admin_jwt, jwt, jwt_with, with_tokens};
use support::*;

const GRACE: Duration = Duration::from_secs(5);

fn ask(server: &Server, path: &str, token: &str) -> Response {
    server.send(&get(path).bearer(token))
}

#[track_caller]
fn assert_presence(server: &Server, user: &str, online: bool, connections: u64) {
    let answer = ask(server, &format!("/presence/{user}"), &publisher());
    let expected = format!(
        r#"{{"success":true,"userId":"{user}","online":{online},"connections":{connections}}}"#
    );
    assert_eq!(answer.assert_status(200).text(), expected);
}

fn is_online(server: &Server, user: &str) -> bool {
    let answer = ask(server, &format!("/presence/{user}"), &publisher()).json();
    answer["online"].as_bool().expect("true or false")
}

#[track_caller]
fn put(server: &Server, path: &str, members: &Value) {
    let body = members.to_string();
    let request = request("PUT", path).bearer(&admin_jwt());
    let request = request.field("Content-Type", "application/json");
    let request = request.field("Content-Length", body.len().to_string()).body(body);
    server.send(&request).assert_status(200);
}

/// The ids on each page of a room.
fn pages(server: &Server, limit: usize) -> Vec<Vec<String>> {
    let (mut pages, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/presence/rooms/r?limit={limit}{after}");
        let answer = ask(server, &path, &user("eve"));
        let answer = answer.assert_status(200).json();
        let users = answer["users"].as_array().expect("a list").iter();
        pages.push(users.map(|user| user["userId"].as_str().expect("an id").into()).collect());
        let Some(next) = answer["next"].as_str() else { return pages };
        after = format!("&after={next}");
    }
}

#[test]
fn a_user_is_online_with_his_streams_and_for_a_moment_after() {
    let server = Server::start();
    assert_presence(&server, "ann", false, 0);
    let first = server.stream("/notifications/stream", &user("ann"));
    assert_presence(&server, "ann", true, 1);
    let second = server.stream("/api/sse", &user("ann"));
    assert_presence(&server, "ann", true, 2);
    drop((first, second));
    server.wait_for_connections(0, ONE_SECOND);
    assert_presence(&server, "ann", true, 0);
    eventually(GRACE + ONE_SECOND, "ann is gone", || !is_online(&server, "ann"));
    assert_presence(&server, "ann", false, 0);
}

#[test]
fn strangers_and_refused_streams_bring_nobody_online() {
    let server = with_tokens().start();
    let _stranger = server.open(&get("/api/sse"));
    server.send(&get("/notifications/stream?userId=bob").bearer(&jwt("ann"))).assert_problem(403);
    server.send(&request("HEAD", "/notifications/stream").bearer(&jwt("ann"))).assert_status(200);
    for name in ["ann", "bob"] {
        let answer = ask(&server, &format!("/presence/{name}"), &admin_jwt());
        assert_eq!(answer.json()["online"], false, "{name}");
    }
}

#[test]
fn a_name_may_be_anything_that_a_path_can_have() {
    let server = Server::start();
    let _rooms = server.stream("/notifications/stream", &user("rooms"));
    assert_presence(&server, "rooms", true, 1);
    let answer = ask(&server, "/presence/%C3%A4%20b", &publisher());
    assert_eq!(answer.assert_status(200).json()["userId"], "ä b");
    ask(&server, "/presence/a%0ab", &publisher()).assert_problem(400);
    ask(&server, "/presence/", &publisher()).assert_problem(404);
    ask(&server, "/presence", &publisher()).assert_problem(404);
    server.post("/presence/ann", &publisher(), "{}").assert_problem(405);
}

#[test]
fn a_user_asks_about_himself_and_publishers_about_all() {
    let server = with_tokens().start();
    let publisher = jwt_with("pub", json!({ "roles": ["publisher"] }));
    for (token, of_ann, of_bob) in
        [(jwt("ann"), 200, 403), (publisher, 200, 200), (admin_jwt(), 200, 200)]
    {
        assert_eq!(ask(&server, "/presence/ann", &token).status(), of_ann);
        assert_eq!(ask(&server, "/presence/bob", &token).status(), of_bob);
    }
    ask(&server, "/presence/bob", &jwt("ann")).assert_problem(403);
    for path in ["/presence/ann", "/presence/rooms/r"] {
        server.send(&get(path)).assert_problem(401);
        ask(&server, path, "x").assert_problem(401);
    }
}

#[test]
fn a_room_is_for_those_who_may_enter_it() {
    let server = with_tokens().start();
    put(&server, "/chat/rooms/closed/members", &json!({ "members": ["bob"] }));
    ask(&server, "/presence/rooms/closed", &jwt("bob")).assert_status(200);
    ask(&server, "/presence/rooms/closed", &jwt("ann")).assert_problem(403);
    let elsewhere = |roles: Value| jwt_with("ann", json!({ "rooms": ["s"], "roles": roles }));
    ask(&server, "/presence/rooms/r", &jwt("ann")).assert_status(200);
    ask(&server, "/presence/rooms/r", &elsewhere(json!([]))).assert_problem(403);
    ask(&server, "/presence/rooms/s", &elsewhere(json!([]))).assert_status(200);
    ask(&server, "/presence/rooms/r", &elsewhere(json!(["publisher"]))).assert_status(200);
    ask(&server, "/presence/rooms/r", &elsewhere(json!(["admin"]))).assert_status(200);
}

#[test]
fn a_conversation_tells_which_of_its_members_are_online() {
    let server = with_tokens().start();
    let members = json!({ "members": ["a", "b", "c", "d"] });
    put(&server, "/sse/conversations/k/members", &members);
    let path = "/presence/conversations/k";
    let empty = ask(&server, path, &jwt("a")).assert_status(200).text().into_owned();
    assert_eq!(empty, r#"{"success":true,"conversationId":"k","users":[],"next":null}"#);
    let streams = [("d", "/sse/connect"), ("a", "/notifications/stream"), ("b", "/sse/connect")];
    let _streams = streams.map(|(user, path)| server.stream(path, &jwt(user)));
    let _other = server.stream("/sse/connect", &jwt("z"));
    let all = ask(&server, path, &jwt("c")).assert_status(200).json();
    assert_eq!(all["users"], json!([{ "userId": "a" }, { "userId": "b" }, { "userId": "d" }]));
    let page = ask(&server, &format!("{path}?limit=1&after=a"), &admin_jwt()).json();
    assert_eq!((&page["users"], &page["next"]), (&json!([{ "userId": "b" }]), &json!("b")));
    ask(&server, path, &jwt("z")).assert_problem(403);
    ask(&server, path, &jwt_with("z", json!({ "roles": ["publisher"] }))).assert_status(200);
    server.send(&get(path)).assert_problem(401);
}

#[test]
fn a_room_tells_its_users_in_the_order_of_their_ids() {
    let server = Server::start();
    let empty = ask(&server, "/presence/rooms/r", &user("eve"));
    let expected = r#"{"success":true,"roomId":"r","users":[],"next":null}"#;
    assert_eq!(empty.assert_status(200).text(), expected);
    let enter = |id: &str| server.stream("/chat/stream?room=r", &user(id));
    let _streams = ["c", "a", "e", "b", "d", "a"].map(enter);
    let _elsewhere = server.stream("/chat/stream?room=s", &user("z"));
    let _every = server.stream("/chat/stream", &user("y"));
    let first = ask(&server, "/presence/rooms/r?limit=2", &user("eve"));
    let expected = concat!(
        r#"{"success":true,"roomId":"r","users":[{"userId":"a","username":"a-name"},"#,
        r#"{"userId":"b","username":"b-name"}],"next":"b"}"#
    );
    assert_eq!(first.text(), expected);
    assert_eq!(pages(&server, 100), [["a", "b", "c", "d", "e"]]);
    assert_eq!(pages(&server, 2), [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
    assert_eq!(pages(&server, 5).len(), 1);
    for wrong in ["limit=0", "limit=1001", "limit=x", "limit=1&limit=1", "after=", "after=%00"] {
        let path = format!("/presence/rooms/r?{wrong}");
        ask(&server, &path, &user("eve")).assert_problem(400);
    }
}
