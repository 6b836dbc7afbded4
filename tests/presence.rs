//! Who is in a room: told when the first stream of a user is there, and when the last has been gone for 5 s.

mod support;

use std::time::{Duration, Instant};

use support::*;

const ROOM: &str = "/chat/stream?room=r";
const GRACE: Duration = Duration::from_secs(5);

const ANN_HERE: &str = r#"{"roomId":"r","userId":"ann","username":"ann-name","timestamp":"$now"}"#;

fn say(server: &Server, message: &str) -> String {
    let body = serde_json::json!({ "roomId": "r", "message": message });
    server.publish("/chat/send", &user("eve"), body)
}

#[test]
fn the_first_stream_joins_and_the_last_leaves_after_the_grace() {
    let server = Server::start();
    let mut watcher = server.stream(ROOM, &user("bob"));
    let first = server.stream(ROOM, &user("ann"));
    watcher.next().assert(None, "user-joined", ANN_HERE);
    let second = server.stream(ROOM, &user("ann"));
    drop(first);
    let id = say(&server, "ann is still here");
    watcher.assert_next(&id);
    let closed = Instant::now();
    drop(second);
    watcher.next().assert(None, "user-left", ANN_HERE);
    let elapsed = closed.elapsed();
    assert!((GRACE * 9 / 10..GRACE + ONE_SECOND).contains(&elapsed), "{elapsed:?}");
}

#[test]
fn a_reload_is_not_a_leaving() {
    let server = Server::start();
    let mut watcher = server.stream(ROOM, &user("bob"));
    let mut ann = server.stream(ROOM, &user("ann"));
    watcher.next().assert(None, "user-joined", ANN_HERE);
    for _ in 0..3 {
        drop(ann);
        std::thread::sleep(Duration::from_millis(200));
        ann = server.stream(ROOM, &user("ann"));
    }
    std::thread::sleep(GRACE + ONE_SECOND);
    let id = say(&server, "nothing happened");
    watcher.assert_next(&id);
}

#[test]
fn who_comes_back_after_leaving_joins_again() {
    let server = Server::start();
    let mut watcher = server.stream(ROOM, &user("bob"));
    drop(server.stream(ROOM, &user("ann")));
    watcher.next().assert(None, "user-joined", ANN_HERE);
    watcher.next().assert(None, "user-left", ANN_HERE);
    let _ann = server.stream(ROOM, &user("ann"));
    watcher.next().assert(None, "user-joined", ANN_HERE);
}

#[test]
fn a_stream_that_is_replaced_does_not_leave() {
    let server = Server::start();
    let target = "/chat/stream?room=r&client=tab";
    let mut watcher = server.stream(ROOM, &user("bob"));
    let _old = server.stream(target, &user("ann"));
    watcher.next().assert(None, "user-joined", ANN_HERE);
    let _new = server.stream(target, &user("ann"));
    std::thread::sleep(GRACE + ONE_SECOND);
    let id = say(&server, "nothing happened");
    watcher.assert_next(&id);
}

#[test]
fn presence_is_of_one_room_and_for_those_who_listen_to_it() {
    let server = Server::start();
    let mut every = server.stream("/chat/stream", &user("carl"));
    let mut elsewhere = server.stream("/chat/stream?room=s", &user("bob"));
    assert_eq!(every.next().text("roomId"), "s");
    let mut ann = server.stream(ROOM, &user("ann"));
    every.next().assert(None, "user-joined", ANN_HERE);
    let id = say(&server, "the first for ann: she is not told of herself");
    ann.assert_next(&id);
    let id = server.publish("/chat/send", &user("eve"), r#"{"roomId":"s","message":"M"}"#);
    elsewhere.assert_next(&id);
}

#[test]
fn a_stream_of_every_room_joins_none() {
    let server = Server::start();
    let mut watcher = server.stream(ROOM, &user("bob"));
    let _every = server.stream("/chat/stream", &user("ann"));
    let _head = server.send(&request("HEAD", ROOM).bearer(&user("ann")));
    let id = say(&server, "the first");
    watcher.assert_next(&id);
}

#[test]
fn presence_is_not_kept() {
    let server = Server::start();
    let before = say(&server, "before");
    let mut watcher = server.stream(ROOM, &user("bob"));
    let _ann = server.stream(ROOM, &user("ann"));
    watcher.next().assert(None, "user-joined", ANN_HERE);
    let after = say(&server, "after");
    let mut again = server.open(&get(ROOM).bearer(&user("bob")).cursor(&before));
    again.connected.assert_connected(Some("bob"), "full", 30_000);
    again.assert_next(&after);
}
