//! Reading events back from the store.
//!
//! What concerns a stream is found by the index from topic to position: a user with three events in a
//! log of a million costs three reads.

use std::ops::RangeInclusive;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable};

use super::by_topic::{self, POSITIONS_BY_TOPIC};
use super::embedded::{EVENTS, Embedded, FLOOR, Journal, META, corrupt};
use super::record;
use super::writer::Start;
use crate::cursor::Position;
use crate::event::Event;
use crate::frame::Frame;
use crate::rights::Reader;
use crate::topic::{Topic, Topics};

/// A page of records: the events that match, and up to where the page was read.
pub(super) struct Matches {
    pub(super) events: Vec<(Position, Event)>,
    pub(super) upto: Position,
}

/// The newest events as frames, oldest first, and the position after which they are all.
pub(super) struct Recent {
    pub(super) frames: Vec<Arc<Frame>>,
    pub(super) floor: Position,
}

/// A search for the position after which at most `limit` events match, back from the newest. It is
/// done in steps, so that a long one does not hold up everyone else.
pub(super) struct Search {
    pub(super) after: Position,
    pub(super) limit: usize,
    /// Who may not read all that matches; that does not count.
    reader: Option<Reader>,
    found: usize,
    /// Where the next step begins; `None` at the newest.
    before: Option<Position>,
}

impl Search {
    pub(super) fn new(after: Position, limit: usize, reader: Option<Reader>) -> Search {
        Search { after, limit, reader, found: 0, before: None }
    }
}

impl Embedded {
    /// Reads on from a position, until `enough` bytes or `most` of the events that match are found;
    /// `None` when events after it are no longer kept.
    pub(super) fn page(
        &self,
        after: Position,
        topics: &[Topic],
        enough: usize,
        most: usize,
    ) -> Result<Option<Matches>, redb::Error> {
        self.read(|transaction| {
            // Asked in the same transaction, or retention could take events between the two.
            let floor = transaction.open_table(META)?.get(FLOOR)?.map_or(0, |floor| floor.value());
            if after.to_bits() < floor {
                return Ok(None);
            }
            let table = transaction.open_table(EVENTS)?;
            let found =
                positions(transaction, topics, after.to_bits() + 1..=u64::MAX, most, false)?;
            let (mut events, mut bytes) = (Vec::new(), 0);
            for position in &found {
                let record = table.get(position)?.ok_or_else(corrupt)?;
                bytes += record.value().len();
                let event = record::decode(record.value()).ok_or_else(corrupt)?;
                events.push((Position::from_bits(*position), event));
                if bytes >= enough {
                    break;
                }
            }
            let all = events.len() == found.len() && found.len() < most;
            let last = if all { table.last()?.map(|(key, _)| key.value()) } else { None };
            let upto = match (last, events.last()) {
                (Some(last), _) => after.max(Position::from_bits(last)),
                (None, Some((position, _))) => *position,
                (None, None) => after,
            };
            Ok(Some(Matches { events, upto }))
        })
    }

    /// Goes on with a search for at most `most` events that match; the position once it is found.
    pub(super) fn search(
        &self,
        search: &mut Search,
        topics: &[Topic],
        most: usize,
    ) -> Result<Option<Position>, redb::Error> {
        self.read(|transaction| {
            let table = transaction.open_table(EVENTS)?;
            if search.before.is_none() && few(&table, search)? {
                return Ok(Some(search.after));
            }
            let last = search.before.map_or(u64::MAX, |before| before.to_bits() - 1);
            let range = search.after.to_bits() + 1..=last;
            let found = positions(transaction, topics, range, most, true)?;
            search.before = found.last().map(|position| Position::from_bits(*position));
            let looked_at = found.len();
            let readable = readable(&table, found, search.reader.as_ref())?;
            if let Some(position) = readable.get(search.limit - search.found) {
                return Ok(Some(Position::from_bits(*position)));
            }
            search.found += readable.len();
            // With nothing left to look at, all that match are within the limit.
            Ok((looked_at < most).then_some(search.after))
        })
    }
}

/// Whether there are no more events after the position than may match: then none has to be looked at.
fn few(
    table: &impl ReadableTable<u64, &'static [u8]>,
    search: &Search,
) -> Result<bool, redb::Error> {
    let first = table.range(search.after.to_bits() + 1..)?.next();
    let (Some(first), Some(last)) = (first, table.last()?) else { return Ok(true) };
    let tally = |record: &[u8]| record::tally(record).ok_or_else(corrupt);
    let since = tally(last.1.value())?.events - tally(first?.1.value())?.events + 1;
    Ok(since <= search.limit as u64)
}

/// Those of the positions whose events may be read.
fn readable(
    table: &impl ReadableTable<u64, &'static [u8]>,
    positions: Vec<u64>,
    reader: Option<&Reader>,
) -> Result<Vec<u64>, redb::Error> {
    let Some(reader) = reader else { return Ok(positions) };
    let mut readable = Vec::with_capacity(positions.len());
    for position in positions {
        let record = table.get(position)?.ok_or_else(corrupt)?;
        let event = record::decode(record.value()).ok_or_else(corrupt)?;
        if reader.may_read(event.room()) {
            readable.push(position);
        }
    }
    Ok(readable)
}

/// The first `most` positions in a range, or the last ones from the end on, of events that have one
/// of these topics.
fn positions(
    transaction: &ReadTransaction,
    topics: &[Topic],
    range: RangeInclusive<u64>,
    most: usize,
    from_the_end: bool,
) -> Result<Vec<u64>, redb::Error> {
    let mut found = Vec::new();
    if range.is_empty() {
        return Ok(found);
    }
    let index = transaction.open_table(POSITIONS_BY_TOPIC)?;
    for topic in topics {
        // What is among the first of all is among the first of its topic.
        if from_the_end {
            by_topic::last(&index, topic.as_str(), &range, most, &mut found)?;
        } else {
            by_topic::first(&index, topic.as_str(), &range, most, &mut found)?;
        }
    }
    found.sort_unstable();
    if from_the_end {
        found.reverse();
    }
    found.dedup();
    found.truncate(most);
    Ok(found)
}

impl Journal {
    /// The newest events, as many as fit into `bytes`, for the ring to begin with: who comes back
    /// after a restart is then served from memory like anyone else.
    pub(super) fn recent(
        &self,
        start: Start,
        topics: &Arc<Topics>,
        bytes: usize,
    ) -> Result<Recent, redb::Error> {
        self.shared().read(|transaction| {
            let table = transaction.open_table(EVENTS)?;
            let (mut frames, mut taken) = (Vec::new(), 0);
            for entry in table.iter()?.rev() {
                let (key, value) = entry?;
                let position = Position::from_bits(key.value());
                let event = record::decode(value.value()).ok_or_else(corrupt)?;
                let held = topics.hold(&event.topics);
                let frame = Frame::encode(position, start.epoch, &event, held);
                taken += frame.footprint();
                if taken > bytes {
                    frames.reverse();
                    return Ok(Recent { frames, floor: position });
                }
                frames.push(Arc::new(frame));
            }
            frames.reverse();
            Ok(Recent { frames, floor: start.extent.floor })
        })
    }
}
