//! What a fault of the disk takes back, and the log restores.

use std::fs;

use redb::{Durability, ReadableTableMetadata};

use super::kit::*;
use crate::log::by_topic::POSITIONS_BY_TOPIC;
use crate::log::writer::Store as Stored;

#[test]
fn unsynced_commits_come_back_as_one_and_are_found_at_any_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut journal, start) = store_in(directory.path());
    let at = |numbers: &[u64]| numbers.iter().map(|n| nth(start, *n)).collect::<Vec<_>>();
    let batch = |numbers: &[u64]| {
        let to = |n: u64| event(if n.is_multiple_of(2) { "a b" } else { "a" }, "x");
        numbers.iter().map(|&n| pending(nth(start, n), to(n))).collect::<Vec<_>>()
    };
    journal.commit(&batch(&[1, 2]), 0, true).expect("committed");
    let (file, synced) = (directory.path().join("rill.redb"), directory.path().join("synced"));
    fs::copy(&file, &synced).expect("a copy");
    for numbers in [&[3, 4][..], &[5], &[6, 7, 8]] {
        journal.commit(&batch(numbers), 0, false).expect("committed");
    }
    // What a disk has after its power was cut: what was synced, and a write that fails.
    fs::rename(synced, file).expect("the copy takes its place");
    let fault = |_: &_| Err::<(), _>(redb::Error::Corrupted("a fault".to_owned()));
    assert!(journal.write(Durability::None, fault).is_err());

    let rows = journal
        .shared()
        .read(|transaction| Ok(transaction.open_table(POSITIONS_BY_TOPIC)?.len()?));
    assert_eq!(
        rows.expect("readable"),
        4,
        "two topics, each with a row that was kept and one more"
    );
    let page = |after, rooms, most| stored(&journal, nth(start, after), rooms, usize::MAX, most);
    assert_eq!(page(0, "a", 100), Some((at(&[1, 2, 3, 4, 5, 6, 7, 8]), nth(start, 8))));
    assert_eq!(page(3, "a", 2), Some((at(&[4, 5]), nth(start, 5))));
    assert_eq!(page(5, "a", 2), Some((at(&[6, 7]), nth(start, 7))));
    assert_eq!(page(4, "b", 100), Some((at(&[6, 8]), nth(start, 8))));
    assert_eq!(newest(&journal, nth(start, 0), "a", None, 3), nth(start, 5));
    assert_eq!(newest(&journal, nth(start, 4), "a", None, 2), nth(start, 6));

    journal.commit(&batch(&[9]), 0, true).expect("the log goes on");
    drop(journal);
    let (journal, again) = store_in(directory.path());
    assert_eq!(again.extent.head, nth(start, 9));
    let (kept, _) = stored(&journal, nth(start, 0), "a", usize::MAX, 100).expect("kept");
    assert_eq!(kept, at(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
}
