//! What is kept: by age, count and bytes, and the floor that tells of it.

use std::sync::Arc;
use std::time::Duration;

use redb::ReadableTableMetadata;

use super::kit::*;
use crate::cursor::Position;
use crate::log::by_topic::POSITIONS_BY_TOPIC;
use crate::log::embedded::Journal;
use crate::log::memory::Memory;
use crate::log::record;
use crate::log::writer::{Start, Store as Stored, Trimmed};
use crate::log::{Behind, Durability, Retention, Ring, Settings, Store};
use crate::topic::Topics;

/// Events 1 to 10, a millisecond apart.
fn ten(directory: &std::path::Path) -> (Journal, Start) {
    let (mut journal, start) = store_in(directory);
    let batch: Vec<_> = (1..=10).map(|n| pending(nth(start, n), event("a", "x"))).collect();
    journal.commit(&batch, 0, true).expect("committed");
    (journal, start)
}

fn removed(trimmed: Trimmed) -> Option<Position> {
    assert!(!trimmed.more, "ten events are one step");
    trimmed.upto
}

/// What each bound leaves of ten events: the first of them that goes no more, minus one.
fn bounds(each: u64) -> Vec<(Retention, u64)> {
    let count = |count| Retention { count, ..ALL };
    let bytes = |bytes| Retention { bytes, ..ALL };
    let age = |milliseconds| Retention { age: Duration::from_millis(milliseconds), ..ALL };
    vec![
        (ALL, 0),
        (count(10), 0),
        (count(9), 1),
        (count(4), 6),
        (count(0), 10),
        (bytes(10 * each), 0),
        (bytes(10 * each - 1), 1),
        (bytes(3 * each), 7),
        (bytes(each - 1), 10),
        // At ten milliseconds after the log's start, event n is 10 - n old.
        (age(10), 0),
        (age(9), 0),
        (age(8), 1),
        (age(0), 9),
        (Retention { count: 8, ..age(3) }, 6),
        (Retention { count: 2, ..age(3) }, 8),
    ]
}

#[test]
fn the_store_keeps_what_every_bound_allows() {
    let each = record::encode(Default::default(), &event("a", "x")).len() as u64;
    for (retention, gone) in bounds(each) {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut journal, start) = ten(directory.path());
        let now = nth(start, 10).milliseconds();
        let upto = (gone > 0).then(|| nth(start, gone));
        assert_eq!(removed(journal.trim(&retention, now).expect("trimmed")), upto, "{retention:?}");
        assert_eq!(
            removed(journal.trim(&retention, now).expect("trimmed")),
            None,
            "once is enough"
        );
        let left: Vec<_> = (gone + 1..=10).map(|n| nth(start, n)).collect();
        let (kept, _) = stored(&journal, nth(start, gone), "a", usize::MAX, 100).expect("kept");
        assert_eq!(kept, left, "{retention:?}");
        if gone > 0 {
            let just_before = Position::from_bits(nth(start, gone).to_bits() - 1);
            assert_eq!(stored(&journal, just_before, "a", 1, 1), None, "and says so");
        }
    }
}

#[test]
fn what_is_left_of_a_commit_is_found_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut journal, start) = store_in(directory.path());
    let to = |n| event(if n == 3 { "a b" } else { "a" }, "x");
    let commit = |journal: &mut Journal, numbers: std::ops::RangeInclusive<u64>| {
        let batch: Vec<_> = numbers.map(|n| pending(nth(start, n), to(n))).collect();
        journal.commit(&batch, 0, true).expect("committed");
    };
    commit(&mut journal, 1..=4);
    let upto = removed(journal.trim(&Retention { count: 1, ..ALL }, 0).expect("trimmed"));
    let floor = nth(start, 3);
    assert_eq!(upto, Some(floor));
    let page = |journal: &Journal, rooms| stored(journal, floor, rooms, usize::MAX, 100);
    assert_eq!(page(&journal, "a"), Some((vec![nth(start, 4)], nth(start, 4))));
    assert_eq!(page(&journal, "b"), Some((vec![], nth(start, 4))));
    assert_eq!(newest(&journal, floor, "a", None, 0), nth(start, 4));
    assert_eq!(newest(&journal, floor, "a", None, 1), floor);

    commit(&mut journal, 5..=7);
    assert_eq!(page(&journal, "a").expect("kept").0, [4, 5, 6, 7].map(|n| nth(start, n)));
    assert_eq!(newest(&journal, floor, "a", None, 3), nth(start, 4));
    assert_eq!(newest(&journal, floor, "a", None, 2), nth(start, 5));
    // No row outlives its events.
    journal.trim(&Retention { count: 0, ..ALL }, 0).expect("trimmed");
    let rows = journal
        .shared()
        .read(|transaction| Ok(transaction.open_table(POSITIONS_BY_TOPIC)?.len()?));
    assert_eq!(rows.expect("readable"), 0);
}

#[test]
fn the_ring_of_a_log_in_memory_keeps_the_same() {
    let start = Memory::start();
    let topics = Arc::new(Topics::default());
    let frame = |number| {
        let event = event("a", "x");
        let topics = topics.hold(&event.topics);
        Arc::new(crate::frame::Frame::encode(nth(start, number), start.epoch, &event, topics))
    };
    for (retention, gone) in bounds(frame(1).footprint() as u64) {
        let ring = Arc::new(Ring::whole(start.extent));
        ring.push((1..=10).map(frame).collect());
        let mut memory = Memory::new(Arc::clone(&ring));
        let trimmed = memory.trim(&retention, nth(start, 10).milliseconds()).expect("trimmed");
        let upto = removed(trimmed);
        assert_eq!(upto, (gone > 0).then(|| nth(start, gone)), "{retention:?}");
        ring.cut(upto.unwrap_or(start.extent.floor));
        let mut left = Vec::new();
        assert_eq!(ring.after(nth(start, gone), 100, &mut left), Ok(()));
        assert_eq!(left.len() as u64, 10 - gone);
        assert_eq!(
            ring.extent().floor,
            if gone > 0 { nth(start, gone) } else { start.extent.floor }
        );
        assert_eq!(ring.extent().head, nth(start, 10));
        let before = start.extent.floor;
        assert_eq!(ring.after(before, 1, &mut left), if gone > 0 { Err(Behind) } else { Ok(()) });
    }
}

#[test]
fn much_goes_in_steps_so_that_publishers_need_not_wait() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut journal, start) = store_in(directory.path());
    let batch: Vec<_> = (1..=11_000).map(|n| pending(nth(start, n), event("a", "x"))).collect();
    journal.commit(&batch, 0, true).expect("committed");
    let retention = Retention { count: 500, ..ALL };
    let steps = [(); 4].map(|()| match journal.trim(&retention, 0).expect("trimmed") {
        Trimmed { upto: Some(upto), more: true } => ("partly", upto),
        Trimmed { upto: Some(upto), more: false } => ("wholly", upto),
        Trimmed { upto: None, .. } => ("nothing", start.extent.head),
    });
    let at = |number| nth(start, number);
    let expected =
        [("partly", at(5_000)), ("partly", at(10_000)), ("wholly", at(10_500)), ("nothing", at(0))];
    let floor = |(word, upto): (&'static str, Position)| (word, upto.milliseconds());
    assert_eq!(steps.map(floor), expected.map(floor));
}

#[test]
fn the_floor_is_kept_over_opening_also_when_nothing_is_left() {
    for count in [3, 0] {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut journal, start) = ten(directory.path());
        journal.trim(&Retention { count, ..ALL }, 0).expect("trimmed");
        drop(journal);
        let (mut journal, again) = store_in(directory.path());
        assert_eq!(again.extent.floor, nth(start, 10 - count));
        assert_eq!((again.extent.head, again.epoch), (nth(start, 10), start.epoch));
        // The count goes on where it was: nothing is counted twice, nothing is forgotten.
        let batch: Vec<_> = (11..=12).map(|n| pending(nth(start, n), event("a", "x"))).collect();
        journal.commit(&batch, 0, true).expect("committed");
        let upto = removed(journal.trim(&Retention { count: 2, ..ALL }, 0).expect("trimmed"));
        assert_eq!(upto, (count > 0).then(|| nth(start, 10)));
    }
}

#[test]
fn a_running_log_applies_it_and_moves_the_floor_of_its_ring() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = Settings {
        retention: Retention { count: 4, ..ALL },
        ..settings(Store::Embedded(directory.path().to_owned()), Durability::Fsync)
    };
    let log = in_directory(directory.path());
    let positions: Vec<_> = (0..10).map(|_| publish(&log, "a", "x").position).collect();
    log.close();
    drop(log);
    let log = opened(&settings);
    patiently(|| (log.ring().extent().floor == positions[5]).then_some(()));
    assert_eq!(shown(&log), positions[6..]);
    log.close();
    drop(log);
    let log = in_directory(directory.path());
    assert_eq!((log.ring().extent().floor, shown(&log)), (positions[5], positions[6..].to_vec()));
}
