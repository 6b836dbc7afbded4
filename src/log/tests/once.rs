//! Idempotency keys: the same request again is the same event.

use super::kit::*;
use crate::log::writer::{ONCE_KEPT, Pending, Store as Stored};
use crate::log::{AppendError, Durability, EventLog, Store};

fn the_same_request_is_the_same_event(log: &EventLog) {
    let first = publish_once(log, "k", "x").expect("published");
    publish(log, "a", "in between");
    assert_eq!(publish_once(log, "k", "x"), Ok(first));
    assert_eq!(publish_once(log, "k", "y"), Err(AppendError::Conflict));
    assert_eq!(publish_once(log, "k", "x"), Ok(first), "a conflict changes nothing");
    assert_ne!(publish_once(log, "other", "x"), Ok(first));
    assert_eq!(shown(log).len(), 3);
}

#[test]
fn over_batches_in_memory() {
    the_same_request_is_the_same_event(&in_memory());
}

#[test]
fn over_batches_on_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    the_same_request_is_the_same_event(&in_directory(directory.path()));
}

#[test]
fn at_once_from_many() {
    let directory = tempfile::tempdir().expect("a directory");
    for store in [Store::Memory, Store::Embedded(directory.path().to_owned())] {
        let log = opened(&settings(store, Durability::Fsync));
        let requests: Vec<_> =
            (0..200).map(|_| log.append(event("a", "x"), Some(once("k", "x")))).collect();
        let answers: Vec<_> = requests.into_iter().map(block_on).collect();
        assert!(answers[0].is_ok() && answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(shown(&log).len(), 1);
    }
}

#[test]
fn over_opening_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = in_directory(directory.path());
    let first = publish_once(&log, "k", "x").expect("published");
    log.close();
    drop(log);
    let log = in_directory(directory.path());
    assert_eq!(publish_once(&log, "k", "x"), Ok(first));
    assert_eq!(publish_once(&log, "k", "y"), Err(AppendError::Conflict));
    assert_eq!(shown(&log).len(), 1);
}

#[test]
fn keys_are_of_a_user_and_a_path() {
    use crate::log::Once;
    let key = |user: &str, path: &str, key: &str| Once::new(user, path, key.as_bytes(), b"x").key;
    assert_eq!(key("ann", "/p", "k"), key("ann", "/p", "k"));
    for other in [("bob", "/p", "k"), ("ann", "/q", "k"), ("ann", "/p", "l"), ("an", "n/p", "k")] {
        assert_ne!(key("ann", "/p", "k"), key(other.0, other.1, other.2));
    }
}

/// One event with a key that was used at `used`.
fn commit_once(store: &mut impl Stored, position: crate::cursor::Position, used: u64) {
    let batch = [Pending { position, event: event("a", "x"), once: Some(once("k", "x")) }];
    store.commit(&batch, used, true).expect("committed");
}

#[test]
fn a_key_is_kept_for_a_day_and_longer_than_its_event() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut journal, start) = store_in(directory.path());
    let used = nth(start, 1).milliseconds();
    let key = once("k", "x").key;
    let day = ONCE_KEPT.as_millis() as u64;
    commit_once(&mut journal, nth(start, 1), used);
    let nothing_kept = crate::log::Retention { count: 0, ..ALL };
    for (now, kept) in [(used, true), (used + day, true), (used + day + 1, false)] {
        journal.trim(&nothing_kept, now).expect("trimmed");
        assert_eq!(journal.answered(&key).expect("readable").is_some(), kept);
    }
    assert_eq!(stored(&journal, nth(start, 1), "a", 1, 10), Some((vec![], nth(start, 1))));
}

#[test]
fn in_memory_a_key_is_kept_for_a_day_too() {
    let start = crate::log::memory::Memory::start();
    let ring = std::sync::Arc::new(crate::log::Ring::whole(start.extent));
    let mut memory = crate::log::memory::Memory::new(ring);
    commit_once(&mut memory, nth(start, 1), 5_000);
    let day = ONCE_KEPT.as_millis() as u64;
    for (now, kept) in [(5_000 + day, true), (5_001 + day, false)] {
        memory.trim(&ALL, now).expect("trimmed");
        assert_eq!(memory.answered(&once("k", "x").key).expect("readable").is_some(), kept);
    }
}
