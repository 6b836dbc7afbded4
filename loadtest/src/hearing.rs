//! What one stream hears: each event is checked and entered into the books.

use std::cmp::Ordering;

use crate::board::Turn;
use crate::cursor::Cursor;
use crate::dialect::{Dialect, Live, Meaning};
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
        match event.data.as_deref().and_then(Stamp::find) {
            None => self.other(event),
            stamp => self.message(event, stamp),
        }
    }

    /// An event without a stamp: its name says what it is.
    fn other(&mut self, event: &Event<'_>) {
        match self.dialect.meaning(event.kind) {
            Meaning::Live => self.connected(event),
            Meaning::Heartbeat => {
                self.follow(event.id, Ordering::is_ge);
                self.heartbeat();
            }
            Meaning::Gap => self.gap(event),
            Meaning::Farewell => self.farewell = Some(Farewell::Said(text(event))),
            Meaning::Nothing => {}
            // No event, but a stream goes on from after its id.
            Meaning::Message if event.data.is_none() => self.follow(event.id, Ordering::is_ge),
            Meaning::Message => self.message(event, None),
        }
    }

    #[inline]
    fn message(&mut self, event: &Event<'_>, stamp: Option<Stamp>) {
        self.follow(event.id, Ordering::is_gt);
        // A stream that breaks now could not say where it was.
        if event.id.is_none() && self.dialect.stream.resume.is_some() {
            self.ledger.tally.disordered += 1;
        }
        let receiver =
            Receiver { stream: self.stream, live_since: *self.live_since, slow: self.slow };
        if self.ledger.receive(&receiver, stamp, self.now) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::DialectSource;
    use crate::wire::StreamReader;

    /// What a live stream of Rill's makes of these blocks: its tally, its cursor and its farewell.
    fn hear(blocks: &str) -> (crate::ledger::Tally, String, Option<Farewell>) {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        let (mut phase, mut cursor, mut turn) = (Phase::Live, Cursor::default(), Turn::default());
        let mut ledger = Ledger::new(0..1, 0..1, 1, None);
        let mut hearing = Hearing {
            stream: 0,
            phase: &mut phase,
            cursor: &mut cursor,
            ledger: &mut ledger,
            turn: &mut turn,
            dialect: &Dialect::load(&DialectSource::RILL).unwrap(),
            began: 0,
            live_since: &mut 0,
            slow: false,
            now: 9,
            farewell: None,
        };
        let bytes = format!("{head}{blocks}");
        StreamReader::default().feed(bytes.as_bytes(), &mut |item| hearing.hear(item)).unwrap();
        let farewell = hearing.farewell.take();
        let tally = ledger.settle(&Default::default());
        (tally, String::from_utf8(cursor.id().to_vec()).unwrap(), farewell)
    }

    #[test]
    fn what_carries_a_stamp_is_a_message_whatever_its_name() {
        let kinds = ["notification", "gap", "heartbeat", "error", "status", "connected"];
        let block =
            |(k, kind): (usize, &&str)| format!("id: 1-{k}.e\nevent: {kind}\ndata: ~b0.{k}.5~\n\n");
        let blocks: String = kinds.iter().enumerate().map(block).collect();
        let (tally, _, farewell) = hear(&blocks);
        assert_eq!((tally.deliveries, tally.faulty()), (6, false));
        assert!(farewell.is_none());
    }

    #[test]
    fn what_carries_none_is_what_the_dialect_says() {
        let blocks = "event: user-joined\ndata: {}\n\nevent: gap\ndata: {}\n\n\
                      event: heartbeat\ndata: {}\n\nevent: odd\ndata: {}\n\n\
                      event: disconnected\ndata: bye\n\n";
        let (tally, _, farewell) = hear(blocks);
        assert_eq!((tally.gaps, tally.heartbeats, tally.foreign), (1, 1, 1));
        assert_eq!(farewell.unwrap().to_string(), "disconnected: bye");
    }

    #[test]
    fn an_id_alone_moves_the_cursor() {
        let blocks = "id: 1-1.e\ndata: ~b0.0.5~\n\nid: 1-2.e\n\nid: 1-2.e\n\n";
        let (tally, cursor, _) = hear(blocks);
        assert_eq!((tally.deliveries, cursor.as_str()), (1, "1-2.e"));
        assert_eq!((tally.disordered, tally.foreign), (0, 0));
    }
}
