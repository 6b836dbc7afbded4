//! The recent events, encoded, shared by every shard.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::recent::Recent;
use super::{Extent, Retention};
use crate::cursor::Position;
use crate::frame::Frame;
use crate::rights::Reader;
use crate::topic::TopicSet;

/// What the ring of a log with a store keeps in memory. It covers the usual reconnects (some tens of
/// seconds at thousands of events a second); who was away longer is served from the store.
pub(super) const RECENT_BYTES: usize = 32 << 20;

/// The position asked for is older than the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind;

type Watcher = Box<dyn Fn() + Send + Sync>;

/// The newest events, in order. One thread pushes; shards and handlers read.
pub struct Ring {
    recent: RwLock<Recent>,
    /// The most bytes kept here; `None` when the ring is all there is, and retention cuts it.
    capacity: Option<usize>,
    watchers: RwLock<Vec<Watcher>>,
    shown: AtomicU64,
}

impl Ring {
    /// The ring of a log that has no store: all there is.
    pub(super) fn whole(log: Extent) -> Ring {
        Ring::new(log, log.floor, VecDeque::new(), None)
    }

    /// The ring of a log with a store, which has everything after `floor` in `frames`.
    pub(super) fn recent(log: Extent, floor: Position, frames: Vec<Arc<Frame>>) -> Ring {
        Ring::new(log, floor, frames.into(), Some(RECENT_BYTES))
    }

    pub(crate) fn new(
        log: Extent,
        floor: Position,
        frames: VecDeque<Arc<Frame>>,
        capacity: Option<usize>,
    ) -> Ring {
        let mut recent = Recent::new(log, floor);
        frames.into_iter().for_each(|frame| recent.push(frame));
        let (recent, watchers) = (RwLock::new(recent), RwLock::default());
        Ring { recent, capacity, watchers, shown: AtomicU64::new(0) }
    }

    /// Calls `watcher` after every change of the head, on the thread that made it.
    pub fn watch(&self, watcher: impl Fn() + Send + Sync + 'static) {
        self.watchers.write().push(Box::new(watcher));
    }

    /// What the log still has.
    pub fn extent(&self) -> Extent {
        self.recent.read().log
    }

    /// Copies out up to `limit` frames after a position, whomever they concern.
    pub fn after(
        &self,
        position: Position,
        limit: usize,
        frames: &mut Vec<Arc<Frame>>,
    ) -> Result<(), Behind> {
        frames.extend(self.recent.read().after(position)?.take(limit).cloned());
        Ok(())
    }

    /// Copies out the frames after a position and up to another that concern `topics`, until
    /// `enough` bytes of them are found, and returns the position up to which it looked.
    pub fn matching(
        &self,
        after: Position,
        upto: Position,
        topics: &TopicSet,
        enough: usize,
        frames: &mut Vec<Arc<Frame>>,
    ) -> Result<Position, Behind> {
        let recent = self.recent.read();
        let mut bytes = 0;
        for frame in recent.matching(after, topics)?.take_while(|frame| frame.position() <= upto) {
            bytes += frame.footprint();
            frames.push(Arc::clone(frame));
            if bytes >= enough {
                return Ok(frame.position());
            }
        }
        Ok(upto)
    }

    /// How many frames were shown since the start.
    pub fn shown(&self) -> u64 {
        self.shown.load(Ordering::Relaxed)
    }

    /// The position after which at most `limit` frames concern `topics` and may be read.
    pub(super) fn newest(
        &self,
        position: Position,
        topics: &TopicSet,
        reader: Option<&Reader>,
        limit: usize,
    ) -> Result<Position, Behind> {
        let recent = self.recent.read();
        // Of few frames none has to be looked at.
        if recent.count_after(position)? <= limit {
            return Ok(position);
        }
        let may_be_read = |position: &Position| {
            let room_of = |frame: &Arc<Frame>| reader.is_none_or(|one| one.may_read(frame.room()));
            reader.is_none() || recent.frame_at(*position).is_some_and(room_of)
        };
        let mut readable = recent.newest(position, topics)?.filter(may_be_read);
        Ok(readable.nth(limit).unwrap_or(position))
    }

    /// Shows new frames, which must come in order.
    pub(crate) fn push(&self, frames: Vec<Arc<Frame>>) {
        // Gathered under the lock and dropped after it: a frame's end takes the lock of the topics,
        // and no lock is ever taken under that one.
        let mut evicted = Vec::new();
        self.shown.fetch_add(frames.len() as u64, Ordering::Relaxed);
        let mut recent = self.recent.write();
        for frame in frames {
            recent.log.head = frame.position();
            recent.push(frame);
        }
        while self.capacity.is_some_and(|capacity| recent.bytes() > capacity) {
            evicted.extend(recent.evict());
        }
        drop(recent);
        for watcher in self.watchers.read().iter() {
            watcher();
        }
    }

    /// Forgets everything up to a position: the log no longer has it.
    pub(crate) fn cut(&self, upto: Position) {
        let mut recent = self.recent.write();
        let evicted = recent.cut(upto);
        drop(recent);
        drop(evicted);
    }

    /// The last position that retention no longer keeps, for the ring that is all there is.
    pub(super) fn beyond(&self, retention: &Retention, now: u64) -> Option<Position> {
        let oldest = Position::before(now.saturating_sub(retention.age.as_millis() as u64));
        let recent = self.recent.read();
        let (mut count, mut bytes) = (recent.frames().len() as u64, recent.bytes() as u64);
        let mut beyond = None;
        for frame in recent.frames() {
            if frame.position() > oldest && count <= retention.count && bytes <= retention.bytes {
                break;
            }
            count -= 1;
            bytes -= frame.footprint() as u64;
            beyond = Some(frame.position());
        }
        beyond
    }
}
