//! The thread around a shard: poll, inbox, clock.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use mio::{Events, Poll, Token, Waker};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::shard::{Effect, Shard, Tally};
use super::wheel::{TICK_MILLISECONDS, Tick};
use super::{CloseReason, Guard, Key, Moment, Peer, Renewal, Report, Seat, Settings, span};
use crate::frame::Ephemeral;
use crate::identity::Stamp;
use crate::log::{EventLog, Page, PageError};
use crate::metrics::Metrics;
use crate::rights::Reader;
use crate::room::Room;
use crate::topic::Held;
use crate::vital;

/// The bell's token; a connection's has a slot number in its upper half, which never gets there.
const BELL: Token = Token(usize::MAX);
/// Events taken from one poll; more are taken by the next, a turn later.
const EVENTS: usize = 1024;
/// Events that are not kept and wait for a shard. A shard that is this far behind drops them.
const EPHEMERAL_WAITING: usize = 1024;
/// Streams told to leave per tick and shard while draining; more when there is less time. Spread out,
/// so that they do not all come back to another node in the same instant.
const LEAVE_PER_TICK: usize = 200;
/// A client shall come back this long after the server is gone, in milliseconds.
const RETURN_AFTER: std::ops::RangeInclusive<u64> = 1_000..=8_000;

/// What other threads ask of a shard.
pub(super) enum Command<G> {
    Seat(Seat<Peer, G>),
    Close(Key, CloseReason),
    Renew { key: Key, reader: Reader, expires: Option<Stamp>, answer: oneshot::Sender<Renewal> },
    Review { topics: Arc<Held>, answer: oneshot::Sender<()> },
    Count { topics: Arc<Held>, room: Option<Arc<str>>, answer: oneshot::Sender<usize> },
    Report { keys: Vec<Key>, answer: oneshot::Sender<Vec<Option<Report>>> },
    Page(Key, Result<Page, PageError>),
    Drain { until: Instant },
    Stop,
}

/// Where they leave it.
pub(super) struct Inbox<G> {
    left: Mutex<Left<G>>,
    connections: AtomicUsize,
    /// The bell was rung and the shard has not looked since: ringing again is a system call for
    /// nothing.
    rung: AtomicBool,
    bell: Waker,
}

/// What is left in an inbox.
struct Left<G> {
    commands: Vec<Command<G>>,
    ephemeral: Vec<Arc<Ephemeral>>,
}

impl<G> Default for Left<G> {
    fn default() -> Self {
        Left { commands: Vec::new(), ephemeral: Vec::new() }
    }
}

impl<G> Inbox<G> {
    pub(super) fn send(&self, command: Command<G>) {
        self.left.lock().commands.push(command);
        self.ring();
    }

    pub(super) fn send_ephemeral(&self, event: &Arc<Ephemeral>) {
        let mut left = self.left.lock();
        if left.ephemeral.len() < EPHEMERAL_WAITING {
            left.ephemeral.push(Arc::clone(event));
            drop(left);
            self.ring();
        }
    }

    /// Whether half of the events that are not kept wait already that may.
    pub(super) fn is_crowded(&self) -> bool {
        self.left.lock().ephemeral.len() > EPHEMERAL_WAITING / 2
    }

    /// Wakes the shard: there is a command, or the log has moved on.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Err(error) = self.bell.wake()
        {
            tracing::error!(%error, "a shard cannot be woken");
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Everything that was left until now. Whoever rings after this is heard in the next turn.
    fn take(&self) -> Left<G> {
        // A swap and not a store: it also makes what was shown before the bell was rung be seen.
        self.rung.swap(false, Ordering::AcqRel);
        std::mem::take(&mut self.left.lock())
    }
}

/// Starts a shard's thread.
///
/// Its ticks come `stagger` later than they would: shards that all send their heartbeats at the same
/// moment are in each other's way inside the kernel.
pub(super) fn start<G: Guard>(
    number: usize,
    stagger: Duration,
    settings: Settings,
    room: Room,
    log: &Arc<EventLog>,
    metrics: &Arc<Metrics>,
) -> io::Result<(Arc<Inbox<G>>, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let mut shard = Shard::new(settings, log.epoch(), Arc::clone(log.ring()), 0);
    shard.reserve(room.of_shard, room.of_all);
    let inbox = Arc::new(Inbox {
        left: Mutex::default(),
        connections: AtomicUsize::new(0),
        rung: AtomicBool::new(false),
        bell: Waker::new(poll.registry(), BELL)?,
    });
    let turner = Turner {
        poll,
        shard,
        inbox: Arc::clone(&inbox),
        log: Arc::clone(log),
        metrics: Arc::clone(metrics),
        began: Instant::now() + stagger,
        ticked: 0,
        drain: None,
    };
    let thread = vital::spawn(format!("rill-shard-{number}"), move || turner.run())?;
    Ok((inbox, thread))
}

/// A drain under way.
struct Drain {
    until: Instant,
    /// The slot from which to go on.
    next: u32,
    per_tick: usize,
}

struct Turner<G> {
    poll: Poll,
    shard: Shard<Peer, G>,
    inbox: Arc<Inbox<G>>,
    log: Arc<EventLog>,
    metrics: Arc<Metrics>,
    began: Instant,
    /// The last tick that was acted on.
    ticked: Tick,
    drain: Option<Drain>,
}

impl<G: Guard> Turner<G> {
    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut more = false;
        loop {
            let wait = if more { Some(Duration::ZERO) } else { self.until_next_visit() };
            if let Err(error) = self.poll.poll(&mut events, wait)
                && error.kind() != io::ErrorKind::Interrupted
            {
                // Its streams would hang; the process ends and is started anew.
                panic!("a shard cannot poll its sockets: {error}");
            }
            let now = self.now();
            let Left { commands, ephemeral } = self.inbox.take();
            // Before the commands, so that each connection gets all of them in one write. Nobody has
            // an answer to any of these commands yet, so none is known to have come before them.
            self.deliver_ephemeral(&ephemeral, now);
            for command in commands {
                if self.obey(command, now).is_break() {
                    return;
                }
            }
            more = self.shard.advance(now);
            for event in &events {
                if event.token() == BELL {
                    continue;
                }
                let key = key_of(event.token());
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.shard.readable(key, now);
                }
                if event.is_writable() {
                    self.shard.writable(key, now);
                }
            }
            more |= self.shard.resume_unfinished(now);
            if now.tick > self.ticked {
                self.ticked = now.tick;
                self.shard.tick(now);
                self.send_away(now);
            }
            self.apply_effects();
            self.count();
            self.inbox.connections.store(self.shard.len(), Ordering::Relaxed);
        }
    }

    fn now(&self) -> Moment {
        let tick = self.began.elapsed().as_millis() as u64 / TICK_MILLISECONDS;
        Moment { tick: tick as Tick, wall: SystemTime::now() }
    }

    fn until_next_visit(&self) -> Option<Duration> {
        let next = match (&self.drain, self.shard.next_visit()) {
            (Some(_), _) => Some(self.ticked + 1),
            (None, visit) => visit,
        };
        next.map(|tick| (self.began + span(tick)).saturating_duration_since(Instant::now()))
    }

    fn deliver_ephemeral(&mut self, events: &[Arc<Ephemeral>], now: Moment) {
        if !events.is_empty() {
            // What was kept before them comes before them.
            self.shard.reach(self.log.ring().extent().head, now);
            self.shard.deliver_ephemeral(events, now);
        }
    }

    fn obey(&mut self, command: Command<G>, now: Moment) -> ControlFlow<()> {
        match command {
            Command::Seat(seat) => self.seat(seat, now),
            Command::Close(key, reason) => self.shard.close(key, reason, now),
            // Whoever asked one of these may be gone; it is done all the same.
            Command::Renew { key, reader, expires, answer } => {
                let _ = answer.send(self.shard.renew(key, reader, expires, now));
            }
            Command::Review { topics, answer } => {
                self.shard.review(topics.set(), now);
                let _ = answer.send(());
            }
            Command::Count { topics, room, answer } => {
                let _ = answer.send(self.shard.listeners(topics.set(), room.as_deref()));
            }
            Command::Report { keys, answer } => {
                // What was shown before the question counts in the answer.
                self.shard.reach(self.log.ring().extent().head, now);
                // Whoever asked may be gone.
                let _ = answer.send(keys.iter().map(|key| self.shard.report(*key, now)).collect());
            }
            Command::Page(key, page) => self.shard.page(key, page, now),
            Command::Drain { until } => {
                let left = until.saturating_duration_since(Instant::now());
                let ticks = (left.as_millis() as usize * 7 / 10) / TICK_MILLISECONDS as usize;
                let per_tick = LEAVE_PER_TICK.max(self.shard.len().div_ceil(ticks.max(1)));
                self.drain = Some(Drain { until, next: 0, per_tick });
                self.send_away(now);
            }
            Command::Stop => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn seat(&mut self, mut seat: Seat<Peer, G>, now: Moment) {
        self.shard.reach(seat.start, now);
        let token = token_of(self.shard.next_key(seat.id));
        match seat.socket.register(self.poll.registry(), token) {
            Ok(()) => self.shard.seat(seat, now),
            // Dropped: the client sees the connection end and comes back.
            Err(error) => tracing::error!(%error, "a stream's socket cannot be watched"),
        }
    }

    /// While draining: tells the next few streams to leave.
    fn send_away(&mut self, now: Moment) {
        let Some(drain) = &mut self.drain else { return };
        let left = drain.until.saturating_duration_since(Instant::now()).as_millis() as u64;
        let leaving: Vec<Key> = self.shard.admitted_from(drain.next).take(drain.per_tick).collect();
        drain.next = leaving.last().map_or(0, |key| key.slot + 1);
        for key in leaving {
            let retry = left + rand::random_range(RETURN_AFTER);
            self.shard.close(key, CloseReason::Shutdown { retry }, now);
        }
    }

    /// Told once a turn, so that a delivery costs no more than an addition.
    fn count(&mut self) {
        let Tally { opened, deliveries, ended } = self.shard.take_tally();
        if opened > 0 {
            self.metrics.streams_opened(opened);
        }
        if deliveries.events > 0 {
            self.metrics.delivered(deliveries);
        }
        for (reason, life) in ended {
            self.metrics.stream_ended(reason.as_str(), span(life));
        }
    }

    fn apply_effects(&mut self) {
        for effect in self.shard.take_effects() {
            match effect {
                Effect::Watch(key, writable) => {
                    let Some(socket) = self.shard.socket(key) else { continue };
                    let token = token_of(key);
                    if let Err(error) = socket.watch(self.poll.registry(), token, writable) {
                        tracing::error!(%error, "a stream's socket cannot be watched");
                    }
                }
                Effect::Fetch { key, after, topics } => {
                    let inbox = Arc::clone(&self.inbox);
                    let deliver = move |page| inbox.send(Command::Page(key, page));
                    self.log.page(after, topics, deliver);
                }
            }
        }
    }
}

fn token_of(key: Key) -> Token {
    Token((key.slot as usize) << 32 | key.number as usize)
}

fn key_of(token: Token) -> Key {
    Key::of((token.0 >> 32) as u32, token.0 as u32)
}
