//! Where an event stands in the log, and how a client writes that down.
//!
//! A [`Position`] is what the program compares, a [`Cursor`] (`<milliseconds>-<sequence>.<epoch>`)
//! is its text on the wire, and [`Requested`] is what a returning client may have sent instead.

use std::fmt;

/// How many bits of a position count events within one millisecond: about a million of them.
const SEQUENCE_BITS: u32 = 20;
const MAX_SEQUENCE: u64 = (1 << SEQUENCE_BITS) - 1;
/// The largest number of milliseconds that fits above the sequence; reached in the year 2527.
const MAX_MILLISECONDS: u64 = (1 << (64 - SEQUENCE_BITS)) - 1;

/// A place in the log's total order: milliseconds since 1970 and a sequence, packed in 64 bits, so
/// that order is the order of one integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// The position of the first event of a millisecond, plus `sequence`.
    ///
    /// Returns `None` when either part does not fit.
    pub fn new(milliseconds: u64, sequence: u64) -> Option<Position> {
        (milliseconds <= MAX_MILLISECONDS && sequence <= MAX_SEQUENCE)
            .then_some(Position(milliseconds << SEQUENCE_BITS | sequence))
    }

    /// The last position before any event of this millisecond.
    pub fn before(milliseconds: u64) -> Position {
        Position((milliseconds.min(MAX_MILLISECONDS) << SEQUENCE_BITS).saturating_sub(1))
    }

    /// Where a log begins that has no event yet.
    pub fn start(milliseconds: u64) -> Position {
        Position(milliseconds.min(MAX_MILLISECONDS) << SEQUENCE_BITS)
    }

    /// The next position to mint at the wall clock's `now`: strictly above `self`, also when the
    /// clock was set back or a millisecond's sequence is used up.
    #[must_use]
    pub fn next(self, now: u64) -> Position {
        Position::start(now).max(Position(self.0 + 1))
    }

    /// Milliseconds since 1970.
    pub fn milliseconds(self) -> u64 {
        self.0 >> SEQUENCE_BITS
    }

    /// The number of the event within its millisecond.
    pub fn sequence(self) -> u64 {
        self.0 & MAX_SEQUENCE
    }

    /// The packed form, as the log stores it.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The inverse of [`Position::to_bits`].
    pub fn from_bits(bits: u64) -> Position {
        Position(bits)
    }
}

/// Names one life of a log: it changes when the log was lost or replaced, so that a cursor of
/// another log is never mistaken for one of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u32);

impl Epoch {
    /// An epoch that no log had before (drawn at random).
    pub fn fresh() -> Epoch {
        Epoch(rand::random())
    }

    /// The stored form.
    pub fn to_bits(self) -> u32 {
        self.0
    }

    /// The inverse of [`Epoch::to_bits`].
    pub fn from_bits(bits: u32) -> Epoch {
        Epoch(bits)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// A position as a client sees it: the `id:` of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The place in the log.
    pub position: Position,
    /// The log it is a place of.
    pub epoch: Epoch,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cursor { position, epoch } = self;
        write!(f, "{}-{}.{epoch}", position.milliseconds(), position.sequence())
    }
}

/// What a returning client asked to go on from. Any bytes are a valid request: those that mean
/// nothing are told so in the stream, never by a status that would be final for an EventSource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested {
    /// Everything after this position, of this log when the epoch was given.
    After {
        /// The last event that the client has.
        position: Position,
        /// The log that the client had it from.
        epoch: Option<Epoch>,
    },
    /// Everything from the first event of this millisecond on.
    Since {
        /// Milliseconds since 1970.
        milliseconds: u64,
    },
    /// Nothing that could be understood.
    Invalid,
}

impl Requested {
    /// Reads the bytes of `Last-Event-ID` or `lastEventId`.
    pub fn parse(bytes: &[u8]) -> Requested {
        std::str::from_utf8(bytes).ok().and_then(parse).unwrap_or(Requested::Invalid)
    }
}

fn parse(text: &str) -> Option<Requested> {
    let Some((milliseconds, rest)) = text.split_once('-') else {
        // A stamp is exactly what `Date.now()` gives; shorter numbers are ids of other servers.
        return (text.len() == 13)
            .then(|| digits(text))?
            .map(|milliseconds| Requested::Since { milliseconds });
    };
    let (sequence, epoch) = match rest.split_once('.') {
        Some((sequence, epoch)) => (sequence, Some(parse_epoch(epoch)?)),
        None => (rest, None),
    };
    let position = Position::new(digits(milliseconds)?, digits(sequence)?)?;
    Some(Requested::After { position, epoch })
}

fn parse_epoch(text: &str) -> Option<Epoch> {
    let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == 8 && text.bytes().all(lower_hex))
        .then(|| u32::from_str_radix(text, 16).ok())?
        .map(Epoch)
}

/// `u64::from_str` would also take a sign.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(milliseconds: u64, sequence: u64) -> Position {
        Position::new(milliseconds, sequence).expect("in range")
    }

    #[test]
    fn a_clock_that_is_set_back_never_takes_a_position_back() {
        let first = position(5_000, 0);
        assert_eq!(first.next(5_001), position(5_001, 0));
        assert_eq!(first.next(5_000), position(5_000, 1));
        assert_eq!(first.next(1_000), position(5_000, 1));
    }

    #[test]
    fn a_full_millisecond_goes_on_in_the_next() {
        assert_eq!(position(5_000, MAX_SEQUENCE).next(5_000), position(5_001, 0));
    }

    #[test]
    fn a_cursor_reads_back_as_written() {
        let cursor = Cursor { position: position(1_642_678_901_234, 7), epoch: Epoch(0xab) };
        assert_eq!(cursor.to_string(), "1642678901234-7.000000ab");
        assert_eq!(
            Requested::parse(cursor.to_string().as_bytes()),
            Requested::After { position: cursor.position, epoch: Some(cursor.epoch) }
        );
    }

    #[test]
    fn the_accepted_forms() {
        assert_eq!(
            Requested::parse(b"1642678901234-7"),
            Requested::After { position: position(1_642_678_901_234, 7), epoch: None }
        );
        assert_eq!(
            Requested::parse(b"1642678901234"),
            Requested::Since { milliseconds: 1_642_678_901_234 }
        );
        assert!(Position::before(1_000) < position(1_000, 0));
        assert!(Position::before(1_000) > position(999, 7));
    }

    #[test]
    fn everything_else_is_invalid() {
        let long = vec![b'1'; 9 << 10];
        let forms: [&[u8]; 14] = [
            b"123",
            b"-",
            b"1-",
            b"-1",
            b"+1-1",
            b"1--1",
            b"1-1.",
            b"1-1.ABCDEF01",
            b"1-1.abc",
            b"1-1048576",
            b"99999999999999999999-0",
            b"\xff\xfe",
            b" 1-1",
            &long,
        ];
        for form in forms {
            assert_eq!(Requested::parse(form), Requested::Invalid, "{form:?}");
        }
    }
}
