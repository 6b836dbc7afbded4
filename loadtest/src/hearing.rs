//! What one stream hears: each event is checked and entered into the books.

use std::cmp::Ordering;

use crate::board::Turn;
use crate::cursor::Cursor;
use crate::dialect::{Dialect, Live};
use crate::ledger::{Ledger, Receiver};
use crate::stamp::Stamp;
use crate::stream::Phase;
use crate::wire::{Event, Item};

/// Everything that an event of one stream touches.
pub(crate) struct Hearing<'a> {
    /// The stream's number within its thread.
    pub(crate) stream: usize,
    pub(crate) phase: &'a mut Phase,
    pub(crate) cursor: &'a mut Cursor,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) turn: &'a mut Turn,
    pub(crate) dialect: &'a Dialect,
    /// When the connection was begun.
    pub(crate) began: u64,
    pub(crate) live_since: &'a mut u64,
    pub(crate) slow: bool,
    /// When these bytes were read.
    pub(crate) now: u64,
    /// The server said that it ends the stream, and why.
    pub(crate) farewell: Option<Farewell>,
}

/// How a server says that a stream is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Farewell {
    /// With an event.
    #[error("{0}")]
    Said(String),
    /// The body ended as its framing says.
    #[error("the body ended")]
    Ended,
}

impl Farewell {
    /// Whether the server gave up a reader that is too slow.
    pub(crate) fn is_for_slow(&self) -> bool {
        matches!(self, Farewell::Said(text)
            if ["slow_consumer", "idle_timeout"].iter().any(|reason| text.contains(reason)))
    }
}

impl Hearing<'_> {
    /// Takes one item of the stream.
    #[inline]
    pub(crate) fn hear(&mut self, item: Item<'_>) {
        match item {
            Item::Head if self.dialect.live() == Live::Head => self.live(),
            Item::Head => {}
            Item::Comment if self.dialect.live() == Live::Comment && *self.phase != Phase::Live => {
                self.live()
            }
            Item::Event(event) => self.event(&event),
            Item::Comment => self.heartbeat(),
            Item::End => {
                self.farewell.get_or_insert(Farewell::Ended);
            }
        }
    }

    #[inline]
    fn event(&mut self, event: &Event<'_>) {
        match event.kind {
            kind if self.dialect.live() == Live::Event(kind) => self.connected(event),
            b"heartbeat" => {
                self.follow(event.id, Ordering::is_ge);
                self.heartbeat();
            }
            b"gap" => self.gap(event),
            b"disconnected" | b"error" => self.farewell = Some(Farewell::Said(text(event))),
            b"token-expiring" | b"status" => {}
            _ => self.message(event),
        }
    }

    #[inline]
    fn message(&mut self, event: &Event<'_>) {
        let Some(data) = &event.data else { return };
        self.follow(event.id, Ordering::is_gt);
        let receiver =
            Receiver { stream: self.stream, live_since: *self.live_since, slow: self.slow };
        if self.ledger.receive(&receiver, Stamp::find(data), self.now) {
            self.turn.deliveries += 1;
        }
    }

    fn connected(&mut self, event: &Event<'_>) {
        self.follow(event.id, Ordering::is_ge);
        if *self.phase == Phase::Live {
            self.ledger.tally.disordered += 1;
        } else {
            self.live();
        }
    }

    fn live(&mut self) {
        *self.phase = Phase::Live;
        *self.live_since = self.now;
        self.turn.connected += 1;
        self.turn.live += 1;
        self.ledger.tally.openings.record(self.now.saturating_sub(self.began));
    }

    /// Wherever it goes on, the order begins anew.
    fn gap(&mut self, event: &Event<'_>) {
        self.ledger.tally.gaps += 1;
        self.follow(event.id, |_| true);
    }

    fn heartbeat(&mut self) {
        self.ledger.tally.heartbeats += 1;
        self.turn.heartbeats += 1;
    }

    #[inline]
    fn follow(&mut self, id: Option<&[u8]>, allowed: fn(Ordering) -> bool) {
        if let Some(id) = id
            && !allowed(self.cursor.advance(id))
        {
            self.ledger.tally.disordered += 1;
        }
    }
}

fn text(event: &Event<'_>) -> String {
    let data = event.data.as_deref().unwrap_or_default();
    format!("{}: {}", String::from_utf8_lossy(event.kind), String::from_utf8_lossy(data))
}
