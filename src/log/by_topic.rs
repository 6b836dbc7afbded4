//! The index from a topic to the positions of its events.
//!
//! A row has all positions that one commit gave to events of one topic, so that 64 publishers at once
//! cost one row and not 64. Its key is the last of them: the first row with a key from some position
//! on is the first that can have something from there on.

use std::ops::RangeInclusive;

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

/// Positions, each as 8 bytes in little-endian order, rising.
pub(super) const POSITIONS_BY_TOPIC: TableDefinition<Key<'_>, &[u8]> =
    TableDefinition::new("positions_by_topic");

type Key<'a> = (&'a str, u64);

/// Enters the events of one commit, in the order of their positions.
pub(super) fn insert(
    transaction: &WriteTransaction,
    mut entries: Vec<(&str, u64)>,
) -> Result<(), redb::Error> {
    let mut index = transaction.open_table(POSITIONS_BY_TOPIC)?;
    entries.sort_unstable();
    // Whoever makes an event names each topic once, but nothing holds him to it. A search that met a
    // position twice would be left with less than it asked for, and take that for the end.
    entries.dedup();
    for of_topic in entries.chunk_by(|one, next| one.0 == next.0) {
        let positions: Vec<u8> =
            of_topic.iter().flat_map(|(_, position)| position.to_le_bytes()).collect();
        if let Some(&last) = of_topic.last() {
            index.insert(last, positions.as_slice())?;
        }
    }
    Ok(())
}

/// Takes an event out that is taken out of the log. Its position stays in the row of a later one that
/// is kept, where nobody asks for it: what is asked for is kept.
pub(super) fn remove(
    index: &mut Table<'_, Key<'static>, &'static [u8]>,
    topic: &str,
    position: u64,
) -> Result<(), redb::Error> {
    index.remove((topic, position))?;
    Ok(())
}

/// Adds the first `most` positions of a topic within a range.
pub(super) fn first(
    index: &impl ReadableTable<Key<'static>, &'static [u8]>,
    topic: &str,
    range: &RangeInclusive<u64>,
    most: usize,
    found: &mut Vec<u64>,
) -> Result<(), redb::Error> {
    let enough = found.len() + most;
    for entry in index.range((topic, *range.start())..=(topic, u64::MAX))? {
        for position in unpacked(entry?.1.value()).filter(|position| position >= range.start()) {
            if position > *range.end() || found.len() == enough {
                return Ok(());
            }
            found.push(position);
        }
    }
    Ok(())
}

/// Adds the last `most` positions of a topic within a range, the last one first.
pub(super) fn last(
    index: &impl ReadableTable<Key<'static>, &'static [u8]>,
    topic: &str,
    range: &RangeInclusive<u64>,
    most: usize,
    found: &mut Vec<u64>,
) -> Result<(), redb::Error> {
    let enough = found.len() + most;
    let end = (topic, *range.end());
    // The row that reaches over the end can have something before it.
    let over = index.range(end..=(topic, u64::MAX))?.next();
    let before = index.range((topic, *range.start())..end)?.rev();
    for entry in over.into_iter().chain(before) {
        let (_, row) = entry?;
        for position in unpacked(row.value()).rev().filter(|position| position <= range.end()) {
            if position < *range.start() || found.len() == enough {
                return Ok(());
            }
            found.push(position);
        }
    }
    Ok(())
}

fn unpacked(row: &[u8]) -> impl DoubleEndedIterator<Item = u64> {
    row.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;
    use redb::{Database, ReadableDatabase, ReadableTableMetadata};

    use super::*;

    /// An index with these commits of topic `a`, and others of topics beside it.
    fn index(commits: &[&[u64]]) -> Database {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let transaction = database.begin_write().unwrap();
        for commit in commits {
            let entries = commit
                .iter()
                .flat_map(|&position| [("", position), ("a", position), ("b", position + 1)]);
            insert(&transaction, entries.collect()).unwrap();
        }
        transaction.commit().unwrap();
        database
    }

    fn ask(database: &Database, range: RangeInclusive<u64>, most: usize) -> (Vec<u64>, Vec<u64>) {
        let transaction = database.begin_read().unwrap();
        let index = transaction.open_table(POSITIONS_BY_TOPIC).unwrap();
        let (mut forward, mut back) = (vec![0], vec![0]);
        first(&index, "a", &range, most, &mut forward).unwrap();
        last(&index, "a", &range, most, &mut back).unwrap();
        (forward.split_off(1), back.split_off(1))
    }

    #[test]
    fn ranges_begin_and_end_anywhere_in_a_commit() {
        let positions = [2, 3, 5, 8, 9, 12, 13];
        let database = index(&[&[2], &[3, 5, 8], &[9, 12], &[13]]);
        for start in 0..15 {
            for end in start..15 {
                for most in 0..8 {
                    let within = || positions.into_iter().filter(|at| (start..=end).contains(at));
                    let (forward, back) = ask(&database, start..=end, most);
                    assert_eq!(forward, within().take(most).collect::<Vec<_>>());
                    assert_eq!(back, within().rev().take(most).collect::<Vec<_>>());
                }
            }
        }
        assert_eq!(ask(&database, 9..=u64::MAX, 9), (vec![9, 12, 13], vec![13, 12, 9]));
    }

    #[test]
    fn an_event_that_names_a_topic_twice_is_found_once() {
        let database = index(&[&[3, 3, 5], &[8, 8]]);
        assert_eq!(ask(&database, 0..=9, 9), (vec![3, 5, 8], vec![8, 5, 3]));
    }

    #[test]
    fn a_row_goes_with_its_last_event() {
        let database = index(&[&[3, 5], &[8]]);
        let transaction = database.begin_write().unwrap();
        {
            let mut index = transaction.open_table(POSITIONS_BY_TOPIC).unwrap();
            remove(&mut index, "a", 3).unwrap();
            assert_eq!(index.len().unwrap(), 6);
            remove(&mut index, "a", 5).unwrap();
            assert_eq!(index.len().unwrap(), 5);
        }
        transaction.commit().unwrap();
        assert_eq!(ask(&database, 4..=9, 9).0, [8]);
    }
}
