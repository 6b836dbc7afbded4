//! What the engine threads tell the scenario while they run.
//!
//! Each thread counts for itself and adds its counts here once a turn, not once an event. The
//! scenario's thread sleeps until a number of deliveries, its goal, is on the board; only this one
//! condition wakes it at once, since the closed loop needs it. Everything else it looks at every
//! few milliseconds.

use std::sync::Mutex;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::thread::Thread;
use std::time::Duration;

use crate::clock;
use crate::failure::Failure;
use crate::stop::Stop;

/// No goal.
const NEVER: u64 = u64::MAX;

/// One thread's counts of one turn.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Streams that got `connected`.
    pub(crate) connected: u64,
    /// The change of the number of live streams.
    pub(crate) live: i64,
    /// New events.
    pub(crate) deliveries: u64,
    /// Bytes read.
    pub(crate) bytes: u64,
    /// Heartbeats of either kind.
    pub(crate) heartbeats: u64,
    /// Streams that were refused or broke while opening, and are tried again.
    pub(crate) retries: u64,
}

/// Shared by the engine threads and the scenario.
pub(crate) struct Board {
    connected: AtomicU64,
    live: AtomicI64,
    deliveries: AtomicU64,
    bytes: AtomicU64,
    heartbeats: AtomicU64,
    retries: AtomicU64,
    first_connect: AtomicU64,
    last_connected: AtomicU64,
    hopeless: AtomicBool,
    fault: Mutex<Option<String>>,
    goal: AtomicU64,
    waiter: Thread,
}

impl Board {
    /// A board that the calling thread watches.
    pub(crate) fn new() -> Board {
        Board {
            connected: AtomicU64::new(0),
            live: AtomicI64::new(0),
            deliveries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            heartbeats: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            first_connect: AtomicU64::new(NEVER),
            last_connected: AtomicU64::new(0),
            hopeless: AtomicBool::new(false),
            fault: Mutex::new(None),
            goal: AtomicU64::new(NEVER),
            waiter: std::thread::current(),
        }
    }

    /// Adds a turn's counts.
    pub(crate) fn add(&self, turn: Turn) {
        for (sum, count) in [
            (&self.connected, turn.connected),
            (&self.bytes, turn.bytes),
            (&self.heartbeats, turn.heartbeats),
            (&self.retries, turn.retries),
        ] {
            if count > 0 {
                sum.fetch_add(count, Relaxed);
            }
        }
        if turn.connected > 0 {
            self.last_connected.fetch_max(clock::now(), Relaxed);
        }
        if turn.live != 0 {
            self.live.fetch_add(turn.live, Relaxed);
        }
        if turn.deliveries > 0 {
            self.deliver(turn.deliveries);
        }
    }

    /// The counts are added before the goal is read, and the waiter sets its goal before it reads
    /// the counts: so one of the two sees the other, and no wake-up is missed (the waiter's timeout
    /// would only delay it).
    fn deliver(&self, count: u64) {
        let sum = self.deliveries.fetch_add(count, SeqCst) + count;
        if sum >= self.goal.load(SeqCst) {
            self.waiter.unpark();
        }
    }

    /// Notes that a thread begins to open streams.
    pub(crate) fn connecting(&self) {
        self.first_connect.fetch_min(clock::now(), Relaxed);
    }

    /// Forgets when the first stream began to connect, before another wave does.
    pub(crate) fn new_wave(&self) {
        self.first_connect.store(NEVER, Relaxed);
    }

    /// Notes what went wrong, if it is the first. `hopeless` means that trying again cannot help.
    pub(crate) fn note(&self, hopeless: bool, fault: impl FnOnce() -> String) {
        self.hopeless.fetch_or(hopeless, Relaxed);
        if let Ok(mut first) = self.fault.lock() {
            first.get_or_insert_with(fault);
        }
    }

    /// The first thing that went wrong.
    pub(crate) fn fault(&self) -> String {
        self.fault
            .lock()
            .ok()
            .and_then(|fault| fault.clone())
            .unwrap_or_else(|| "nothing was answered".into())
    }

    /// Streams that are open now.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Relaxed).max(0) as usize
    }

    /// How many times a stream got `connected`.
    pub(crate) fn connected(&self) -> u64 {
        self.connected.load(Relaxed)
    }

    /// New events so far.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries.load(Relaxed)
    }

    /// Bytes read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Heartbeats so far.
    pub(crate) fn heartbeats(&self) -> u64 {
        self.heartbeats.load(Relaxed)
    }

    /// Refused or broken openings so far.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    /// From the wave's first connect to the latest `connected`.
    pub(crate) fn wave(&self) -> Duration {
        let first = self.first_connect.load(Relaxed);
        Duration::from_nanos(self.last_connected.load(Relaxed).saturating_sub(first))
    }

    /// Waits until `streams` more streams than `before` have been opened.
    pub(crate) fn wait_connected(
        &self,
        before: u64,
        streams: usize,
        stop: &Stop,
        limit: Duration,
    ) -> Result<(), Failure> {
        let start = clock::now();
        let end = start + clock::nanos(limit);
        while self.connected() < before + streams as u64 {
            stop.check()?;
            if self.hopeless.load(Relaxed) || clock::now() >= end {
                let live = (self.connected() - before) as usize;
                return Err(Failure::NotOpen {
                    live,
                    wanted: streams,
                    seconds: (clock::now() - start) as f64 / 1e9,
                    fault: self.fault(),
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits until so many streams are open at the same time. False when that takes longer than
    /// `limit`.
    pub(crate) fn wait_live(&self, streams: usize, limit: Duration) -> bool {
        let end = clock::now() + clock::nanos(limit);
        while self.live() < streams && clock::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.live() >= streams
    }

    /// Waits until `goal` events have been delivered, and calls `glance` now and then. False when
    /// nothing came for the time `patience`: what is missing will not come any more. The end of the
    /// run does not end this: what is on its way shall not count as lost.
    pub(crate) fn wait_deliveries(
        &self,
        goal: u64,
        patience: Duration,
        mut glance: impl FnMut(),
    ) -> bool {
        self.goal.store(goal, SeqCst);
        let (mut seen, mut since) = (self.deliveries(), clock::now());
        let reached = loop {
            let deliveries = self.deliveries.load(SeqCst);
            if deliveries >= goal {
                break true;
            }
            if deliveries > seen {
                (seen, since) = (deliveries, clock::now());
            } else if clock::now() - since > clock::nanos(patience) {
                break false;
            }
            glance();
            std::thread::park_timeout(Duration::from_millis(20));
        };
        self.goal.store(NEVER, Relaxed);
        reached
    }
}
