//! One admitted stream: a cursor, a socket and what it still owes the peer.
//!
//! ```text
//!  seat ──▶ Replaying ──▶ Live ◀──▶ CatchingUp
//!               │           │           │
//!               └───────────┴───────────┴──▶ Closing ──▶ gone
//! ```

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::socket::Socket;
use super::wheel::Tick;
use super::{CloseReason, ConnectionId, Limits};
use crate::cursor::Position;
use crate::frame::{Ephemeral, Frame, Framing};
use crate::metrics::Deliveries;
use crate::rights::Reader;
use crate::topic::{Subscription, TopicSet};

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Gets its first block and what it missed while it was away.
    Replaying,
    /// Has everything up to the shard's level.
    Live,
    /// Did not take all that was written, and reads on from its cursor.
    CatchingUp {
        /// When it was last level.
        since: Tick,
    },
    /// Gets its last words. It is no longer counted or subscribed.
    Closing {
        /// When to stop waiting for the peer.
        until: Tick,
    },
}

/// Bytes that a socket did not take yet.
pub(super) struct Unsent {
    what: Owed,
    sent: usize,
}

/// Shared where it can be: a slow peer holds on to one frame, not to a copy of it.
pub(super) enum Owed {
    Frame(Arc<Frame>),
    Ephemeral(Arc<Ephemeral>),
    Own(Box<[u8]>),
}

impl Unsent {
    pub(super) fn new(what: Owed, sent: usize) -> Box<Unsent> {
        Box::new(Unsent { what, sent })
    }

    fn rest(&self, framing: Framing) -> &[u8] {
        let bytes = match &self.what {
            Owed::Frame(frame) => frame.bytes(framing),
            Owed::Ephemeral(ephemeral) => ephemeral.bytes(framing),
            Owed::Own(bytes) => bytes,
        };
        &bytes[self.sent..]
    }
}

/// What a stream occupies while it is admitted: given back by drop, exactly once, when it begins to
/// close.
pub(super) struct Stay<G> {
    pub(super) topics: Subscription,
    /// Who reads it, if that is not simply all of them for as long as it lives.
    pub(super) reader: Option<Box<Reader>>,
    /// The hub's guards; only their drop matters here.
    pub(super) _guard: G,
}

impl<G> Stay<G> {
    /// Whether it listens to one of these topics, and may read what is of this room.
    pub(super) fn concerns(&self, topics: &TopicSet, room: Option<&str>) -> bool {
        topics.meets(self.topics.set())
            && self.reader.as_ref().is_none_or(|reader| reader.may_read(room))
    }
}

/// Whether a connection waits for a page of old events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageAsked {
    /// It does not.
    No,
    /// It was asked for and has not come yet.
    Yes,
    /// The same, for topics that it had then: it may lack what concerns the connection now.
    Outdated,
}

impl PageAsked {
    pub(super) fn is_awaited(self) -> bool {
        match self {
            PageAsked::No => false,
            PageAsked::Yes | PageAsked::Outdated => true,
        }
    }

    /// After the topics have changed.
    pub(super) fn outdated(self) -> PageAsked {
        match self {
            PageAsked::No => PageAsked::No,
            PageAsked::Yes | PageAsked::Outdated => PageAsked::Outdated,
        }
    }
}

/// Frames of a batch that concern a connection: the first and the last.
#[derive(Clone, Copy)]
pub(super) struct Marks {
    pub(super) first: u16,
    pub(super) last: u16,
}

/// No mark.
pub(super) const UNMARKED: Marks = Marks { first: u16::MAX, last: 0 };

/// Later than everything.
pub(super) const NEVER: Tick = Tick::MAX;

/// What has to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It was quiet: a sign of life, with how far it has come.
    Heartbeat,
    /// Its credential ends soon, and its client shall know.
    ExpiryNotice,
    /// It has to end.
    Close(CloseReason),
    /// It had its last words and time enough to take them.
    Forget,
}

/// The slab's entry.
pub(super) struct Connection<S, G> {
    pub(super) socket: S,
    pub(super) id: ConnectionId,
    /// `None` while closing.
    pub(super) stay: Option<Stay<G>>,
    pub(super) unsent: Option<Box<Unsent>>,
    /// Everything up to here is written, is in `unsent`, or did not concern it. For a live one it is
    /// the shard's level instead.
    pub(super) position: Position,
    pub(super) phase: Phase,
    /// When it came.
    pub(super) seated: Tick,
    /// When the last `id:` was written.
    pub(super) last_id: Tick,
    /// When the peer last took bytes.
    pub(super) last_taken: Tick,
    /// When its credential ends; [`NEVER`] if it does not.
    pub(super) expires: Tick,
    /// Its client knows that the credential ends soon.
    pub(super) knows_of_expiry: bool,
    pub(super) marks: Marks,
    pub(super) framing: Framing,
    pub(super) page: PageAsked,
    /// Writability is being watched.
    pub(super) watched: bool,
}

/// How far a write got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// All of it.
    All,
    /// The socket is full, and it will tell when it is not: whoever sees this has it watched, and
    /// writes again only then.
    Blocked,
    /// The peer is gone.
    Gone,
}

impl<S: Socket, G> Connection<S, G> {
    /// When the wheel has to look at it.
    pub(super) fn deadline(&self, limits: &Limits) -> Tick {
        let of_phase = match self.phase {
            Phase::Live => self.heartbeat_at(limits).min(self.notice_at(limits)),
            Phase::Replaying => self.idle_at(limits),
            Phase::CatchingUp { since } => (since + limits.max_lag).min(self.idle_at(limits)),
            // Its credential matters no more.
            Phase::Closing { until } => return until,
        };
        of_phase.min(self.expires)
    }

    /// What has to be done now, if anything.
    pub(super) fn due(&self, limits: &Limits, now: Tick) -> Option<Due> {
        let when = |at: Tick, due: Due| (now >= at).then_some(due);
        let idle = || when(self.idle_at(limits), Due::Close(CloseReason::IdleTimeout));
        let of_phase = || match self.phase {
            Phase::Live => when(self.notice_at(limits), Due::ExpiryNotice)
                .or_else(|| when(self.heartbeat_at(limits), Due::Heartbeat)),
            Phase::Replaying => idle(),
            Phase::CatchingUp { since } => {
                when(since + limits.max_lag, Due::Close(CloseReason::SlowConsumer)).or_else(idle)
            }
            Phase::Closing { until } => when(until, Due::Forget),
        };
        match self.phase {
            Phase::Closing { .. } => of_phase(),
            Phase::Live | Phase::Replaying | Phase::CatchingUp { .. } => {
                when(self.expires, Due::Close(CloseReason::TokenExpired)).or_else(of_phase)
            }
        }
    }

    fn heartbeat_at(&self, limits: &Limits) -> Tick {
        self.last_id + limits.heartbeat
    }

    fn idle_at(&self, limits: &Limits) -> Tick {
        // Who waits for a page is not idle: no byte waits for him.
        if self.page.is_awaited() { NEVER } else { self.last_taken + limits.idle }
    }

    fn notice_at(&self, limits: &Limits) -> Tick {
        match self.expires {
            NEVER => NEVER,
            _ if self.knows_of_expiry => NEVER,
            expires => expires.saturating_sub(limits.expiry_notice),
        }
    }

    /// Writes slices, as many bytes as the socket takes, and tells how many that were.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>], now: Tick) -> io::Result<usize> {
        loop {
            match self.socket.write(slices) {
                Ok(taken) => {
                    if taken > 0 {
                        self.last_taken = now;
                    }
                    return Ok(taken);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes what is owed.
    pub(super) fn flush(&mut self, now: Tick) -> Written {
        let Some(mut unsent) = self.unsent.take() else { return Written::All };
        let (framing, mut all) = (self.framing, false);
        while !all {
            match self.write(&[IoSlice::new(unsent.rest(framing))], now) {
                Ok(0) => break,
                Ok(taken) => unsent.sent += taken,
                Err(_) => return Written::Gone,
            }
            all = unsent.rest(framing).is_empty();
        }
        if all {
            return Written::All;
        }
        self.unsent = Some(unsent);
        Written::Blocked
    }

    /// Writes events in one go and moves the cursor past what was taken, and past a frame of which
    /// only a part was: the rest of that is owed from now on.
    pub(super) fn write_frames(
        &mut self,
        frames: &[&Arc<Frame>],
        slices: &[IoSlice<'_>],
        now: Tick,
        deliveries: &mut Deliveries,
    ) -> Written {
        let Ok(mut taken) = self.write(slices, now) else { return Written::Gone };
        deliveries.bytes += taken as u64;
        if taken > 0 {
            self.last_id = now;
        }
        for (frame, slice) in frames.iter().zip(slices) {
            if taken == 0 {
                return Written::Blocked;
            }
            self.position = frame.position();
            deliveries.events += 1;
            if taken < slice.len() {
                self.unsent = Some(Unsent::new(Owed::Frame(Arc::clone(frame)), taken));
                return Written::Blocked;
            }
            taken -= slice.len();
        }
        Written::All
    }

    /// Writes events that are not kept in one go. The rest of one of which only a part was taken is
    /// owed from now on; those behind it are not for a peer that is behind.
    pub(super) fn write_ephemeral(&mut self, events: &[&Arc<Ephemeral>], now: Tick) -> Written {
        let framing = self.framing;
        let slices: Vec<IoSlice<'_>> =
            events.iter().map(|event| IoSlice::new(event.bytes(framing))).collect();
        let Ok(mut taken) = self.write(&slices, now) else { return Written::Gone };
        for (event, slice) in events.iter().zip(&slices) {
            if taken < slice.len() {
                let owed = || Unsent::new(Owed::Ephemeral(Arc::clone(event)), taken);
                self.unsent = (taken > 0).then(owed);
                return Written::Blocked;
            }
            taken -= slice.len();
        }
        Written::All
    }

    /// Owes the peer these last words, after what it was owed already.
    pub(super) fn owe_last(&mut self, farewell: Vec<u8>) {
        let mut bytes = Vec::new();
        if let Some(unsent) = self.unsent.take() {
            bytes.extend_from_slice(unsent.rest(self.framing));
        }
        bytes.extend_from_slice(&farewell);
        self.unsent = Some(Unsent::new(Owed::Own(bytes.into()), 0));
    }
}
