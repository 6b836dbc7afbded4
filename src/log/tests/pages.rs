//! Old events: pages with a filter and bounds, and where a bounded replay begins.

use std::sync::{Arc, mpsc};

use super::kit::*;
use crate::cursor::Position;
use crate::log::embedded::Journal;
use crate::log::record;
use crate::log::writer::{Start, Store as Stored};
use crate::log::{EventLog, PageError};
use crate::topic::Topics;

/// Twelve events to a, b, and both in turn.
fn twelve(directory: &std::path::Path) -> (Journal, Start) {
    let (mut journal, start) = store_in(directory);
    let batch: Vec<_> = (1..=12)
        .map(|number| {
            pending(nth(start, number), event(["a", "b", "a b"][number as usize % 3], "x"))
        })
        .collect();
    journal.commit(&batch, 0, true).expect("committed");
    (journal, start)
}

#[test]
fn a_page_has_what_matches_and_tells_how_far_it_looked() {
    let directory = tempfile::tempdir().expect("a directory");
    let (journal, start) = twelve(directory.path());
    let at = |numbers: &[u64]| numbers.iter().map(|n| nth(start, *n)).collect::<Vec<_>>();
    let page =
        |after, rooms, enough, most| stored(&journal, nth(start, after), rooms, enough, most);
    let whole = usize::MAX;
    assert_eq!(page(0, "a", whole, whole), Some((at(&[2, 3, 5, 6, 8, 9, 11, 12]), nth(start, 12))));
    assert_eq!(page(6, "b", whole, whole), Some((at(&[7, 8, 10, 11]), nth(start, 12))));
    assert_eq!(page(6, "a b", whole, 2), Some((at(&[7, 8]), nth(start, 8))), "two records");
    assert_eq!(page(6, "a", whole, 1), Some((at(&[8]), nth(start, 8))), "one that matches");
    assert_eq!(page(0, "c", whole, whole), Some((vec![], nth(start, 12))));
    assert_eq!(page(12, "a", whole, whole), Some((vec![], nth(start, 12))));
    let size = record::encode(Default::default(), &event("b", "x")).len();
    assert_eq!(page(0, "b", size, whole), Some((at(&[1]), nth(start, 1))), "enough bytes");
    assert_eq!(page(0, "b", size + 1, whole), Some((at(&[1, 2]), nth(start, 2))));
}

fn page_of(log: &EventLog, after: Position) -> Result<Vec<Position>, PageError> {
    let (deliver, delivered) = mpsc::channel();
    log.page(after, vec![room("a")], move |page| {
        let positions = |page: crate::log::Page| {
            page.frames.iter().map(|frame| frame.position()).collect::<Vec<_>>()
        };
        deliver.send(page.map(positions)).expect("the test waits");
    });
    delivered.recv().expect("delivered")
}

#[test]
fn a_page_comes_as_the_frames_that_the_ring_had() {
    let directory = tempfile::tempdir().expect("a directory");
    let topics = Arc::new(Topics::default());
    let store = crate::log::Store::Embedded(directory.path().to_owned());
    let settings = settings(store, crate::log::Durability::Fsync);
    let log = EventLog::open(&settings, &topics).expect("opened");
    let start = log.ring().extent().head;
    let positions: Vec<_> = (0..5).map(|_| publish(&log, "a", "x").position).collect();
    publish(&log, "b", "not asked for");
    assert_eq!(page_of(&log, start), Ok(positions.clone()));
    assert_eq!(page_of(&log, positions[2]), Ok(positions[3..].to_vec()));
    let (deliver, delivered) = mpsc::channel();
    log.page(start, vec![room("a")], move |page| {
        let _ = deliver.send(page.map(|page| texts(&page.frames)));
    });
    assert_eq!(delivered.recv(), Ok(Ok(texts(&frames(&log)[..5]))));
}

#[test]
fn an_event_can_be_read_from_the_store_when_it_is_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let topics = Arc::new(Topics::default());
    let store = crate::log::Store::Embedded(directory.path().to_owned());
    let settings = settings(store, crate::log::Durability::Fsync);
    let log = Arc::new(EventLog::open(&settings, &topics).expect("opened"));
    let start = log.ring().extent().head;
    let (showed, seen) = mpsc::channel();
    let weak = Arc::downgrade(&log);
    // On the writer's thread, before the publisher has its answer.
    log.ring().watch(move || {
        if let Some(log) = weak.upgrade() {
            let _ = showed.send(page_of(&log, start));
        }
    });
    let mut all = Vec::new();
    for _ in 0..10 {
        all.push(publish(&log, "a", "x").position);
        assert_eq!(seen.try_recv(), Ok(Ok(all.clone())));
    }
}

#[test]
fn a_log_in_memory_has_no_pages() {
    let log = in_memory();
    let start = log.ring().extent().head;
    assert_eq!(page_of(&log, start), Err(PageError::Gone));
}

#[test]
fn a_bounded_replay_has_the_newest_that_match() {
    let directory = tempfile::tempdir().expect("a directory");
    let (journal, start) = twelve(directory.path());
    // To a: 2 3 5 6 8 9 11 12.
    let cases = [(0, 3, 8), (0, 1, 11), (0, 7, 2), (0, 8, 0), (0, 12, 0), (0, 100, 0), (6, 4, 6)];
    for (after, limit, expected) in cases.into_iter().chain([(6, 2, 9), (0, 0, 12), (12, 3, 12)]) {
        // Events to b that somebody may not read count as little as those that he does not ask for.
        for (rooms, reader) in [("a", None), ("a b", Some(reader_of_a()))] {
            let found = newest(&journal, nth(start, after), rooms, reader, limit);
            assert_eq!(found, nth(start, expected), "{limit} after {after} to {rooms}");
        }
    }
}

#[test]
fn the_ring_counts_as_the_store_does() {
    let topics = Arc::new(Topics::default());
    let settings = settings(crate::log::Store::Memory, crate::log::Durability::Fsync);
    let log = EventLog::open(&settings, &topics).expect("opened");
    let mut at = vec![log.ring().extent().head];
    at.extend((1..=12).map(|n| publish(&log, ["a", "b", "a b"][n % 3], "x").position));
    for (after, limit, expected) in [(0, 3, 8), (0, 1, 11), (0, 7, 2), (0, 8, 0), (6, 2, 9)] {
        let (a, both) = (topics.hold(&[room("a")]), topics.hold(&[room("a"), room("b")]));
        for (set, reader) in [(&a, None), (&both, Some(&reader_of_a()))] {
            let newest = log.newest(at[after], set, reader, limit);
            assert_eq!(block_on(newest), Ok(at[expected]), "{limit} after {after}");
        }
    }
    log.ring().cut(at[4]);
    let set = topics.hold(&[room("a")]);
    let newest = log.newest(at[3], &set, None, 3);
    assert_eq!(block_on(newest), Err(PageError::Gone));
}
