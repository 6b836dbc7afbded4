//! `GET /api/sse/connections`: the streams one by one, in pages, and how each is doing.

mod support;

use std::collections::HashMap;

use serde_json::{Value, json};
use support::tokens::{admin_jwt, in_seconds, jwt, jwt_with, rfc3339, with_tokens};
use support::*;

const STREAM: &str = "/api/sse";
const LIST: &str = "/api/sse/connections";

fn id_of(stream: &Stream) -> String {
    stream.connected.text("connectionId")
}

/// An answer of an admin's question, under `--dev` of nobody's.
#[track_caller]
fn ask(server: &Server, target: &str) -> Value {
    server.send(&get(target)).assert_status(200).json()
}

#[track_caller]
fn connections(answer: &Value) -> Vec<Value> {
    assert_eq!(answer["success"], true, "{answer}");
    answer["connections"].as_array().expect("a list").clone()
}

fn ids(answer: &Value) -> Vec<String> {
    let id = |connection: &Value| connection["connectionId"].as_str().expect("an id").to_owned();
    connections(answer).iter().map(id).collect()
}

/// The one stream of a server.
#[track_caller]
fn only(server: &Server) -> Value {
    let answer = ask(server, LIST);
    let [only] = &connections(&answer)[..] else { panic!("not one: {answer}") };
    only.clone()
}

#[test]
fn a_stream_is_shown_with_all_that_is_told_of_it() {
    let server = with_tokens().start();
    let expires = in_seconds(600);
    let claims = json!({ "exp": expires, "name": "Ann Secret", "email": "ann@secret.example" });
    let known = server.stream("/chat/stream?room=r", &jwt_with("ann", claims));
    let anonymous = server.open(&get(STREAM));
    let answer = server.send(&get(LIST).bearer(&admin_jwt()));
    answer.assert_status(200).head.assert_value("content-type", "application/json");
    let listed = connections(&answer.json());
    let age = |n: usize| listed[n]["age"].as_u64().expect("an age");
    assert!(age(0) < 30 && age(1) < 30, "{listed:?}");
    let shown = |stream: &Stream, user: &str, path: &str, age: u64, expires: &str| {
        let (id, cursor) = (id_of(stream), stream.connected.id());
        format!(
            r#""connectionId":"{id}","userId":{user},"address":"127.0.0.1","path":"{path}","age":{age},"cursor":"{cursor}","lag":0,"phase":"live","expiresAt":{expires}"#
        )
    };
    let expires = format!("\"{}\"", rfc3339(expires));
    let known_shown = shown(&known, "\"ann\"", "/chat/stream", age(0), &expires);
    let anonymous_shown = shown(&anonymous, "null", STREAM, age(1), "null");
    assert_eq!(
        answer.text(),
        format!(
            r#"{{"success":true,"connections":[{{{known_shown}}},{{{anonymous_shown}}}],"next":null}}"#
        )
    );
    let one = server.send(&get(&format!("{LIST}/{}", id_of(&anonymous))).bearer(&admin_jwt()));
    let one = one.assert_status(200).json();
    assert_eq!(
        (&one["success"], &one["path"], &one["userId"]),
        (&true.into(), &STREAM.into(), &Value::Null)
    );
}

#[test]
fn who_stays_is_on_one_page_and_no_more_however_others_come_and_go() {
    let server = rill().flags(&["--max-connections-per-user", "100"]).start();
    let open = |n: usize| server.stream(STREAM, &user(&format!("user{n}")));
    let mut streams: Vec<_> = (0..20).map(|n| Some(open(n))).collect();
    let mut others = Vec::new();
    let (mut seen, mut next) = (HashMap::<String, usize>::new(), Value::Null);
    for round in 0.. {
        let after = next.as_str().map(|next| format!("&after={next}")).unwrap_or_default();
        let page = ask(&server, &format!("{LIST}?limit=3{after}"));
        assert!(ids(&page).len() <= 3, "{page}");
        ids(&page).into_iter().for_each(|id| *seen.entry(id).or_default() += 1);
        next = page["next"].clone();
        if next.is_null() {
            break;
        }
        // One that was listed and one that was not leave; others get their places.
        if round < 5 {
            streams[round] = None;
            streams[19 - round] = None;
            server.wait_for_connections(18, ONE_SECOND);
            others.extend((0..2).map(|n| open(100 + 2 * round + n)));
        }
    }
    for stream in streams[5..15].iter().flatten() {
        assert_eq!(seen.get(&id_of(stream)), Some(&1));
    }
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
    // To go on after one that has left is no error.
    let gone = id_of(&others.remove(0));
    server.wait_for_connections(19, ONE_SECOND);
    server.send(&get(&format!("{LIST}?after={gone}"))).assert_status(200);
    assert_eq!(ids(&ask(&server, &format!("{LIST}?limit=19"))).len(), 19);
    assert_eq!(ask(&server, &format!("{LIST}?limit=19"))["next"], Value::Null);
}

#[test]
fn those_of_one_user() {
    let server = Server::start();
    let ann = [server.stream(STREAM, &user("ann")), server.stream("/chat/stream", &user("ann"))];
    let _others = [server.stream(STREAM, &user("bob")), server.open(&get(STREAM))];
    let expected: Vec<_> = ann.iter().map(id_of).collect();
    for target in [format!("{LIST}?userId=ann"), "/api/sse/users/ann".to_owned()] {
        assert_eq!(ids(&ask(&server, &target)), expected, "{target}");
    }
    let first = ask(&server, "/api/sse/users/ann?limit=1");
    assert_eq!(
        (ids(&first), &first["next"]),
        (vec![expected[0].clone()], &Value::from(&*expected[0]))
    );
    let rest = ask(&server, &format!("{LIST}?userId=ann&after={}", expected[0]));
    assert_eq!((ids(&rest), &rest["next"]), (vec![expected[1].clone()], &Value::Null));
    assert!(connections(&ask(&server, "/api/sse/users/eve")).is_empty());
    // Of an admin who listens as somebody else it is that one's.
    let as_eve = server.stream("/api/sse?userId=eve", DEMO);
    assert_eq!(ids(&ask(&server, "/api/sse/users/eve")), [id_of(&as_eve)]);
}

#[test]
fn the_address_is_the_clients_behind_a_trusted_proxy() {
    let server = rill().env("RILL_HTTP_TRUSTED_PROXIES", "127.0.0.1").start();
    let through = |address: &str| get(STREAM).field("X-Forwarded-For", address);
    let _streams = [
        server.open(&through("1.2.3.4").bearer(&user("ann"))),
        server.open(&through("2001:db8::7")),
        server.open(&through("::ffff:5.6.7.8")),
        Stream::open(peer_from(2, &server), &through("9.9.9.9").bearer(&user("bob"))),
    ];
    let listed = connections(&ask(&server, LIST));
    let addresses: Vec<_> = listed.iter().map(|connection| &connection["address"]).collect();
    assert_eq!(addresses, ["1.2.3.4", "2001:db8::7", "5.6.7.8", "127.0.0.2"]);
}

#[test]
fn on_a_unix_socket_nobody_has_an_address() {
    let server = rill().listen_unix().start();
    let _stream = Stream::open(Peer::unix(server.unix_path()), &get(STREAM));
    let listed = Peer::unix(server.unix_path()).exchange(&get(LIST)).assert_status(200).json();
    assert_eq!(connections(&listed)[0]["address"], Value::Null);
}

#[test]
fn the_new_stream_of_a_client_is_shown_where_it_is() {
    let server = Server::start();
    let target = "/notifications/stream?client=tab";
    let _old = server.stream(target, &user("ann"));
    let new = Stream::open(peer_from(2, &server), &get(target).bearer(&user("ann")));
    let shown = only(&server);
    assert_eq!(
        (&shown["connectionId"], &shown["address"]),
        (&id_of(&new).into(), &"127.0.0.2".into())
    );
}

#[test]
fn the_cursor_moves_with_every_event() {
    let server = Server::start();
    let stream = server.stream("/notifications/stream", &user("ann"));
    assert_eq!(only(&server)["cursor"], stream.connected.id());
    for to in ["ann", "bob", "ann"] {
        let id = server.notify(to, "M");
        let shown = only(&server);
        assert_eq!((&shown["cursor"], &shown["lag"]), (&id.into(), &0.into()));
    }
}

#[test]
fn one_who_does_not_read_lags() {
    let server = Server::start();
    let reader = clogged_stream(&server);
    let last = server.notify("ann", "the last");
    let mut lag = 0;
    eventually(FIVE_SECONDS, "a lag that grows", || {
        let shown = only(&server);
        assert_eq!(shown["phase"], "catching_up", "{shown}");
        assert!(Cursor::parse(shown["cursor"].as_str().expect("a cursor")) < Cursor::parse(&last));
        let before = std::mem::replace(&mut lag, shown["lag"].as_u64().expect("a lag"));
        before > 0 && lag > before
    });
    drop(reader);
}

#[test]
fn only_admins_look() {
    let server = with_tokens().start();
    let stream = server.stream(STREAM, &jwt("ann"));
    let one = format!("{LIST}/{}", id_of(&stream));
    for target in [LIST, &one, "/api/sse/users/ann"] {
        server.send(&get(target)).assert_problem(401);
        server.send(&get(target).bearer(&jwt("ann"))).assert_problem(403);
        let publisher = jwt_with("ann", json!({ "roles": ["publisher"] }));
        server.send(&get(target).bearer(&publisher)).assert_problem(403);
        server.send(&post(target, "{}").bearer(&admin_jwt())).assert_problem(405);
        let head = server.send(&request("HEAD", target).bearer(&admin_jwt()));
        assert_eq!((head.status(), head.body.len()), (200, 0));
    }
    let dev = Server::start();
    let foreign = get(LIST).field("Origin", "https://evil.example");
    dev.send(&foreign).assert_problem(401);
}

#[test]
fn what_is_asked_for_badly() {
    let server = Server::start();
    for query in [
        "limit=0",
        "limit=1001",
        "limit=",
        "limit=-1",
        "limit=+1",
        "limit=1e2",
        "limit=99999999999999999999999",
        "limit=1&limit=1",
        "after=",
        "after=x",
        "after=0000000000000",
        "after=%2B000000000000000",
        "userId=",
        "userId=a%0Ab",
    ] {
        server.send(&get(&format!("{LIST}?{query}"))).assert_problem(400);
    }
    server.send(&get("/api/sse/users/a%0Ab")).assert_problem(400);
    for id in ["x", "0000000000000000", "0000000000000000/"] {
        server.send(&get(&format!("{LIST}/{id}"))).assert_problem(404);
    }
    let stream = server.open(&get(STREAM));
    let target = format!("{LIST}/{}", id_of(&stream));
    server.send(&get(&target)).assert_status(200);
    drop(stream);
    server.wait_for_connections(0, ONE_SECOND);
    server.send(&get(&target)).assert_problem(404);
}
