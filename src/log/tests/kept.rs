//! Rows beside the events: there after a restart, gone when they were removed.

use super::kit::*;
use crate::log::writer::Store as _;
use crate::log::{Change, EventLog, Kind};

fn change(kind: Kind, key: &str, value: Option<&str>) -> Change {
    Change { kind, key: key.to_owned(), value: value.map(|text| text.as_bytes().to_vec()) }
}

fn keep(log: &EventLog, changes: &[Change]) {
    block_on(log.keep(changes.to_vec())).expect("kept");
}

fn kept(log: &EventLog, kind: Kind) -> Vec<(String, String)> {
    let text = |value: Vec<u8>| String::from_utf8(value).expect("text");
    log.take_kept(kind).into_iter().map(|(key, value)| (key, text(value))).collect()
}

fn row(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn rows_outlast_a_restart_each_under_its_kind() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = in_directory(directory.path());
    assert!(kept(&log, Kind::Ticket).is_empty());
    keep(
        &log,
        &[
            change(Kind::Ticket, "b", Some("1")),
            change(Kind::Revoked, "b", Some("2")),
            change(Kind::Ticket, "a", Some("")),
            change(Kind::Ticket, "gone", Some("3")),
        ],
    );
    publish(&log, "a", "between");
    keep(&log, &[change(Kind::Ticket, "gone", None), change(Kind::Ticket, "b", Some("4"))]);
    keep(&log, &[change(Kind::Revoked, "never there", None)]);
    log.close();
    drop(log);
    let log = in_directory(directory.path());
    assert_eq!(kept(&log, Kind::Ticket), [row("a", ""), row("b", "4")]);
    assert_eq!(kept(&log, Kind::Revoked), [row("b", "2")]);
    assert!(kept(&log, Kind::Revoked).is_empty(), "whoever asks first gets them");
}

#[test]
fn they_are_on_the_disk_whatever_the_durability_of_events() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut journal, start) = store_in(directory.path());
    journal.commit(&[pending(nth(start, 1), event("a", "x"))], 0, false).expect("committed");
    journal.keep(&[change(Kind::Revoked, "a", Some("1"))]).expect("kept");
    // What a disk has after its power was cut.
    let copy = tempfile::tempdir().expect("a directory");
    let file = |directory: &tempfile::TempDir| directory.path().join("rill.redb");
    std::fs::copy(file(&directory), file(&copy)).expect("a copy");
    let log = in_directory(copy.path());
    assert_eq!(kept(&log, Kind::Revoked), [row("a", "1")]);
    assert_eq!(log.ring().extent().head, nth(start, 1), "and what was committed before");
}

#[test]
fn a_log_in_memory_takes_them_and_a_closed_one_says_no() {
    let log = in_memory();
    keep(&log, &[change(Kind::Ticket, "a", Some("1"))]);
    log.close();
    let late = block_on(log.keep(vec![change(Kind::Ticket, "b", Some("1"))]));
    assert_eq!(late, Err(crate::log::AppendError::Unavailable));
}
