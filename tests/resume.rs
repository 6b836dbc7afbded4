//! Coming back with a cursor: everything missed, in order, once; and where that cannot be, a `gap` that says so.

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use support::*;

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    now.as_millis().try_into().expect("milliseconds that fit")
}

/// Ann's notifications, and what she asks for.
struct Past {
    server: Server,
    ids: Vec<String>,
}

impl Past {
    /// Five events for ann, with some for others in between.
    fn new(setup: Setup) -> Self {
        let server = setup.flags(&["--max-connections-per-user", "100"]).start();
        let ids = (0..5).map(|n| {
            server.notify("bob", "not for ann");
            server.notify("ann", &n.to_string())
        });
        Self { ids: ids.collect(), server }
    }

    fn resume(&self, cursor: impl AsRef<[u8]>) -> Stream {
        self.server.resume(&user("ann"), cursor)
    }

    /// The stream brings exactly these events, then what is live.
    #[track_caller]
    fn assert_replays(&self, stream: &mut Stream, ids: &[String]) {
        for id in ids {
            stream.assert_next(id);
        }
        let live = self.server.notify("ann", "live");
        stream.assert_next(&live);
    }

    /// A cursor that is not continued: gap, `ids`, then what is live.
    #[track_caller]
    fn assert_gap(&self, mut stream: Stream, reason: &str, requested: &str, ids: &[String]) {
        stream.connected.assert_connected(Some("ann"), "gap", 30_000);
        let at = stream.next_of_all().assert_gap(reason, requested);
        assert!(ids.iter().all(|id| position(id) > (at.ms, at.seq)), "{at} comes before {ids:?}");
        self.assert_replays(&mut stream, ids);
    }
}

fn position(id: &str) -> (u64, u64) {
    let Cursor { ms, seq, .. } = Cursor::parse(id);
    (ms, seq)
}

#[test]
fn without_a_cursor_a_stream_starts_at_the_head() {
    let past = Past::new(rill());
    let mut stream = past.server.stream("/notifications/stream", &user("ann"));
    stream.connected.assert_connected(Some("ann"), "none", 30_000);
    assert!(position(stream.connected.id()) >= position(&past.ids[4]));
    past.assert_replays(&mut stream, &[]);
}

#[test]
fn the_first_id_of_an_empty_log_is_a_cursor() {
    let server = Server::start();
    let start = server.stream("/notifications/stream", &user("ann")).connected.id().to_owned();
    let missed = server.notify("ann", "missed");
    let mut stream = server.resume(&user("ann"), &start);
    stream.connected.assert_connected(Some("ann"), "full", 30_000);
    assert_eq!(stream.connected.id(), start);
    stream.assert_next(&missed);
}

#[test]
fn a_full_cursor_brings_what_came_after_it() {
    let past = Past::new(rill());
    for (n, id) in past.ids.iter().enumerate() {
        let mut stream = past.resume(id);
        stream.connected.assert_connected(Some("ann"), "full", 30_000);
        assert_eq!(stream.connected.id(), id);
        for (missed, id) in past.ids.iter().enumerate().skip(n + 1) {
            let data = r#"{"id":"$id","title":null,"message":"$n","type":"info","timestamp":"$now","userId":"ann"}"#;
            stream.next().assert(
                Some(id),
                "notification",
                &data.replace("$n\"", &format!("{missed}\"")),
            );
        }
    }
    past.assert_replays(&mut past.resume(&past.ids[4]), &[]);
}

#[test]
fn the_epoch_may_be_left_out() {
    let past = Past::new(rill());
    let (position, _epoch) = past.ids[1].split_once('.').expect("an epoch");
    let mut stream = past.resume(position);
    stream.connected.assert_connected(Some("ann"), "full", 30_000);
    assert_eq!(stream.connected.id(), past.ids[1]);
    past.assert_replays(&mut stream, &past.ids[2..]);
}

#[test]
fn a_bare_stamp_is_before_the_first_event_of_its_millisecond() {
    let past = Past::new(rill());
    let stamp = position(&past.ids[2]).0;
    let first = past.ids.iter().position(|id| position(id).0 >= stamp).expect("one at least");
    let mut stream = past.resume(stamp.to_string());
    stream.connected.assert_connected(Some("ann"), "full", 30_000);
    past.assert_replays(&mut stream, &past.ids[first..]);
}

#[test]
fn the_cursor_of_any_event_serves_any_stream() {
    let server = Server::start();
    let cursor = server.notify("bob", "not for chat");
    let missed = server.publish("/chat/send", &user("bob"), r#"{"roomId":"r","message":"M"}"#);
    server.publish("/chat/send", &user("bob"), r#"{"roomId":"another","message":"M"}"#);
    server.post("/chat/typing", &user("bob"), r#"{"roomId":"r"}"#).assert_status(200);
    let last = server.publish("/chat/send", &user("bob"), r#"{"roomId":"r","message":"M"}"#);
    let mut stream = server.open(&get("/chat/stream?room=r").bearer(&user("ann")).cursor(&cursor));
    stream.assert_next(&missed);
    stream.assert_next(&last);
    let mut status = server.open(&get("/system/status/stream").cursor(&cursor));
    status.connected.assert_connected(None, "full", 30_000);
    assert_eq!(status.next_of_all().name(), "status");
}

#[test]
fn a_connection_that_is_resumed_may_read_what_it_may_read_now() {
    let past = Past::new(rill());
    let mut eve = past.server.resume(&user("eve"), &past.ids[0]);
    eve.connected.assert_connected(Some("eve"), "full", 30_000);
    let id = past.server.notify("eve", "the first for eve");
    eve.assert_next(&id);
}

#[test]
fn the_query_serves_where_a_header_cannot() {
    let past = Past::new(rill());
    let query = |cursor: &str| {
        get(&format!("/notifications/stream?lastEventId={cursor}")).bearer(&user("ann"))
    };
    past.assert_replays(&mut past.server.open(&query(&past.ids[3])), &past.ids[4..]);
}

#[test]
fn the_header_wins_unless_it_is_empty() {
    let past = Past::new(rill());
    let query =
        get(&format!("/notifications/stream?lastEventId={}", past.ids[0])).bearer(&user("ann"));
    past.server.open(&query.clone().cursor(&past.ids[3])).assert_next(&past.ids[4]);
    past.server.open(&query.clone().cursor("")).assert_next(&past.ids[1]);
    let none = past
        .server
        .open(&get("/notifications/stream?lastEventId=").bearer(&user("ann")).cursor(""));
    none.connected.assert_connected(Some("ann"), "none", 30_000);
    past.assert_gap(past.server.open(&query.cursor("garbage")), "invalid_cursor", "garbage", &[]);
}

#[test]
fn what_is_no_cursor_goes_on_live_and_says_so() {
    let past = Past::new(rill());
    let full = &past.ids[0];
    let (position, _epoch) = full.split_once('.').expect("an epoch");
    let (ms, _sequence) = position.split_once('-').expect("a sequence");
    for cursor in [
        "garbage",
        "123",
        "0",
        "-1",
        "1.5",
        &format!("{ms}0"),
        &ms[..12],
        &format!("{ms}-"),
        &format!("-{position}"),
        &format!("{position}-1"),
        "99999999999999999999999999",
        "１７０００００００００００",
        "\"quoted\" \\ back",
        "null",
    ] {
        past.assert_gap(past.resume(cursor), "invalid_cursor", cursor, &[]);
    }
}

#[test]
fn a_position_that_no_log_can_have_is_a_gap() {
    let past = Past::new(rill());
    let huge = "99999999999999999999999999";
    for cursor in
        [format!("{huge}-0"), format!("1700000000000-{huge}"), format!("{huge}-{huge}.{huge}")]
    {
        let mut stream = past.resume(cursor);
        stream.connected.assert_connected(Some("ann"), "gap", 30_000);
        assert_eq!(stream.next_of_all().name(), "gap");
    }
}

#[test]
fn a_cursor_of_9_kib_is_cut_where_it_is_told() {
    let past = Past::new(rill());
    past.assert_gap(past.resume("a".repeat(9 * 1024)), "invalid_cursor", &"a".repeat(128), &[]);
}

#[test]
fn a_cursor_may_be_any_bytes() {
    let past = Past::new(rill());
    past.assert_gap(past.resume(b"a\xff\xc3(b"), "invalid_cursor", "a\u{fffd}\u{fffd}(b", &[]);
}

#[test]
fn two_cursors_are_none() {
    let past = Past::new(rill());
    let request = get("/notifications/stream").bearer(&user("ann"));
    let header = request.cursor(&past.ids[0]).cursor(&past.ids[0]);
    let query = get(&format!("/notifications/stream?lastEventId={0}&lastEventId={0}", past.ids[0]))
        .bearer(&user("ann"));
    for request in [header, query] {
        let mut stream = past.server.open(&request);
        stream.connected.assert_connected(Some("ann"), "gap", 30_000);
        let gap = stream.next_of_all();
        assert_eq!((gap.name(), gap.text("reason").as_str()), ("gap", "invalid_cursor"));
        past.assert_replays(&mut stream, &[]);
    }
}

#[test]
fn another_epoch_goes_on_from_the_oldest_kept() {
    let (past, other) = (Past::new(rill()), Past::new(rill()));
    let foreign = &other.ids[4];
    past.assert_gap(past.resume(foreign), "epoch_changed", foreign, &past.ids);
}

#[test]
fn an_epoch_that_changed_is_told_before_a_position_that_is_too_old_or_ahead() {
    for ms in [1_000_000_000_000, now_ms() + 3_600_000] {
        let (past, other) = (Past::new(rill()), Past::new(rill()));
        let cursor = Cursor { ms, ..Cursor::parse(&other.ids[0]) }.to_string();
        past.assert_gap(past.resume(&cursor), "epoch_changed", &cursor, &past.ids);
    }
}

#[test]
fn a_stamp_from_before_the_log_is_too_old() {
    let past = Past::new(rill());
    past.assert_gap(past.resume("1000000000000"), "too_old", "1000000000000", &past.ids);
}

#[test]
fn a_cursor_ahead_goes_on_live() {
    let past = Past::new(rill());
    let head = Cursor::parse(&past.ids[4]);
    let later = head.ms + 3_600_000;
    for cursor in [
        Cursor { seq: head.seq + 1000, ..head.clone() }.to_string(),
        Cursor { ms: later, ..head.clone() }.to_string(),
        format!("{later}-0"),
        later.to_string(),
    ] {
        past.assert_gap(past.resume(&cursor), "cursor_ahead", &cursor, &[]);
    }
}

#[test]
fn a_stamp_up_to_now_is_not_ahead() {
    let past = Past::new(rill());
    std::thread::sleep(Duration::from_millis(5));
    let mut stream = past.resume(now_ms().to_string());
    stream.connected.assert_connected(Some("ann"), "full", 30_000);
    past.assert_replays(&mut stream, &[]);
}

#[test]
fn more_than_the_replay_limit_is_its_newest() {
    let past = Past::new(rill().env("RILL_LOG_REPLAY_LIMIT", "3"));
    past.assert_gap(past.resume(&past.ids[0]), "replay_limit", &past.ids[0], &past.ids[2..]);
}

#[test]
fn the_replay_limit_counts_what_concerns_the_connection() {
    let past = Past::new(rill().env("RILL_LOG_REPLAY_LIMIT", "4"));
    let mut stream = past.resume(&past.ids[0]);
    stream.connected.assert_connected(Some("ann"), "full", 30_000);
    past.assert_replays(&mut stream, &past.ids[1..]);
}

#[test]
fn the_first_reason_that_holds_is_told() {
    let past = Past::new(rill().env("RILL_LOG_REPLAY_LIMIT", "3"));
    let mut stream = past.resume("1000000000000");
    let gap = stream.next_of_all();
    assert_eq!((gap.name(), gap.text("reason").as_str()), ("gap", "too_old"));
}

#[test]
fn a_gap_leaves_in_the_same_write_as_connected() {
    let past = Past::new(rill());
    let mut peer = past.server.connect();
    peer.send(get("/notifications/stream").bearer(&user("ann")).cursor("garbage").bytes());
    let mut bytes = Vec::new();
    while !bytes.windows(16).any(|window| window == b"event: connected") {
        let more = peer.read_once();
        assert!(!more.is_empty(), "the stream ended");
        bytes = more;
    }
    let text = String::from_utf8(bytes).expect("text");
    let (_, gap) = text.split_once("event: gap\n").unwrap_or_else(|| panic!("no gap in {text:?}"));
    assert!(gap.contains("}\n\n"), "{text:?}");
}

#[test]
fn a_restart_loses_nothing() {
    for stop in [Server::crash, Server::stop] {
        let Past { server, ids } = Past::new(rill());
        let again = Past { server: stop(server).start(), ids };
        let mut stream = again.resume(&again.ids[1]);
        stream.connected.assert_connected(Some("ann"), "full", 30_000);
        again.assert_replays(&mut stream, &again.ids[2..]);
    }
}

#[test]
fn head_and_refusals_do_not_look_at_the_cursor() {
    let server = Server::start();
    let head = request("HEAD", "/notifications/stream").bearer(&user("ann")).cursor("garbage");
    server.send(&head).assert_status(200);
    server.send(&get("/notifications/stream").cursor("garbage")).assert_problem(401);
}

/// Readers come and go while events are published: each gets every number after its cursor, once and in order.
#[test]
fn replay_joins_live_without_a_hole_or_a_repeat() {
    const EVENTS: u64 = 600;
    let server = rill().flags(&["--max-connections-per-user", "100"]).start();
    let number = |n: u64| {
        json!({ "entityType": "t", "entityId": "1", "action": "updated", "data": n }).to_string()
    };
    let start = server.publish("/realtime/update", DEMO, number(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = server.connect();
            for n in 1..=EVENTS {
                peer.exchange(&post("/realtime/update", number(n)).bearer(DEMO)).published();
            }
        });
        for reader in 0..6 {
            let (server, start) = (&server, start.clone());
            scope.spawn(move || read_in_pieces(server, &format!("reader{reader}"), start, EVENTS));
        }
    });
}

/// Reads up to `last`, hanging up now and then and coming back with the last id.
fn read_in_pieces(server: &Server, name: &str, start: String, last: u64) {
    let (mut cursor, mut seen) = (start, 0);
    for patience in 1.. {
        let mut stream =
            server.open(&get("/realtime/stream?entityType=t").bearer(&user(name)).cursor(&cursor));
        stream.connected.assert_connected(Some(name), "full", 30_000);
        for _ in 0..patience * 10 {
            let event = stream.next();
            seen += 1;
            assert_eq!(event.json()["data"], seen, "after {cursor}: {}", event.raw);
            cursor = event.id().to_owned();
            if seen == last {
                return;
            }
        }
    }
}
