//! What is there again after a restart, and who may not come in meanwhile.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, TableDefinition};

use super::kit::*;
use crate::frame::Framing;
use crate::log::embedded::{CURRENT_FORMAT, Embedded, FORMAT, META};
use crate::log::writer::Store as Stored;
use crate::log::{Durability, EventLog, OpenError, Store};
use crate::topic::Topics;

#[test]
fn a_directory_has_one_owner() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(Store::Embedded(directory.path().to_owned()), Durability::Fsync);
    let owner = opened(&settings);
    let refused = EventLog::open(&settings, &Arc::default()).err().expect("refused");
    assert!(matches!(&refused, OpenError::InUse(in_use) if in_use == directory.path()));
    let expected =
        format!("data directory {} is in use by another rill", directory.path().display());
    assert_eq!(refused.to_string(), expected);
    publish(&owner, "a", "and the owner is not disturbed");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let settings = settings(Store::Embedded(file.path().join("data")), Durability::Fsync);
    let refused = EventLog::open(&settings, &Arc::default()).err().expect("refused").to_string();
    assert!(refused.starts_with(&format!("data directory {}", file.path().display())), "{refused}");
}

#[track_caller]
fn assert_format_refused(directory: &Path, found: u64) {
    let refused = Embedded::open(directory).err().expect("refused").to_string();
    let directory = directory.display();
    let expected = format!(
        "the log in {directory} has format {found}, and this rill reads format {CURRENT_FORMAT} alone"
    );
    assert_eq!(refused, expected);
}

#[test]
fn a_log_of_another_format_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut journal, start) = store_in(directory.path());
    journal.commit(&[pending(nth(start, 1), event("a", "x"))], 0, true).expect("committed");
    drop(journal);
    let set = |format: Option<u64>| {
        let database = Database::open(directory.path().join("rill.redb")).expect("a database");
        let transaction = database.begin_write().expect("a transaction");
        {
            let mut meta = transaction.open_table(META).expect("a table");
            match format {
                Some(format) => drop(meta.insert(FORMAT, format).expect("set")),
                None => drop(meta.remove(FORMAT).expect("removed")),
            }
        }
        transaction.commit().expect("committed");
    };
    for other in [Some(CURRENT_FORMAT + 1), None] {
        set(other);
        assert_format_refused(directory.path(), other.unwrap_or(0));
    }
    set(Some(CURRENT_FORMAT));
    let (journal, again) = store_in(directory.path());
    assert_eq!((again.extent.head, again.epoch), (nth(start, 1), start.epoch));
    let kept = stored(&journal, start.extent.head, "a", 1, 1).expect("kept");
    assert_eq!(kept.0, [nth(start, 1)]);
}

#[test]
fn the_format_is_looked_at_before_tables_that_may_have_changed() {
    const EVENTS: TableDefinition<&str, u8> = TableDefinition::new("events");
    let directory = tempfile::tempdir().expect("a directory");
    let database = Database::create(directory.path().join("rill.redb")).expect("a database");
    let transaction = database.begin_write().expect("a transaction");
    transaction.open_table(META).expect("a table").insert("epoch", 1).expect("set");
    transaction.open_table(EVENTS).expect("a table");
    transaction.commit().expect("committed");
    drop(database);
    assert_format_refused(directory.path(), 0);
}

#[test]
fn the_ring_begins_with_what_it_ended_with() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = in_directory(directory.path());
    for number in 0..100 {
        publish(&log, "a b", &number.to_string());
    }
    let (before, extent) = (texts(&frames(&log)), log.ring().extent());
    log.close();
    drop(log);
    let log = in_directory(directory.path());
    assert_eq!((texts(&frames(&log)), log.ring().extent()), (before, extent));
}

#[test]
fn a_ring_that_does_not_hold_all_begins_with_the_newest() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut journal, start) = store_in(directory.path());
    let batch: Vec<_> = (1..=20).map(|n| pending(nth(start, n), event("a", "x"))).collect();
    journal.commit(&batch, 0, true).expect("committed");
    let topics = Arc::new(Topics::default());
    let all = journal.recent(start, &topics, usize::MAX).expect("readable");
    assert_eq!((all.frames.len(), all.floor), (20, start.extent.floor));
    let each = all.frames[0].footprint();
    for kept in [0, 1, 7, 19, 20] {
        let some = journal.recent(start, &topics, kept * each + each / 2).expect("readable");
        let floor = nth(start, 20 - kept as u64);
        assert_eq!(some.frames.len(), kept);
        assert_eq!(some.floor, if kept == 20 { start.extent.floor } else { floor });
        assert!(some.frames.first().is_none_or(|first| first.position() > floor));
    }
}

#[test]
fn a_closed_log_has_kept_all_it_acknowledged() {
    for durability in [Durability::Interval, Durability::Fsync] {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = settings(Store::Embedded(directory.path().to_owned()), durability);
        let log = opened(&settings);
        let answers: Vec<_> =
            (0..2_000).map(|n| log.append(event("a", &n.to_string()), None)).collect();
        let cursors: Vec<_> =
            answers.into_iter().map(|answer| block_on(answer).expect("published")).collect();
        let before = texts(&frames(&log));
        log.close();
        drop(log);
        let log = opened(&settings);
        assert!(texts(&frames(&log)) == before);
        assert_eq!(log.ring().extent().head, cursors[1_999].position);
    }
}

#[test]
fn a_log_without_events_comes_back_as_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let extent = || {
        let log = in_directory(directory.path());
        log.close();
        log.ring().extent()
    };
    assert_eq!(extent(), extent());
}

#[test]
fn big_and_odd_payloads_come_back_byte_for_byte() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = in_directory(directory.path());
    for text in ["", "\u{0}\r\n\u{2028}", "日本語 \"quoted\" \\", &"x".repeat(256 << 10)] {
        publish(&log, "a", text);
    }
    let before: Vec<_> =
        frames(&log).iter().map(|frame| frame.bytes(Framing::UntilClose).to_vec()).collect();
    log.close();
    drop(log);
    let log = in_directory(directory.path());
    let after: Vec<_> =
        frames(&log).iter().map(|frame| frame.bytes(Framing::UntilClose).to_vec()).collect();
    assert!(before == after);
}
