//! How events get from the ring to the sockets of a shard.
//!
//! Those who are level get a batch as it comes: the connections that it concerns are marked, and then
//! each is written once, with all its frames in one vectored write. Those who are not read on by
//! themselves, from their cursor, out of the ring or the log's store.

use std::io::IoSlice;
use std::sync::Arc;

use super::connection::{Marks, PageAsked, Phase, UNMARKED, Unsent, Written};
use super::shard::{Effect, Shard};
use super::socket::Socket;
use super::{CloseReason, Guard, Moment};
use crate::frame::{Ephemeral, Frame};
use crate::log::{Behind, Page};
use crate::topic::TopicSet;

/// Events of one batch. Each connection scans the batch between its first and last mark, so this
/// bounds the scan to less than the write costs; it is also far below the kernel's 1024 slices.
const BATCH: usize = 256;
/// What a connection that reads on gathers for one write, in bytes.
const GATHER: usize = 64 << 10;
/// Writes of that size for one connection in one turn.
const GATHERINGS: usize = 16;

impl<S: Socket, G: Guard> Shard<S, G> {
    /// Reads the next batch from the ring and writes it to those it concerns. Tells whether there
    /// was one.
    pub fn advance(&mut self, now: Moment) -> bool {
        let mut batch = Vec::with_capacity(BATCH);
        if self.ring.after(self.level, BATCH, &mut batch) == Err(Behind) {
            self.fall_behind(now);
            return false;
        }
        let Some(last) = batch.last() else { return false };
        let before = std::mem::replace(&mut self.level, last.position());
        self.mark(batch.iter().map(|frame| frame.topics()));
        let mut marked = std::mem::take(&mut self.marked);
        let (mut frames, mut slices) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        for slot in marked.drain(..) {
            let connection = &mut self.connections[slot as usize];
            let Marks { first, last } = std::mem::replace(&mut connection.marks, UNMARKED);
            let (Phase::Live, Some(stay)) = (connection.phase, &connection.stay) else { continue };
            frames.clear();
            slices.clear();
            for frame in &batch[usize::from(first)..=usize::from(last)] {
                if stay.concerns(frame.topics(), frame.room()) {
                    frames.push(frame);
                    slices.push(IoSlice::new(frame.bytes(connection.framing)));
                }
            }
            connection.position = before;
            let written =
                connection.write_frames(&frames, &slices, now.tick, &mut self.tally.deliveries);
            self.settle(slot, written, now);
        }
        self.marked = marked;
        true
    }

    /// Notes for each connection which events of a batch, with these topics, may concern it.
    fn mark<'a>(&mut self, batch: impl Iterator<Item = &'a TopicSet>) {
        let Shard { connections, index, marked, .. } = self;
        for (number, topics) in batch.enumerate() {
            for &topic in topics.ids() {
                index.each(topic, |slot| {
                    let marks = &mut connections[slot as usize].marks;
                    if marks.first == UNMARKED.first {
                        marks.first = number as u16;
                        marked.push(slot);
                    }
                    marks.last = number as u16;
                });
            }
        }
    }

    /// The ring went round faster than this shard could read it: everyone reads on from the old
    /// level by himself.
    fn fall_behind(&mut self, now: Moment) {
        tracing::warn!("a shard fell behind the ring; its streams catch up from the log");
        let old = std::mem::replace(&mut self.level, self.ring.extent().head);
        let slots: Vec<u32> = self.connections.iter().map(|(slot, _)| slot as u32).collect();
        for slot in slots {
            let connection = &mut self.connections[slot as usize];
            if connection.phase == Phase::Live {
                connection.position = old;
                connection.phase = Phase::CatchingUp { since: now.tick };
                self.read_on(slot, now);
            }
        }
    }

    /// How many connections listen to one of these topics and may read what is of this room.
    pub fn listeners(&self, topics: &TopicSet, room: Option<&str>) -> usize {
        let reads = |slot: &u32| {
            let stay = &self.connections[*slot as usize].stay;
            stay.as_ref().is_some_and(|stay| stay.concerns(topics, room))
        };
        self.listening(topics).iter().filter(|slot| reads(slot)).count()
    }

    /// The slots of the connections that listen to one of these topics.
    pub(super) fn listening(&self, topics: &TopicSet) -> Vec<u32> {
        let mut slots = Vec::new();
        for &topic in topics.ids() {
            self.index.each(topic, |slot| slots.push(slot));
        }
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Sends events that are not kept to those who are there and not behind, each connection all that
    /// concern it in one write.
    pub fn deliver_ephemeral(&mut self, events: &[Arc<Ephemeral>], now: Moment) {
        for batch in events.chunks(BATCH) {
            self.mark(batch.iter().map(|event| event.topics()));
            let mut marked = std::mem::take(&mut self.marked);
            for slot in marked.drain(..) {
                let connection = &mut self.connections[slot as usize];
                let Marks { first, last } = std::mem::replace(&mut connection.marks, UNMARKED);
                let (Phase::Live, Some(stay)) = (connection.phase, &connection.stay) else {
                    continue;
                };
                let marked = &batch[usize::from(first)..=usize::from(last)];
                let concerns =
                    |event: &&Arc<Ephemeral>| stay.concerns(event.topics(), event.room());
                let events: Vec<&Arc<Ephemeral>> = marked.iter().filter(concerns).collect();
                if events.is_empty() {
                    continue;
                }
                connection.position = self.level;
                let written = connection.write_ephemeral(&events, now.tick);
                self.settle(slot, written, now);
            }
            self.marked = marked;
        }
    }

    /// Writes to a live connection what is not of the log. If the socket takes a part, the rest is
    /// owed; if it takes nothing, the peer is behind and this is not for it.
    pub(super) fn write_aside(
        &mut self,
        slot: u32,
        bytes: &[u8],
        owed: impl FnOnce(usize) -> Box<Unsent>,
        now: Moment,
    ) {
        let connection = &mut self.connections[slot as usize];
        connection.position = self.level;
        let written = match connection.write(&[IoSlice::new(bytes)], now.tick) {
            Ok(taken) if taken == bytes.len() => Written::All,
            Ok(taken) => {
                connection.unsent = (taken > 0).then(|| owed(taken));
                Written::Blocked
            }
            Err(_) => Written::Gone,
        };
        self.settle(slot, written, now);
    }

    /// Lets a connection that is not level go on: what it is owed, then what it missed.
    pub(super) fn read_on(&mut self, slot: u32, now: Moment) {
        for _ in 0..GATHERINGS {
            let connection = &mut self.connections[slot as usize];
            if connection.phase == Phase::Live {
                return;
            }
            match connection.flush(now.tick) {
                Written::All => {}
                unfinished => return self.settle(slot, unfinished, now),
            }
            let Some(stay) = &connection.stay else { return self.finish(slot, now) };
            if connection.position >= self.level {
                return self.now_live(slot);
            }
            if connection.page.is_awaited() {
                return;
            }
            let mut frames = Vec::new();
            let (from, topics) = (connection.position, stay.topics.set());
            match self.ring.matching(from, self.level, topics, GATHER, &mut frames) {
                Ok(upto) => {
                    if !self.write_missed(slot, &frames, now) {
                        return;
                    }
                    self.connections[slot as usize].position = upto;
                }
                Err(Behind) => return self.fetch(slot, now),
            }
        }
        self.unwritten.push(self.key(slot));
    }

    /// Writes frames to a connection that is not level; tells whether it took them all.
    fn write_missed(&mut self, slot: u32, frames: &[Arc<Frame>], now: Moment) -> bool {
        let Some(stay) = &self.connections[slot as usize].stay else { return true };
        // What it may read may be less than when a page was asked for.
        let concerns = |frame: &&Arc<Frame>| stay.concerns(frame.topics(), frame.room());
        let concern: Vec<&Arc<Frame>> = frames.iter().filter(concerns).collect();
        for frames in concern.chunks(BATCH) {
            let connection = &mut self.connections[slot as usize];
            let slices: Vec<IoSlice<'_>> =
                frames.iter().map(|frame| IoSlice::new(frame.bytes(connection.framing))).collect();
            let written =
                connection.write_frames(frames, &slices, now.tick, &mut self.tally.deliveries);
            if written != Written::All {
                self.settle(slot, written, now);
                return false;
            }
        }
        true
    }

    /// Asks for the page that follows, unless what follows is no longer kept.
    fn fetch(&mut self, slot: u32, now: Moment) {
        let key = self.key(slot);
        let connection = &mut self.connections[slot as usize];
        let Some(stay) = &connection.stay else { return };
        if connection.position < self.ring.extent().floor {
            return self.close(key, CloseReason::SlowConsumer, now);
        }
        connection.page = PageAsked::Yes;
        let topics = stay.topics.topics().to_topics();
        self.effects.push(Effect::Fetch { key, after: connection.position, topics });
    }

    /// Writes a page and reads on after it. What the socket does not take is read again when it
    /// does: a slow peer costs a position and not a page.
    pub(super) fn take_page(&mut self, slot: u32, page: Page, now: Moment) {
        let connection = &mut self.connections[slot as usize];
        // A page is asked for only when nothing is owed; a stream that closes meanwhile owes its
        // last words, and nothing else.
        if connection.stay.is_none() {
            return;
        }
        let asked_after = connection.position;
        let (frames, upto) = self.up_to_level(page);
        if !self.write_missed(slot, &frames, now) {
            return;
        }
        if upto > asked_after {
            self.connections[slot as usize].position = upto;
            return self.read_on(slot, now);
        }
        // The store has nothing after the position and the ring does not reach back to it.
        self.close(self.key(slot), CloseReason::SlowConsumer, now);
    }
}
