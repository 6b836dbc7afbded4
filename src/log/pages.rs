//! Reading events back from the store.
//!
//! Records are told apart by the texts of their topics, where they lie: nothing is decoded and no
//! table is asked for those that do not match.

use std::ops::Bound;
use std::sync::Arc;

use redb::ReadableTable;

use super::embedded::{EVENTS, Embedded, FLOOR, Journal, META, corrupt};
use super::record;
use super::writer::Start;
use crate::cursor::Position;
use crate::event::Event;
use crate::frame::Frame;
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
    found: usize,
    /// Where the next step begins; `None` at the newest.
    before: Option<Position>,
}

impl Search {
    pub(super) fn new(after: Position, limit: usize) -> Search {
        Search { after, limit, found: 0, before: None }
    }
}

impl Embedded {
    /// Reads on from a position, until `enough` bytes of matching events are found or `most` records
    /// were looked at; `None` when events after it are no longer kept.
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
            let (mut events, mut bytes, mut upto) = (Vec::new(), 0, after);
            for entry in table.range(after.to_bits() + 1..)?.take(most) {
                let (key, value) = entry?;
                upto = Position::from_bits(key.value());
                let record = value.value();
                if record::concerns(record, topics).ok_or_else(corrupt)? {
                    bytes += record.len();
                    events.push((upto, record::decode(record).ok_or_else(corrupt)?));
                }
                if bytes >= enough {
                    break;
                }
            }
            Ok(Some(Matches { events, upto }))
        })
    }

    /// Goes on with a search for at most `most` records; the position once it is found.
    pub(super) fn search(
        &self,
        search: &mut Search,
        topics: &[Topic],
        most: usize,
    ) -> Result<Option<Position>, redb::Error> {
        self.read(|transaction| {
            let table = transaction.open_table(EVENTS)?;
            let first = Bound::Excluded(search.after.to_bits());
            let last = match search.before {
                Some(before) => Bound::Excluded(before.to_bits()),
                None if self.few(&table, search)? => return Ok(Some(search.after)),
                None => Bound::Unbounded,
            };
            let mut records = table.range::<u64>((first, last))?.rev();
            for entry in records.by_ref().take(most) {
                let (key, value) = entry?;
                let position = Position::from_bits(key.value());
                search.before = Some(position);
                search.found +=
                    usize::from(record::concerns(value.value(), topics).ok_or_else(corrupt)?);
                if search.found > search.limit {
                    return Ok(Some(position));
                }
            }
            // With nothing left to look at, all that match are within the limit.
            Ok(records.next().is_none().then_some(search.after))
        })
    }

    /// Whether there are no more events after the position than may match: then none has to be
    /// looked at.
    fn few(
        &self,
        table: &impl ReadableTable<u64, &'static [u8]>,
        search: &Search,
    ) -> Result<bool, redb::Error> {
        let first = table.range(search.after.to_bits() + 1..)?.next();
        let (Some(first), Some(last)) = (first, table.last()?) else { return Ok(true) };
        let tally = |record: &[u8]| record::tally(record).ok_or_else(corrupt);
        let since = tally(last.1.value())?.events - tally(first?.1.value())?.events + 1;
        Ok(since <= search.limit as u64)
    }
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
