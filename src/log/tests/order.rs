//! Positions rise, whoever publishes and however often the log is opened.

use std::sync::mpsc;

use super::kit::*;
use crate::cursor::Position;
use crate::log::{AppendError, Durability, Store};

fn rise(positions: &[Position]) -> bool {
    positions.is_sorted_by(|a, b| a < b)
}

#[test]
fn positions_rise_in_the_order_of_publishing() {
    let log = in_memory();
    let start = log.ring().extent().head;
    let futures: Vec<_> =
        (0..3_000).map(|n| log.append(event("a", &n.to_string()), None)).collect();
    let answered = block_on(async {
        let mut answered = vec![start];
        for future in futures {
            answered.push(future.await.expect("published").position);
        }
        answered
    });
    assert!(rise(&answered));
    assert_eq!(shown(&log), answered[1..]);
    assert_eq!(log.ring().extent().head, answered[3_000]);
}

#[test]
fn a_cursor_is_the_id_of_its_event() {
    let log = in_memory();
    let cursor = publish(&log, "a", "hi").to_string();
    let body = format!(
        "id: {cursor}\nevent: message\ndata: {{\"id\":\"{cursor}\",\"message\":\"hi\"}}\n\n"
    );
    assert_eq!(texts(&frames(&log)), [format!("{:x}\r\n{body}\r\n", body.len())]);
    assert!(cursor.ends_with(&format!(".{}", log.epoch())));
}

#[test]
fn an_opened_again_log_goes_on_above() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut all = Vec::new();
    for _ in 0..3 {
        let log = in_directory(directory.path());
        assert_eq!(shown(&log), all);
        all.extend((0..3).map(|_| publish(&log, "a", "x").position));
        log.close();
    }
    assert!(rise(&all));
}

#[test]
fn a_log_that_was_opened_when_the_clock_is_behind_it_still_rises() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut journal, start) = store_in(directory.path());
    let tomorrow = nth(start, 24 * 60 * 60 * 1_000);
    let before = pending(tomorrow, event("a", "from when the clock was wrong"));
    crate::log::writer::Store::commit(&mut journal, &[before], 0, true).expect("committed");
    drop(journal);
    let log = in_directory(directory.path());
    let next = publish(&log, "a", "today").position;
    assert_eq!((next.milliseconds(), next.sequence()), (tomorrow.milliseconds(), 1));
}

#[test]
fn the_epoch_is_kept_over_opening_and_another_in_another_directory() {
    let directories = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let epoch = |number: usize| {
        let log = in_directory(directories[number].path());
        log.close();
        log.epoch()
    };
    assert_eq!(epoch(0), epoch(0));
    assert_ne!(epoch(0), epoch(1));
    assert_ne!(in_memory().epoch(), in_memory().epoch());
}

#[test]
fn an_event_is_shown_before_it_is_answered() {
    let directory = tempfile::tempdir().expect("a directory");
    for store in [Store::Memory, Store::Embedded(directory.path().to_owned())] {
        let log = opened(&settings(store, Durability::Fsync));
        let (showed, seen) = mpsc::channel();
        let ring = std::sync::Arc::downgrade(log.ring());
        log.ring().watch(move || {
            let head = ring.upgrade().map(|ring| ring.extent().head);
            let _ = showed.send(head);
        });
        for number in 0..50 {
            let position = publish(&log, "a", &number.to_string()).position;
            assert_eq!(seen.try_recv(), Ok(Some(position)));
        }
        assert!(seen.try_recv().is_err());
    }
}

#[test]
fn a_publisher_that_does_not_wait_has_published() {
    let log = in_memory();
    drop(log.append(event("a", "and away"), None));
    let waited_for = publish(&log, "a", "after it").position;
    assert_eq!((shown(&log).len(), shown(&log)[1]), (2, waited_for));
}

#[test]
fn a_closed_log_takes_no_more_and_can_still_be_read() {
    let directory = tempfile::tempdir().expect("a directory");
    for store in [Store::Memory, Store::Embedded(directory.path().to_owned())] {
        let log = opened(&settings(store, Durability::Fsync));
        let position = publish(&log, "a", "kept").position;
        log.close();
        log.close();
        let refused = block_on(log.append(event("a", "late"), None));
        assert_eq!(refused, Err(AppendError::Unavailable));
        assert_eq!(shown(&log), [position]);
    }
}
