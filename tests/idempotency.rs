//! `Idempotency-Key`: a publish that is sent again is the same event.

mod support;

use serde_json::json;
use support::*;

const NOTIFY: &str = "/notifications/send";
const CHAT: &str = "/chat/send";
const BODY: &str = r#"{"message":"M"}"#;

fn keyed(path: &str, token: &str, key: &str, body: &str) -> Request {
    post(path, body).bearer(token).field("Idempotency-Key", key)
}

fn ann(key: &str) -> Request {
    keyed(NOTIFY, &user("ann"), key, BODY)
}

#[test]
fn the_same_key_and_body_is_the_same_event() {
    let server = Server::start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    let (first, _) = server.send(&ann("key")).published();
    for _ in 0..3 {
        assert_eq!(server.send(&ann("key")).published().0, first);
    }
    let (other, _) = server.send(&ann("another")).published();
    stream.assert_next(&first);
    stream.assert_next(&other);
}

#[test]
fn another_body_under_that_key_is_409() {
    let server = Server::start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    let (first, _) = server.send(&ann("key")).published();
    server.send(&keyed(NOTIFY, &user("ann"), "key", r#"{"message":"N"}"#)).assert_problem(409);
    assert_eq!(server.send(&ann("key")).published().0, first);
    stream.assert_next(&first);
    let id = server.notify("ann", "the second");
    stream.assert_next(&id);
}

#[test]
fn a_concurrent_repeat_waits_for_the_first() {
    let server = Server::start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    for round in 0..10 {
        let request = ann(&format!("key {round}"));
        let ids: Vec<_> = std::thread::scope(|scope| {
            let senders: Vec<_> =
                (0..8).map(|_| scope.spawn(|| server.send(&request).published().0)).collect();
            senders.into_iter().map(|sender| sender.join().expect("an answer")).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        stream.assert_next(&ids[0]);
    }
    let id = server.notify("ann", "the last");
    stream.assert_next(&id);
}

#[test]
fn of_two_concurrent_bodies_one_wins() {
    let server = Server::start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    for round in 0..5 {
        let request = |sender: u32| {
            let body = json!({ "message": (sender % 2).to_string() }).to_string();
            keyed(NOTIFY, &user("ann"), &format!("key {round}"), &body)
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let send = |sender| (sender, server.send(&request(sender)));
            let senders: Vec<_> = (0..8).map(|sender| scope.spawn(move || send(sender))).collect();
            senders.into_iter().map(|sender| sender.join().expect("an answer")).collect()
        });
        let event = stream.next();
        for (sender, answer) in answers {
            if (sender % 2).to_string() == event.text("message") {
                assert_eq!(answer.published().0, event.id());
            } else {
                answer.assert_problem(409);
            }
        }
    }
    let id = server.notify("ann", "the last");
    stream.assert_next(&id);
}

#[test]
fn a_key_outlasts_a_restart() {
    let mut server = Server::start();
    let (first, _) = server.send(&ann("key")).published();
    for stop in [Server::crash, Server::stop] {
        server = stop(server).start();
        assert_eq!(server.send(&ann("key")).published().0, first);
        server.send(&keyed(NOTIFY, &user("ann"), "key", r#"{"message":"N"}"#)).assert_problem(409);
    }
}

#[test]
fn a_log_in_memory_knows_keys_too() {
    let server = rill().flags(&["--log", "memory"]).start();
    let id = || server.send(&ann("key")).assert_status(202).accepted().0;
    assert_eq!(id(), id());
}

#[test]
fn a_key_belongs_to_a_user_and_a_path() {
    let server = Server::start();
    let mut stream = server.stream("/chat/stream?room=r", &user("eve"));
    let body = r#"{"roomId":"r","message":"M"}"#;
    let (anns, _) = server.send(&keyed(CHAT, &user("ann"), "key", body)).published();
    let (bobs, _) = server.send(&keyed(CHAT, &user("bob"), "key", body)).published();
    let (elsewhere, _) = server.send(&keyed(NOTIFY, &user("ann"), "key", body)).published();
    assert!(anns != bobs && anns != elsewhere && bobs != elsewhere);
    assert_eq!(stream.assert_next(&anns).text("userId"), "ann");
    assert_eq!(stream.assert_next(&bobs).text("userId"), "bob");
}

#[test]
fn a_key_has_1_to_128_bytes() {
    let server = Server::start();
    for key in ["", &"x".repeat(129)] {
        server.send(&ann(key)).assert_problem(400);
    }
    for key in ["x", &"x".repeat(128), "8f14e45f-ceea-467f-a0e6-6b1f5e2b8a11"] {
        let first = server.send(&ann(key)).published().0;
        assert_eq!(server.send(&ann(key)).published().0, first);
    }
}

#[test]
fn typing_knows_no_keys() {
    let server = Server::start();
    let mut stream = server.stream("/chat/stream?room=r", &user("eve"));
    for room in ["r", "r", "another", "r"] {
        let body = json!({ "roomId": room }).to_string();
        server.send(&keyed("/chat/typing", &user("ann"), "key", &body)).assert_status(200);
    }
    for _ in 0..3 {
        assert_eq!(stream.next().name(), "typing");
    }
}

#[test]
fn what_was_refused_may_be_sent_again() {
    let server = Server::start();
    let request = keyed(NOTIFY, &user("ann"), "key", r#"{"message":"M","userId":"bob"}"#);
    server.send(&request).assert_problem(403);
    server.send(&request).assert_problem(403);
}

#[test]
fn to_users_and_conversations_too() {
    let server = Server::start();
    let list = put("/sse/conversations/c/members", r#"{"members":["ann"]}"#).bearer(&publisher());
    server.send(&list).assert_status(200);
    let mut stream = server.stream("/sse/connect", &user("ann"));
    let (one, other) = (r#"{"event":"e","data":1}"#, r#"{"event":"e","data":2}"#);
    let send = |path: &str, body: &str| server.send(&keyed(path, &publisher(), "key", body));
    let paths = ["/sse/users/ann/events", "/sse/conversations/c/events"];
    for path in paths {
        let first = send(path, one).published().0;
        assert_eq!(send(path, one).published().0, first);
        // The same path, written otherwise.
        assert_eq!(send(&path.replace("sse", "%73se"), one).published().0, first);
        send(path, other).assert_problem(409);
        stream.assert_next(&first);
    }
    let ephemeral = r#"{"event":"e","data":1,"ephemeral":true}"#;
    for _ in 0..2 {
        send(paths[0], ephemeral).assert_status(200);
        assert_eq!(stream.next().id, None);
    }
}
