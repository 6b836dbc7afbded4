//! How far one stream has come: its last event id, to resume with, and the check that ids only move
//! forward.

use std::cmp::Ordering;

use crate::digits;

/// Where an id puts an event, if it has Rill's form `<milliseconds>-<sequence>.<epoch>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    ms: u64,
    seq: u64,
}

impl Position {
    /// The position and the epoch. None for ids of another form, which say nothing about order.
    #[inline]
    pub(crate) fn parse(id: &[u8]) -> Option<(Position, &[u8])> {
        let (ms, rest) = digits::until(id, b'-')?;
        let (seq, epoch) = digits::until(rest, b'.')?;
        Some((Position { ms, seq }, epoch))
    }
}

/// One stream's cursor.
#[derive(Default)]
pub(crate) struct Cursor {
    id: Vec<u8>,
    position: Position,
    epoch_at: usize,
}

impl Cursor {
    /// The last id, empty before the first.
    pub(crate) fn id(&self) -> &[u8] {
        &self.id
    }

    /// Moves to `id` and says how it stands to the one before. An id of another form or epoch
    /// counts as later, since nothing else can be said about it, unless it is the very same.
    #[inline]
    pub(crate) fn advance(&mut self, id: &[u8]) -> Ordering {
        let Some((position, epoch)) = Position::parse(id) else {
            return self.replace(id, Position::default(), id.len());
        };
        let order = if self.id.get(self.epoch_at..) == Some(epoch) {
            position.cmp(&self.position)
        } else {
            Ordering::Greater
        };
        self.id.clear();
        self.id.extend_from_slice(id);
        self.position = position;
        self.epoch_at = id.len() - epoch.len();
        order
    }

    fn replace(&mut self, id: &[u8], position: Position, epoch_at: usize) -> Ordering {
        let had_a_form = self.epoch_at < self.id.len();
        let order = match self.id == id {
            true => Ordering::Equal,
            // Ids of one server have one form.
            false if had_a_form => Ordering::Less,
            false => Ordering::Greater,
        };
        *self = Cursor { id: id.to_vec(), position, epoch_at };
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_by_number_within_an_epoch() {
        let mut cursor = Cursor::default();
        assert_eq!(cursor.advance(b"9-9.a"), Ordering::Greater);
        assert_eq!(cursor.advance(b"9-10.a"), Ordering::Greater);
        assert_eq!(cursor.advance(b"9-10.a"), Ordering::Equal);
        assert_eq!(cursor.advance(b"8-11.a"), Ordering::Less);
        assert_eq!(cursor.advance(b"1-1.b"), Ordering::Greater, "another epoch starts anew");
        assert_eq!(cursor.id(), b"1-1.b");
    }

    #[test]
    fn a_form_is_kept() {
        let mut cursor = Cursor::default();
        assert_eq!(cursor.advance(b"9-9.a"), Ordering::Greater);
        assert_eq!(cursor.advance(b"7-zzz"), Ordering::Less);
    }

    #[test]
    fn foreign_ids_are_only_compared() {
        let mut cursor = Cursor::default();
        assert_eq!(cursor.advance(b"abc"), Ordering::Greater);
        assert_eq!(cursor.advance(b"abc"), Ordering::Equal);
        assert_eq!(cursor.advance(b""), Ordering::Greater);
    }
}
