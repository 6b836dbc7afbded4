//! The core of a shard: connections, who listens to what, and time.
//!
//! It reads no clock and does no I/O but through the sockets that it is given; what the thread around
//! it has to do (watch a socket, fetch a page) it leaves as [`Effect`]s.

use std::io;
use std::sync::Arc;

use slab::Slab;

use super::connection::{Connection, Due, Owed, PageAsked, Phase, Stay, UNMARKED, Unsent, Written};
use super::expiry;
use super::index::Index;
use super::socket::{Pace, Socket};
use super::wheel::{Tick, Wheel};
use super::{CloseReason, ConnectionId, Guard, Key, Moment, Seat, Settings};
use crate::cursor::{Cursor, Epoch, Position};
use crate::frame::{Chunk, Frame};
use crate::log::{Page, PageError, Ring};
use crate::metrics::Deliveries;
use crate::topic::Topic;

// A connection's budget; what grows it is paid for 10,000 times over. In debug builds mio's sockets
// have more in them.
#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Connection<super::Peer, [usize; 3]>>() <= 120);

/// How long a peer that does not hang up after the last words is waited for.
const LINGER: Tick = 100;
/// Reads of one connection in a turn, so that a peer that never stops talking does not hold up others.
const READS: usize = 16;

/// What a shard wants done outside of it.
pub enum Effect {
    /// Tell of space to write, or no longer.
    Watch(Key, bool),
    /// Fetch the events after a position from the log's store.
    Fetch {
        /// For whom.
        key: Key,
        /// After which.
        after: Position,
        /// About what.
        topics: Vec<Topic>,
    },
}

/// What a shard has done, to be counted outside of it.
#[derive(Default)]
pub struct Tally {
    /// Streams that began.
    pub opened: u64,
    /// What it has written.
    pub deliveries: Deliveries,
    /// Streams that ended, why, and after how many ticks.
    pub ended: Vec<(CloseReason, Tick)>,
}

/// The connections of one thread.
pub struct Shard<S, G> {
    pub(super) settings: Settings,
    pub(super) epoch: Epoch,
    pub(super) ring: Arc<Ring>,
    pub(super) connections: Slab<Connection<S, G>>,
    pub(super) index: Index,
    /// Every live connection has what concerns it up to here.
    pub(super) level: Position,
    /// Connections with more to read than one turn allows.
    unread: Vec<Key>,
    /// Connections with more to write than one turn allows.
    pub(super) unwritten: Vec<Key>,
    /// Slots that the frames of a batch concern.
    pub(super) marked: Vec<u32>,
    pub(super) effects: Vec<Effect>,
    pub(super) tally: Tally,
    wheel: Wheel,
    due: Vec<u32>,
    scratch: Box<[u8; 4096]>,
}

impl<S: Socket, G: Guard> Shard<S, G> {
    /// An empty shard, level with the ring.
    pub fn new(settings: Settings, epoch: Epoch, ring: Arc<Ring>, now: Tick) -> Shard<S, G> {
        let level = ring.extent().head;
        Shard {
            settings,
            epoch,
            ring,
            connections: Slab::new(),
            index: Index::default(),
            level,
            unread: Vec::new(),
            unwritten: Vec::new(),
            marked: Vec::new(),
            effects: Vec::new(),
            tally: Tally::default(),
            wheel: Wheel::new(now),
            due: Vec::new(),
            scratch: Box::new([0; 4096]),
        }
    }

    /// Sets room aside for so many connections, and for the topics of all shards, which have their
    /// numbers in common.
    pub fn reserve(&mut self, connections: usize, topics: usize) {
        self.connections.reserve(connections);
        self.index.reserve(topics);
        self.wheel.reserve(connections);
    }

    /// Connections, those that are closing included.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// What is to be done outside, since the last call.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// What was done since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// The socket of a connection that is still there.
    pub fn socket(&mut self, key: Key) -> Option<&mut S> {
        self.find(key).map(|slot| &mut self.connections[slot as usize].socket)
    }

    /// The key that this stream gets if it is the next to be seated.
    pub fn next_key(&self, id: ConnectionId) -> Key {
        Key::of(self.connections.vacant_key() as u32, id.number())
    }

    pub(super) fn find(&self, key: Key) -> Option<u32> {
        let connection = self.connections.get(key.slot as usize)?;
        (connection.id.number() == key.number).then_some(key.slot)
    }

    pub(super) fn key(&self, slot: u32) -> Key {
        Key::of(slot, self.connections[slot as usize].id.number())
    }

    /// Reads the ring up to a position at least: a stream that begins there must not get again what
    /// this shard has not read yet.
    pub fn reach(&mut self, position: Position, now: Moment) {
        while position > self.level && self.advance(now) {}
    }

    /// Takes in an admitted stream: its first block, then what it missed, then what comes. The shard
    /// must have reached its start; its key is the one that [`Shard::next_key`] told.
    pub fn seat(&mut self, seat: Seat<S, G>, now: Moment) {
        let key = self.next_key(seat.id);
        let kept = seat.guard.seated(key);
        let outdated = seat.reader.as_ref().is_some_and(|reader| reader.is_outdated());
        for &topic in seat.topics.set().ids() {
            self.index.insert(topic, key.slot);
        }
        self.connections.insert(Connection {
            socket: seat.socket,
            id: seat.id,
            stay: Some(Stay { topics: seat.topics, reader: seat.reader, _guard: seat.guard }),
            unsent: Some(Unsent::new(Owed::Own(seat.opening), 0)),
            position: seat.start,
            phase: Phase::Replaying,
            seated: now.tick,
            last_id: now.tick,
            last_taken: now.tick,
            expires: expiry::tick_of(seat.expires, now),
            knows_of_expiry: false,
            marks: UNMARKED,
            framing: seat.framing,
            page: PageAsked::No,
            watched: false,
        });
        self.tally.opened += 1;
        self.rearm(key.slot);
        // Each before it gets what it missed: it may have lost the right to it, or won more.
        let stays = match kept {
            Err(reason) => {
                self.close(key, reason, now);
                false
            }
            Ok(()) => !outdated || self.review_one(key.slot, now),
        };
        if stays {
            self.read_on(key.slot, now);
        }
    }

    /// The socket has something to read: its end, or bytes that nobody asked for.
    pub fn readable(&mut self, key: Key, now: Moment) {
        let Some(slot) = self.find(key) else { return };
        let connection = &mut self.connections[slot as usize];
        for _ in 0..READS {
            match connection.socket.read(&mut self.scratch[..]) {
                Ok(0) => return self.remove(slot, now),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.remove(slot, now),
            }
        }
        if !self.unread.contains(&key) {
            self.unread.push(key);
        }
    }

    /// The socket takes bytes again.
    pub fn writable(&mut self, key: Key, now: Moment) {
        if let Some(slot) = self.find(key) {
            self.read_on(slot, now);
        }
    }

    /// Goes on with what did not fit into the last turn; tells whether there is still more.
    pub fn resume_unfinished(&mut self, now: Moment) -> bool {
        for key in std::mem::take(&mut self.unread) {
            self.readable(key, now);
        }
        for key in std::mem::take(&mut self.unwritten) {
            self.writable(key, now);
        }
        !(self.unread.is_empty() && self.unwritten.is_empty())
    }

    /// A page that was asked for.
    pub fn page(&mut self, key: Key, page: Result<Page, PageError>, now: Moment) {
        let Some(slot) = self.find(key) else { return };
        let connection = &mut self.connections[slot as usize];
        let asked = std::mem::replace(&mut connection.page, PageAsked::No);
        connection.last_taken = now.tick;
        self.rearm(slot);
        match page {
            Ok(_) if asked == PageAsked::Outdated => self.read_on(slot, now),
            Ok(page) => self.take_page(slot, page, now),
            Err(PageError::Gone) => self.close(key, CloseReason::SlowConsumer, now),
            Err(PageError::Unavailable) => self.close(key, CloseReason::Fault, now),
        }
    }

    /// Ends a stream with a reason. Its place is free from here on; the peer has some seconds to
    /// take the last words.
    pub fn close(&mut self, key: Key, reason: CloseReason, now: Moment) {
        let Some(slot) = self.find(key) else { return };
        let connection = &mut self.connections[slot as usize];
        if matches!(connection.phase, Phase::Closing { .. }) {
            return;
        }
        connection.phase = Phase::Closing { until: now.tick + LINGER };
        connection.owe_last(reason.farewell(connection.framing, now));
        self.leave(slot, reason, now);
        self.rearm(slot);
        self.read_on(slot, now);
    }

    /// Everyone who is admitted, in slot order from `first`.
    pub fn admitted_from(&self, first: u32) -> impl Iterator<Item = Key> {
        let connections =
            self.connections.iter().skip_while(move |(slot, _)| *slot < first as usize);
        connections
            .filter(|(_, connection)| connection.stay.is_some())
            .map(|(slot, connection)| Key::of(slot as u32, connection.id.number()))
    }

    /// The moment at which [`Shard::tick`] has something to do.
    pub fn next_visit(&self) -> Option<Tick> {
        self.wheel.next_visit()
    }

    /// Heartbeats and limits.
    pub fn tick(&mut self, now: Moment) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now.tick, &mut due);
        // One heartbeat for all that are due: those who are live are all at the same position.
        let heartbeat = match self.settings.heartbeat_carries_id {
            true => Chunk::heartbeat(Cursor { position: self.level, epoch: self.epoch }),
            false => Chunk::comment(),
        };
        for slot in due.drain(..) {
            self.visit(slot, &heartbeat, now);
        }
        self.due = due;
    }

    fn visit(&mut self, slot: u32, heartbeat: &Chunk, now: Moment) {
        match self.connections[slot as usize].due(&self.settings.limits, now.tick) {
            // Its deadline was moved since the wheel heard of it.
            None => self.rearm(slot),
            Some(Due::Heartbeat) => self.send_heartbeat(slot, heartbeat, now),
            Some(Due::ExpiryNotice) => self.announce_expiry(slot, now),
            Some(Due::Close(reason)) => self.close(self.key(slot), reason, now),
            Some(Due::Forget) => self.remove(slot, now),
        }
    }

    fn send_heartbeat(&mut self, slot: u32, heartbeat: &Chunk, now: Moment) {
        let connection = &mut self.connections[slot as usize];
        let bytes = heartbeat.bytes(connection.framing);
        connection.last_id = now.tick;
        self.write_aside(slot, bytes, |sent| Unsent::new(Owed::Own(bytes.into()), sent), now);
        self.rearm(slot);
    }

    /// Makes the wheel wake the connection no later than it is due.
    pub(super) fn rearm(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get(slot as usize) {
            self.wheel.arm(slot, connection.deadline(&self.settings.limits));
        }
    }

    /// The peer is behind from now on: the socket is watched until it takes bytes again.
    pub(super) fn blocked(&mut self, slot: u32, since: Moment) {
        let key = self.key(slot);
        let connection = &mut self.connections[slot as usize];
        if connection.phase == Phase::Live {
            connection.phase = Phase::CatchingUp { since: since.tick };
            // Nothing has waited for the peer before.
            connection.last_taken = since.tick;
        }
        if !connection.watched {
            connection.watched = true;
            connection.socket.set_pace(match connection.phase {
                Phase::Replaying => Pace::Replaying,
                Phase::Live | Phase::CatchingUp { .. } | Phase::Closing { .. } => Pace::Behind,
            });
            self.effects.push(Effect::Watch(key, true));
        }
        self.rearm(slot);
    }

    /// The peer has everything up to the shard's level.
    pub(super) fn now_live(&mut self, slot: u32) {
        let key = self.key(slot);
        let connection = &mut self.connections[slot as usize];
        connection.phase = Phase::Live;
        if connection.watched {
            connection.watched = false;
            connection.socket.set_pace(Pace::Level);
            self.effects.push(Effect::Watch(key, false));
        }
        self.rearm(slot);
    }

    /// After a write of the last words: what is left is that the peer hangs up.
    pub(super) fn finish(&mut self, slot: u32, now: Moment) {
        if self.connections[slot as usize].socket.finish().is_err() {
            self.remove(slot, now);
        }
    }

    /// Gives back what the stream occupied, if it has not yet.
    fn leave(&mut self, slot: u32, reason: CloseReason, now: Moment) {
        let connection = &mut self.connections[slot as usize];
        if let Some(stay) = connection.stay.take() {
            let life = now.tick.saturating_sub(connection.seated);
            tracing::debug!(connection = %connection.id, %reason, "stream ends");
            self.tally.ended.push((reason, life));
            for &topic in stay.topics.set().ids() {
                self.index.remove(topic, slot);
            }
        }
    }

    /// Forgets a connection; dropping its socket closes it.
    pub(super) fn remove(&mut self, slot: u32, now: Moment) {
        self.leave(slot, CloseReason::Left, now);
        self.wheel.disarm(slot);
        self.connections.remove(slot as usize);
    }

    /// Whether what a write to a live connection did not take makes it fall behind.
    pub(super) fn settle(&mut self, slot: u32, written: Written, now: Moment) {
        match written {
            Written::All => {}
            Written::Blocked => self.blocked(slot, now),
            Written::Gone => self.remove(slot, now),
        }
    }

    /// The frames of a page that this shard may show already.
    pub(super) fn up_to_level(&self, page: Page) -> (Vec<Arc<Frame>>, Position) {
        let Page { mut frames, upto } = page;
        frames.retain(|frame| frame.position() <= self.level);
        (frames, upto.min(self.level))
    }
}
