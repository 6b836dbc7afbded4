//! The hub: the only door to events and streams.
//!
//! Publishing goes through it to the log, and a stream goes through it to a shard.

pub mod admission;
mod clients;
mod connections;
mod credentials;
mod manage;
mod membership;
pub mod online;
mod presence;
mod resume;
mod revocations;
mod seating;
mod sending;
mod status;
mod tending;
pub mod tickets;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use thiserror::Error;

use crate::cursor::Cursor;
use crate::event::{Event, Payload};
use crate::frame::Ephemeral;
use crate::identity::Stamp;
use crate::log::{AppendError, EventLog, Kind, Once};
use crate::members::Members;
use crate::metrics::Metrics;
use crate::reactor::{self, Reactor};
use crate::topic::{Topic, Topics};

use admission::{Admission, Full, Limits};
use clients::Clients;
pub use connections::{Connection, Connections};
use manage::Away;
pub use manage::Stats;
use online::Online;
use presence::Presence;
pub use presence::Venue;
pub use resume::{Reason, Resume};
pub use revocations::Revocation;
use revocations::Revocations;
pub use seating::{Admitted, Enters, Occupancy, Request};
pub use sending::SendError;
use status::Meter;
use tickets::Tickets;

/// What an operator decides about the hub.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many streams there may be.
    pub limits: Limits,
    /// The most events that a returning client gets replayed.
    pub replay_limit: usize,
    /// How often the status of the system is sent.
    pub status_interval: Duration,
    /// How long a ticket waits for its stream, and for its stream to come back.
    pub ticket_ttl: Duration,
    /// How long those who were announced as online may take to come back after a start; `None` when
    /// nobody is announced.
    pub announced: Option<Duration>,
}

/// Events and streams of one node.
pub struct Hub {
    settings: Settings,
    log: Arc<EventLog>,
    topics: Arc<Topics>,
    reactor: Reactor<Occupancy>,
    admission: Arc<Admission>,
    revocations: Revocations,
    tickets: Arc<Tickets>,
    clients: Arc<Clients>,
    away: Away,
    members: Arc<Members>,
    changing_members: tokio::sync::Mutex<()>,
    online: Arc<Online>,
    presence: Arc<Presence>,
    /// Held from a change of presence until it is told, so that a room hears of them in order.
    announcing: Mutex<()>,
    meter: Meter,
    metrics: Arc<Metrics>,
    draining: AtomicBool,
}

/// Why a stream or an event is not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// The server is ending.
    #[error("the server is shutting down")]
    Draining,
    /// There are as many streams as there may be.
    #[error(transparent)]
    Full(#[from] Full),
    /// The log did not take it.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// What its sender's credential rests on counts no more.
    #[error("the credential was withdrawn or used")]
    Withdrawn,
    /// Its client was sent away a moment ago, and shall stay away.
    #[error("the client was sent away")]
    Away,
    /// The user has as many tickets waiting as he may.
    #[error("there are too many tickets of this user that wait for their stream")]
    Tickets,
}

impl Hub {
    /// Starts the shards on a log.
    pub fn start(
        settings: Settings,
        streams: reactor::Settings,
        shards: usize,
        log: EventLog,
        topics: Arc<Topics>,
    ) -> std::io::Result<Arc<Hub>> {
        let log = Arc::new(log);
        let metrics = Arc::<Metrics>::default();
        let reactor = Reactor::start(streams, shards, settings.limits.total, &log, &metrics)?;
        let (ticket_rows, ttl) = (log.take_kept(Kind::Ticket), settings.ticket_ttl);
        let log_members = log.take_kept(Kind::Member);
        let now = Stamp::of(SystemTime::now());
        let online = Arc::new(Online::read(&log, settings.announced, Instant::now()));
        Ok(Arc::new(Hub {
            settings,
            admission: Admission::new(settings.limits, Arc::clone(&online)),
            revocations: Revocations::read(log.take_kept(Kind::Revoked)),
            tickets: Arc::new(Tickets::read(ticket_rows, ttl, Instant::now(), now)),
            log,
            topics,
            reactor,
            clients: Arc::default(),
            away: Away::default(),
            members: Arc::new(membership::read(log_members)),
            changing_members: tokio::sync::Mutex::default(),
            online,
            presence: Arc::default(),
            announcing: Mutex::new(()),
            meter: Meter::start(),
            metrics,
            draining: AtomicBool::new(false),
        }))
    }

    /// Publishes an event and tells its cursor once it is as durable as promised. It is carried out
    /// from this call on, also if the future is dropped.
    pub fn publish(
        &self,
        event: Event,
        once: Option<Once>,
    ) -> impl Future<Output = Result<Cursor, Refused>> + Send + use<> {
        let appended = (!self.is_draining()).then(|| self.log.append(event, once));
        async move { Ok(appended.ok_or(Refused::Draining)?.await?) }
    }

    /// Sends an event that is not kept to those who are there and not behind.
    pub fn publish_ephemeral(&self, event: &Event) -> Result<(), Refused> {
        if self.is_draining() {
            return Err(Refused::Draining);
        }
        self.metrics.published_ephemeral();
        self.tell(event);
        Ok(())
    }

    fn tell(&self, event: &Event) {
        let ephemeral = Ephemeral::encode(event, self.topics.hold(&event.topics));
        self.reactor.deliver_ephemeral(&Arc::new(ephemeral));
    }

    /// How many streams listen now to one of the topics of an event, and may read it.
    pub async fn subscribers(&self, topics: &[Topic]) -> usize {
        let room = Topic::room_in(topics);
        // Then some of those who listen may not read it.
        let narrows = |room| {
            self.members.is_closed(room) || self.topics.streams(&[Topic::narrowed_rooms()]) > 0
        };
        if Topic::may_overlap(topics) || room.is_some_and(narrows) {
            return self.reactor.listeners(self.topics.hold_known(topics), room).await;
        }
        self.topics.streams(topics)
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// All that is counted, as text.
    pub fn metrics_text(&self) -> String {
        self.metrics.text(status::now(self.admission.streams(), self.log.ring().shown()))
    }

    /// What the process uses, for `GET /system/status`.
    pub fn status(&self) -> Payload {
        self.meter.status(self.admission.streams()).finish()
    }

    /// The same as an event.
    pub fn status_event(&self) -> Event {
        let payload = self.meter.event(self.admission.streams());
        Event::new(vec![Topic::system()], "status", payload)
    }

    /// Whether the server is ending.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Takes no more streams and events, and tells every stream that the server ends. Returns when
    /// all are gone or at `until`.
    pub async fn drain(&self, until: Instant) {
        self.draining.store(true, Ordering::Relaxed);
        self.online.freeze();
        self.reactor.drain(until);
        loop {
            // Before the first look the shards must have had a turn, with what was on its way.
            tokio::time::sleep(DRAIN_LOOK).await;
            let streams = self.admission.streams() + self.reactor.connections();
            if streams == 0 || Instant::now() >= until {
                return;
            }
        }
    }

    /// Ends the shards, and then the log with everything that it had accepted.
    pub fn stop(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.reactor.stop();
        self.log.close();
    }
}

/// How often a drain looks whether it is done.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
