//! A shard full of connections that have no sockets, and the log that it reads.
#![allow(dead_code, reason = "each bench uses its own part of it")]

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rill::event::{Event, Name, Payload};
use rill::frame::Framing;
use rill::log::{Durability, EventLog, Retention, Store};
use rill::reactor::shard::Shard;
use rill::reactor::wheel::Tick;
use rill::reactor::{
    CloseReason, ConnectionId, Guard, Key, Limits, Moment, Pace, Seat, Settings, Socket,
};
use rill::topic::{Topic, Topics};
use tokio::runtime::Runtime;

/// A heartbeat's ticks.
pub const HEARTBEAT: Tick = 300;

/// The time that stands still while it is not the subject.
pub const NOW: Moment = at(0);

/// The moment of a tick.
pub const fn at(tick: Tick) -> Moment {
    Moment { tick, wall: SystemTime::UNIX_EPOCH }
}

/// A socket that swallows everything, and whose peer has left whenever one looks.
pub struct Swallow;

impl Socket for Swallow {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn set_pace(&mut self, _: Pace) {}
}

/// A place that costs nothing.
pub struct Free;

impl Guard for Free {
    fn seated(&self, _: Key) -> Result<(), CloseReason> {
        Ok(())
    }
}

/// The shard, and what stands around it.
pub struct Hall {
    runtime: Runtime,
    log: EventLog,
    pub topics: Arc<Topics>,
    pub shard: Shard<Swallow, Free>,
}

impl Hall {
    /// Nobody is there yet.
    pub fn new() -> Hall {
        let topics = Arc::new(Topics::default());
        // Little is kept, so that the ring stays small however long this runs.
        let retention = Retention { age: Duration::MAX, count: 1_000, bytes: u64::MAX };
        let (store, durability) = (Store::Memory, Durability::Interval);
        let settings = rill::log::Settings { store, durability, retention };
        let log = EventLog::open(&settings, &topics).expect("a log");
        let limits = Limits { heartbeat: HEARTBEAT, idle: 3_000, max_lag: 600, expiry_notice: 300 };
        let settings = Settings { limits, heartbeat_carries_id: true };
        let shard = Shard::new(settings, log.epoch(), Arc::clone(log.ring()), 0);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Hall { runtime, log, topics, shard }
    }

    /// A stream comes.
    pub fn seat(&mut self, listens: &[Topic]) -> Key {
        self.seat_at(listens, NOW)
    }

    /// A stream comes at this moment.
    pub fn seat_at(&mut self, listens: &[Topic], now: Moment) -> Key {
        let id = ConnectionId::of(0, 0);
        let key = self.shard.next_key(id);
        let seat = Seat {
            socket: Swallow,
            id,
            topics: self.topics.subscribe(listens),
            reader: None,
            expires: None,
            guard: Free,
            start: self.log.ring().extent().head,
            framing: Framing::Chunked,
            opening: Box::new([b'x']),
        };
        self.shard.seat(seat, now);
        key
    }

    /// How many deliveries an event becomes.
    pub fn listeners(&self, topics: &[Topic]) -> u64 {
        self.topics.streams(topics) as u64
    }

    /// Publishes an event some times, and tells how long the shard takes to deliver that.
    pub fn turn(&mut self, event: &Event, times: usize) -> Duration {
        let appends: Vec<_> = (0..times).map(|_| self.log.append(event.clone(), None)).collect();
        for append in appends {
            self.runtime.block_on(append).expect("published");
        }
        let began = Instant::now();
        let delivered = self.shard.advance(NOW);
        let took = began.elapsed();
        assert!(delivered, "all of it in one turn");
        took
    }
}

/// An event about these topics, with a message of so many bytes.
pub fn event(topics: Vec<Topic>, bytes: usize) -> Event {
    let payload = Payload::object().text("message", Some(&"x".repeat(bytes))).finish();
    Event::new(topics, "notification", payload)
}

/// The user with a number.
pub fn user(number: u64) -> Name {
    Name::new(&format!("user-{number}")).expect("a name")
}
