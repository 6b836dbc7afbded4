//! What was answered 2xx is kept: over `kill -9`, over restarts, and for as long as retention says.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::*;

const NOTIFY: &str = "/notifications/send";

/// Everything kept for ann after `cursor`, up to now.
fn replay(server: &Server, cursor: &str) -> Vec<Event> {
    let mut stream = server.resume(&user("ann"), cursor);
    let end = server.notify("ann", "the end");
    let mut events = Vec::new();
    loop {
        let event = stream.next();
        if event.id() == end {
            return events;
        }
        events.push(event);
    }
}

/// Publishes until the server dies; `(id, number)` of what was answered 2xx.
fn publish_until_killed(server: &Server, numbers: &AtomicU64) -> Vec<(String, u64)> {
    let mut socket = TcpStream::connect(server.address()).expect("a connection");
    let mut acknowledged = Vec::new();
    loop {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "userId": "ann", "message": number.to_string() });
        let request = post(NOTIFY, body.to_string()).bearer(DEMO).bytes();
        match socket.write_all(&request).ok().and_then(|()| id_of_answer(&mut socket)) {
            Some(id) => acknowledged.push((id, number)),
            None => return acknowledged,
        }
    }
}

/// None for an answer that the kill has cut off: it was not received.
fn id_of_answer(socket: &mut TcpStream) -> Option<String> {
    let (mut answer, mut block) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(b"}") {
        let length = socket.read(&mut block).ok().filter(|length| *length > 0)?;
        answer.extend(&block[..length]);
    }
    let text = String::from_utf8(answer).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head before the body");
    assert!(head.starts_with("HTTP/1.1 200 "), "{text}");
    let answer: Value = serde_json::from_str(body).expect("JSON");
    Some(answer["id"].as_str().expect("an id").to_owned())
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    const ROUNDS: u64 = 6;
    let numbers = AtomicU64::new(0);
    let mut acknowledged = BTreeMap::new();
    let mut server = Server::start();
    let start = server.notify("ann", "the start");
    for round in 0..ROUNDS {
        std::thread::scope(|scope| {
            let publishers: Vec<_> =
                (0..4).map(|_| scope.spawn(|| publish_until_killed(&server, &numbers))).collect();
            std::thread::sleep(Duration::from_millis(50 + 37 * round));
            server.signal("KILL");
            for publisher in publishers {
                let known = publisher.join().expect("a publisher");
                acknowledged
                    .extend(known.into_iter().map(|(id, number)| (Cursor::parse(&id), number)));
            }
        });
        server = server.crash().start();
        let kept = replay(&server, &start);
        let cursors: Vec<_> = kept.iter().map(Event::cursor).collect();
        assert!(cursors.is_sorted_by(|a, b| (a.ms, a.seq) < (b.ms, b.seq) && a.epoch == b.epoch));
        let numbers: BTreeMap<_, _> =
            kept.iter().map(|event| (event.cursor(), event.text("message"))).collect();
        for (cursor, number) in &acknowledged {
            assert_eq!(numbers.get(cursor), Some(&number.to_string()), "{cursor} in round {round}");
        }
    }
    assert!(acknowledged.len() > 20, "only {} events in {ROUNDS} rounds", acknowledged.len());
}

#[test]
fn a_stream_is_sent_nothing_that_a_crash_takes_back() {
    let mut server = Server::start();
    let start = server.notify("ann", "the start");
    for _ in 0..3 {
        let mut stream = server.resume(&user("ann"), &start);
        let seen = std::thread::scope(|scope| {
            let publisher = scope.spawn(|| publish_until_killed(&server, &AtomicU64::new(0)));
            std::thread::sleep(Duration::from_millis(100));
            server.signal("KILL");
            publisher.join().expect("a publisher");
            std::iter::from_fn(|| stream.poll()).collect::<Vec<_>>()
        });
        assert!(!seen.is_empty());
        server = server.crash().start();
        let kept = replay(&server, &start);
        let seen: Vec<_> = seen.into_iter().map(|event| event.raw).collect();
        let kept: Vec<_> = kept.into_iter().map(|event| event.raw).collect();
        assert_eq!(seen, kept[..seen.len()]);
    }
}

#[test]
fn a_data_directory_has_one_user() {
    let server = Server::start();
    let second = rill().data_dir(server.setup().data());
    let output = second.output();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    let message = format!("data directory {} is in use by another rill", second.data().display());
    assert!(said.contains(&message), "{said}");
    server.notify("ann", "the first goes on");
    drop(server.crash().start());
}

#[test]
fn a_log_in_memory_answers_202_and_forgets() {
    for setup in [rill().flags(&["--log", "memory"]), rill().env("RILL_LOG_DURABILITY", "memory")] {
        let server = setup.start();
        let body = r#"{"message":"M","userId":"ann"}"#;
        let publish =
            |server: &Server| server.post(NOTIFY, DEMO, body).assert_status(202).accepted().0;
        let mut stream = server.stream("/notifications/stream", &user("ann"));
        let first = publish(&server);
        let second = publish(&server);
        stream.assert_next(&first);
        server.resume(&user("ann"), &first).assert_next(&second);
        let typing = server.post("/chat/typing", DEMO, r#"{"roomId":"r"}"#).status();
        assert!((200..300).contains(&typing), "{typing}");

        drop(stream);
        let server = server.stop().start();
        let mut stream = server.resume(&user("ann"), &first);
        stream.connected.assert_connected(Some("ann"), "gap", 30_000);
        stream.next_of_all().assert_gap("epoch_changed", &first);
        let third = publish(&server);
        assert_ne!(Cursor::parse(&third).epoch, Cursor::parse(&first).epoch);
        stream.assert_next(&third);
    }
}

#[test]
fn a_data_directory_that_is_gone_is_a_new_epoch() {
    let server = Server::start();
    let first = server.notify("ann", "lost");
    let setup = server.stop();
    std::fs::remove_dir_all(setup.data()).expect("the data directory goes");
    let server = setup.start();
    let kept = server.notify("ann", "kept");
    let mut stream = server.resume(&user("ann"), &first);
    stream.next_of_all().assert_gap("epoch_changed", &first);
    stream.assert_next(&kept);
}

#[test]
fn an_interval_is_enough_for_an_orderly_end() {
    let server = rill().env("RILL_LOG_DURABILITY", "interval").start();
    let status = server.post(NOTIFY, DEMO, r#"{"message":"M","userId":"ann"}"#);
    let (first, _) = status.accepted();
    let missed: Vec<_> = (0..20).map(|n| server.notify("ann", &n.to_string())).collect();
    let server = server.stop().start();
    let kept: Vec<_> = replay(&server, &first).iter().map(|event| event.id().to_owned()).collect();
    assert_eq!(kept, missed);
}

#[test]
fn the_epoch_and_the_order_outlast_restarts() {
    let mut server = Server::start();
    let mut last = Cursor::parse(&server.notify("ann", "first"));
    for stop in [Server::crash, Server::stop, Server::crash] {
        server = stop(server).start();
        let next = Cursor::parse(&server.notify("ann", "next"));
        assert!(
            next.epoch == last.epoch && (next.ms, next.seq) > (last.ms, last.seq),
            "{last} and then {next}"
        );
        last = next;
    }
}

/// What is kept between `start`, which is not any more, and `last`; nothing if that changes meanwhile.
fn kept_up_to(server: &Server, start: &str, last: &str) -> Option<usize> {
    let mut stream = server.resume(&user("ann"), start);
    let first = stream.next();
    if first.name() != "gap" {
        return None;
    }
    assert_eq!(first.text("reason"), "too_old");
    for kept in 1.. {
        let event = stream.next();
        // What comes next to it is not kept any more.
        if event.name() == "disconnected" {
            return None;
        }
        if event.id() == last {
            return Some(kept);
        }
    }
    None
}

#[test]
fn retention_by_count_keeps_the_count_and_at_most_twice_as_many() {
    let server = rill().env("RILL_LOG_RETENTION_COUNT", "100").start();
    let start = server.notify("ann", "the start");
    let ids: Vec<_> = (0..400).map(|n| server.notify("ann", &n.to_string())).collect();
    eventually(FIVE_SECONDS, "at most 200 events", || {
        let kept = kept_up_to(&server, &start, &ids[399]);
        kept.inspect(|kept| assert!(*kept >= 100, "only {kept} events"))
            .is_some_and(|kept| kept <= 200)
    });
    let mut newest = server.resume(&user("ann"), &ids[299]);
    newest.connected.assert_connected(Some("ann"), "full", 30_000);
    newest.assert_next(&ids[300]);
}

#[test]
fn retention_by_bytes_keeps_the_newest() {
    let server = rill().env("RILL_LOG_RETENTION_BYTES", "1MiB").start();
    let start = server.notify("ann", "the start");
    let ids: Vec<_> = (0..40).map(|_| server.notify("ann", &"x".repeat(100_000))).collect();
    eventually(FIVE_SECONDS, "fewer than 40 events", || {
        kept_up_to(&server, &start, &ids[39]).is_some()
    });
}

#[test]
fn retention_by_age_lets_everything_go() {
    let server = rill().env("RILL_LOG_RETENTION_AGE", "2s").start();
    let start = server.notify("ann", "the start");
    let last = server.notify("ann", "old");
    eventually(Duration::from_secs(2) + FIVE_SECONDS, "nothing old", || {
        let mut kept = replay(&server, &start);
        kept.remove(0).name() == "gap" && kept.iter().all(|event| event.id() != last)
    });
}
