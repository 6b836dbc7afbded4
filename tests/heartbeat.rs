//! A quiet stream says that it lives, and moves its cursor while it does.

mod support;

use std::time::{Duration, Instant};

use support::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_quiet_stream_gets_a_heartbeat_with_a_cursor() {
    let server = rill().flags(&["--heartbeat", "1s"]).start();
    let started = Instant::now();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    stream.connected.assert_connected(Some("ann"), "none", 1000);
    for beat in 1..=2 {
        let event = stream.next_of_all();
        event.assert(Some(&event.cursor().to_string()), "heartbeat", "{}");
        let elapsed = started.elapsed();
        assert!(elapsed > beat * SECOND * 8 / 10, "heartbeat {beat} after {elapsed:?}");
    }
}

#[test]
fn a_heartbeat_is_one_chunk() {
    let server = rill().flags(&["--heartbeat", "1s"]).start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    let Piece::Chunk(chunk) = stream.peer().piece() else { panic!("no chunk") };
    let text = String::from_utf8(chunk).expect("text");
    assert!(
        text.starts_with("id: ") && text.ends_with("\nevent: heartbeat\ndata: {}\n\n"),
        "{text:?}"
    );
}

#[test]
fn a_comment_where_comments_are_asked_for() {
    let server = rill().flags(&["--heartbeat", "1s"]).env("RILL_HEARTBEAT_MODE", "comment").start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    stream.connected.assert_connected(Some("ann"), "none", 1000);
    for _ in 0..2 {
        assert_eq!(stream.peer().piece(), Piece::Chunk(b":\n".to_vec()));
    }
    let id = server.notify("ann", "hello");
    stream.assert_next(&id);
}

#[test]
fn the_cursor_of_a_quiet_stream_moves() {
    let server = rill().flags(&["--heartbeat", "1s"]).start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    let elsewhere = Cursor::parse(&server.notify("bob", "not for ann"));
    let mut beats = (0..3).map(|_| stream.next_of_all());
    let beat =
        beats.find(|beat| beat.cursor() >= elsewhere).expect("a heartbeat that has come that far");
    assert_eq!(beat.name(), "heartbeat");
    assert_eq!(beat.cursor().epoch, elsewhere.epoch);
    drop(stream);
    let missed = server.notify("ann", "missed");
    let mut stream = server.resume(&user("ann"), beat.id());
    stream.connected.assert_connected(Some("ann"), "full", 1000);
    assert_eq!(stream.connected.id(), beat.id());
    stream.assert_next(&missed);
}

#[test]
fn a_heartbeat_never_passes_an_event() {
    let server = rill().flags(&["--heartbeat", "1s"]).start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    let mut last = stream.connected.cursor();
    for n in 0..3 {
        std::thread::sleep(SECOND);
        let id = server.notify("ann", &n.to_string());
        loop {
            let event = stream.next_of_all();
            assert!(event.cursor() >= last, "{last} and then {event:?}");
            last = event.cursor();
            if event.name() == "notification" {
                assert_eq!(event.id(), id);
                break;
            }
        }
    }
}

#[test]
fn events_with_an_id_make_heartbeats_needless() {
    let server = rill().flags(&["--heartbeat", "2s"]).start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    let started = Instant::now();
    while started.elapsed() < 3 * SECOND {
        std::thread::sleep(SECOND / 5);
        server.notify("ann", "hello");
        assert_eq!(stream.next_of_all().name(), "notification");
    }
}

#[test]
fn events_without_an_id_do_not() {
    let server = rill().flags(&["--heartbeat", "1s"]).start();
    let mut stream = server.stream("/chat/stream?room=r", &user("ann"));
    let started = Instant::now();
    let mut beats = 0;
    while beats < 2 {
        assert!(started.elapsed() < FIVE_SECONDS, "{beats} heartbeats only");
        server.post("/chat/typing", &user("bob"), r#"{"roomId":"r"}"#).assert_status(200);
        loop {
            match stream.next_of_all().name() {
                "heartbeat" => beats += 1,
                name => break assert_eq!(name, "typing"),
            }
        }
        std::thread::sleep(SECOND / 10);
    }
}

#[test]
fn http_1_0_gets_the_bytes_of_a_heartbeat() {
    let server = rill().flags(&["--heartbeat", "1s"]).start();
    let mut stream = server.open(&get("/notifications/stream").http_1_0().bearer(&user("ann")));
    let event = stream.next_of_all();
    event.assert(Some(&event.cursor().to_string()), "heartbeat", "{}");
}
