//! Thousands of users who are cut off at once and come back at once: nobody has left, and nobody has come.

mod support;

use std::collections::HashSet;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use support::*;

const MOST: usize = 2_000;
const BATCH: usize = 100;
const GRACE: Duration = Duration::from_secs(5);

fn name(user: usize) -> String {
    format!("user{user}")
}

/// Streams of these users: all ask before the first is answered.
#[track_caller]
fn connect(server: &Server, users: Range<usize>) -> Vec<Stream> {
    let ask = |number| {
        let mut peer = server.connect();
        peer.send(get("/sse/connect").bearer(&user(&name(number))).bytes());
        peer
    };
    let asking: Vec<Peer> = users.map(ask).collect();
    asking.into_iter().map(Stream::answer).collect()
}

/// On a slow machine only as many as will be back within the grace.
#[track_caller]
fn connect_most(server: &Server) -> Vec<Stream> {
    let began = Instant::now();
    let mut streams = Vec::new();
    while streams.len() < MOST && began.elapsed() < GRACE / 3 {
        let next = streams.len();
        streams.extend(connect(server, next..next + BATCH));
    }
    streams
}

/// One who stays away tells when the grace is over.
#[test]
fn a_mass_reconnect_is_no_presence() {
    let server = rill().flags(&["--max-connections", &(MOST + 2).to_string()]).start();
    let streams = connect_most(&server);
    let users = streams.len();
    let lost = server.stream("/sse/connect", &user("lost"));
    let mut watcher = server.stream("/sse/connect", &user("watcher"));
    // They share a conversation only now, and so are told of nothing before.
    let members: Vec<String> =
        (0..users).map(name).chain(["lost".into(), "watcher".into()]).collect();
    let list = put("/sse/conversations/c/members", json!({ "members": members }).to_string());
    server.send(&list.bearer(&publisher())).assert_status(200);

    let cut = Instant::now();
    drop((streams, lost));
    let streams = connect(&server, 0..users);
    let away = cut.elapsed();
    assert!(away < GRACE, "too slow to be back within the grace: {away:?}");
    assert_eq!(server.connections(), users as u64 + 1);

    let offline = r#"{"userId":"lost","timestamp":"$now"}"#;
    watcher.next().assert(None, "user:offline", offline);
    assert!(cut.elapsed() >= GRACE * 9 / 10, "after {:?}", cut.elapsed());
    let body = json!({ "event": "marker", "data": null });
    let events = "/sse/conversations/c/events";
    let (marker, subscribers) = server.post(events, &publisher(), body).published();
    assert_eq!(subscribers, users as u64 + 1);
    watcher.assert_next(&marker);
    for mut stream in streams {
        stream.next().assert(None, "user:offline", offline);
        stream.assert_next(&marker);
    }
}

/// What is told once and not kept is dropped for nobody who takes it as it comes.
#[test]
fn everyone_who_comes_and_goes_is_told() {
    const WATCHERS: Range<usize> = MOST..MOST + 50;
    let most = WATCHERS.end.to_string();
    let server = rill().flags(&["--max-connections", &most, "--shards", "1"]).start();
    let watchers = connect(&server, WATCHERS);
    let members: Vec<String> = (0..WATCHERS.end).map(name).collect();
    let list = put("/sse/conversations/c/members", json!({ "members": members }).to_string());
    server.send(&list.bearer(&publisher())).assert_status(200);

    let read = |mut watcher: Stream| {
        let mut told = HashSet::new();
        while told.len() < 2 * MOST {
            let event = watcher.next();
            assert!(told.insert((event.name().to_owned(), event.text("userId"))), "{event:?}");
        }
    };
    // All at once: whoever does not read is behind.
    thread::scope(|scope| {
        watchers.into_iter().for_each(|watcher| drop(scope.spawn(move || read(watcher))));
        (0..MOST).step_by(BATCH).for_each(|first| drop(connect(&server, first..first + BATCH)));
    });
}
