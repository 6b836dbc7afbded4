//! The reactor: one thread for each core, each with a shard of the connections.
//!
//! A [`Shard`](shard::Shard) is the pure core; `thread.rs` puts a poll, an inbox and a clock around
//! it; [`Reactor`] is the door. Nothing inside a shard is shared: other threads leave commands in its
//! inbox and ring its bell.

mod connection;
mod delivery;
mod expiry;
mod index;
mod report;
mod review;
pub mod shard;
mod socket;
mod thread;
pub mod wheel;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::cursor::Position;
use crate::event::Payload;
use crate::frame::{Block, Ephemeral, Framing, farewell};
use crate::identity::Stamp;
use crate::log::EventLog;
use crate::metrics::Metrics;
use crate::rights::Reader;
use crate::room::Room;
use crate::topic::{Held, Subscription};

pub use report::{Progress, Report};
pub use socket::{Pace, Peer, Socket, UNACKNOWLEDGED};
use thread::{Command, Inbox};
use wheel::{TICK_MILLISECONDS, Tick};

/// How long connections may be quiet, stuck or behind, in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Without an `id:` written to it, a live connection gets a heartbeat after this.
    pub heartbeat: Tick,
    /// A peer that takes no byte of what waits for it is given up after this.
    pub idle: Tick,
    /// A connection that is not level again after this is ended.
    pub max_lag: Tick,
    /// A stream is told this long before its credential ends.
    pub expiry_notice: Tick,
}

/// What an operator decides about streams.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The times.
    pub limits: Limits,
    /// Whether a heartbeat is an event with the cursor, or a bare comment.
    pub heartbeat_carries_id: bool,
}

/// A duration in ticks, rounded up, at least one.
pub fn ticks(duration: Duration) -> Tick {
    let ticks = duration.as_millis().div_ceil(u128::from(TICK_MILLISECONDS));
    Tick::try_from(ticks).unwrap_or(Tick::MAX / 2).clamp(1, Tick::MAX / 2)
}

/// So many ticks as a duration.
fn span(ticks: Tick) -> Duration {
    Duration::from_millis(u64::from(ticks) * TICK_MILLISECONDS)
}

/// The time, as a shard is told it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For deadlines.
    pub tick: Tick,
    /// For timestamps.
    pub wall: SystemTime,
}

/// The number of a stream, unique in the life of a process and told to its client. Its upper half is
/// another for each stream, its lower half is the stream's place, which it has from one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    /// The stream that is the `number`-th, at this place.
    pub fn of(number: u32, place: u32) -> ConnectionId {
        ConnectionId(u64::from(number) << 32 | u64::from(place))
    }

    /// Which of the streams that were at its place.
    pub fn number(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// What it shares with those before and after it.
    pub fn place(self) -> u32 {
        self.0 as u32
    }

    /// The inverse of what is displayed.
    pub fn parse(text: &str) -> Option<ConnectionId> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(ConnectionId)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Where a connection sits in its shard. A key of a connection that is gone finds nothing, also when
/// another took its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    slot: u32,
    /// Of its stream, see [`ConnectionId::number`].
    number: u32,
}

impl Key {
    pub(crate) fn of(slot: u32, number: u32) -> Key {
        Key { slot, number }
    }

    /// In which slot.
    pub(crate) fn slot(self) -> u32 {
        self.slot
    }
}

/// What a stream occupies outside of the reactor: dropped when the stream begins to close.
pub trait Guard: Send + 'static {
    /// The stream sits now; tells why it has to end at once, if anything has happened meanwhile.
    fn seated(&self, key: Key) -> Result<(), CloseReason>;
}

/// An admitted stream on its way into a shard.
pub struct Seat<S, G> {
    /// The peer.
    pub socket: S,
    /// The stream's number.
    pub id: ConnectionId,
    /// What it listens to.
    pub topics: Subscription,
    /// Who reads it, if that is not simply all of that for as long as it lives.
    pub reader: Option<Box<Reader>>,
    /// From when on its credential counts no more, if that ends.
    pub expires: Option<Stamp>,
    /// What it occupies.
    pub guard: G,
    /// It gets what comes after this position.
    pub start: Position,
    /// How its body is delimited.
    pub framing: Framing,
    /// The response head and the first blocks.
    pub opening: Box<[u8]>,
}

/// Why a stream ends. Chooses the last words and the reason in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer left or cannot be reached.
    Left,
    /// A new stream of the same user and client took its place.
    Replaced,
    /// It stayed behind for too long, or its position is no longer kept.
    SlowConsumer,
    /// It took no bytes for too long.
    IdleTimeout,
    /// An admin has sent it away, alone or with all others.
    ServerDisconnect {
        /// With all others.
        all: bool,
    },
    /// Its credential has ended.
    TokenExpired,
    /// Its credential was withdrawn, or no longer has the right to what it listens to.
    Revoked,
    /// The server ends; the client shall come back after `retry` milliseconds.
    Shutdown {
        /// Milliseconds.
        retry: u64,
    },
    /// A fault of ours.
    Fault,
}

impl CloseReason {
    fn message(self) -> &'static str {
        match self {
            CloseReason::Left => "The client left",
            CloseReason::Replaced => "Another stream of the same client took the place of this one",
            CloseReason::SlowConsumer => "The connection was too far behind",
            CloseReason::IdleTimeout => "The connection took no data for too long",
            CloseReason::ServerDisconnect { all: true } => {
                "All clients have been disconnected by the server"
            }
            CloseReason::ServerDisconnect { all: false } => {
                "This client has been disconnected by the server"
            }
            CloseReason::TokenExpired => "The credential of this stream has expired",
            CloseReason::Revoked => {
                "The credential of this stream, or its right to it, was withdrawn"
            }
            CloseReason::Shutdown { .. } => "The server is shutting down",
            CloseReason::Fault => "Internal server error",
        }
    }

    /// The last block and the end of the body.
    fn farewell(self, framing: Framing, now: Moment) -> Vec<u8> {
        if self == CloseReason::Fault {
            let data = Payload::object().text("error", Some(self.message())).number("code", 500);
            return farewell(&Block::new("error").with_payload(&data.finish(), ""), framing);
        }
        let data = Payload::object()
            .text("reason", Some(self.as_str()))
            .text("message", Some(self.message()))
            .timestamp(now.wall);
        let retry = match self {
            CloseReason::Shutdown { retry } => Some(retry),
            _ => None,
        };
        let block = Block { retry, ..Block::new("disconnected") };
        farewell(&block.with_payload(&data.finish(), ""), framing)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl CloseReason {
    /// The word on the wire, in the log and in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            CloseReason::Left => "left",
            CloseReason::Replaced => "replaced",
            CloseReason::SlowConsumer => "slow_consumer",
            CloseReason::IdleTimeout => "idle_timeout",
            CloseReason::ServerDisconnect { .. } => "server_disconnect",
            CloseReason::TokenExpired => "token_expired",
            CloseReason::Revoked => "revoked",
            CloseReason::Shutdown { .. } => "shutdown",
            CloseReason::Fault => "fault",
        }
    }
}

/// What came of a new credential for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The stream lives on under it.
    Done,
    /// It has no right to what the stream listens to, which has ended.
    Ended,
    /// There is no such stream.
    NoStream,
}

/// The shards, from outside.
pub struct Reactor<G> {
    inboxes: Vec<Arc<Inbox<G>>>,
    /// Empty once they were stopped.
    threads: Mutex<Vec<JoinHandle<()>>>,
    next: AtomicUsize,
}

/// The number of a shard.
pub type ShardNumber = usize;

impl<G: Guard> Reactor<G> {
    /// Starts `shards` threads that deliver what the log shows, for at most so many streams.
    pub fn start(
        settings: Settings,
        shards: usize,
        most_streams: usize,
        log: &Arc<EventLog>,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Reactor<G>> {
        let room = Room::new(most_streams, shards);
        let (mut inboxes, mut threads) = (Vec::new(), Vec::new());
        for number in 0..shards {
            let stagger = Duration::from_millis(TICK_MILLISECONDS) * number as u32 / shards as u32;
            let (inbox, thread) = thread::start(number, stagger, settings, room, log, metrics)?;
            let bell = Arc::clone(&inbox);
            log.ring().watch(move || bell.ring());
            inboxes.push(inbox);
            threads.push(thread);
        }
        Ok(Reactor { inboxes, threads: Mutex::new(threads), next: AtomicUsize::new(0) })
    }

    /// The shard that the next stream goes to: each in turn.
    pub fn choose(&self) -> ShardNumber {
        self.next.fetch_add(1, Ordering::Relaxed) % self.inboxes.len()
    }

    /// Hands a stream to a shard.
    pub fn seat(&self, shard: ShardNumber, seat: Seat<Peer, G>) {
        self.inboxes[shard].send(Command::Seat(seat));
    }

    /// Ends a stream.
    pub fn close(&self, shard: ShardNumber, key: Key, reason: CloseReason) {
        self.inboxes[shard].send(Command::Close(key, reason));
    }

    /// Lets a stream go on under another credential; nothing comes when the shards have stopped.
    pub fn renew(
        &self,
        shard: ShardNumber,
        key: Key,
        reader: Reader,
        expires: Option<Stamp>,
    ) -> oneshot::Receiver<Renewal> {
        let (answer, answered) = oneshot::channel();
        self.inboxes[shard].send(Command::Renew { key, reader, expires, answer });
        answered
    }

    /// Waits until no shard has so many events to tell that are not kept that it would soon drop one:
    /// of those that are told once, like who comes and goes, nobody would hear again.
    pub async fn room_to_tell(&self) {
        while self.inboxes.iter().any(|inbox| inbox.is_crowded()) {
            // Answered when a shard has done what was asked of it before.
            self.ask_all(|answer| Command::Report { keys: Vec::new(), answer }).await;
        }
    }

    /// Asks every shard, and waits for what all of them answer.
    async fn ask_all<T>(&self, question: impl Fn(oneshot::Sender<T>) -> Command<G>) -> Vec<T> {
        let mut asked = Vec::with_capacity(self.inboxes.len());
        for inbox in &self.inboxes {
            let (answer, answered) = oneshot::channel();
            inbox.send(question(answer));
            asked.push(answered);
        }
        let mut answers = Vec::with_capacity(asked.len());
        for answered in asked {
            // Nothing comes when the shards have stopped.
            answers.extend(answered.await.ok());
        }
        answers
    }

    /// Sends an event to those who are there and not behind.
    pub fn deliver_ephemeral(&self, event: &Arc<Ephemeral>) {
        for inbox in &self.inboxes {
            inbox.send_ephemeral(event);
        }
    }

    /// How many streams listen to one of these topics and may read what is of this room, each counted
    /// once.
    pub async fn listeners(&self, topics: Held, room: Option<&str>) -> usize {
        let (topics, room) = (Arc::new(topics), room.map(Arc::from));
        let count =
            |answer| Command::Count { topics: Arc::clone(&topics), room: room.clone(), answer };
        self.ask_all(count).await.into_iter().sum()
    }

    /// Tells every stream that the server ends, at a pace that is done well before `until`.
    pub fn drain(&self, until: Instant) {
        for inbox in &self.inboxes {
            inbox.send(Command::Drain { until });
        }
    }

    /// Connections that are seated, those that are closing included, as of each shard's last turn.
    pub fn connections(&self) -> usize {
        self.inboxes.iter().map(|inbox| inbox.connections()).sum()
    }

    /// Ends the threads, and with them every connection that is left.
    pub fn stop(&self) {
        for inbox in &self.inboxes {
            inbox.send(Command::Stop);
        }
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                tracing::error!("a shard had failed before it was stopped");
            }
        }
    }
}

#[cfg(test)]
mod tests;
