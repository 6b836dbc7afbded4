//! Retention in the store: what goes, and taking it away in bounded steps.

use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use super::Retention;
use super::embedded::{
    EVENTS, FLOOR, META, ONCE, ONCE_BY_AGE, TRIMMED_BYTES, TRIMMED_EVENTS, corrupt, remove_events,
};
use super::record::{self, Tally};
use super::writer::{ONCE_KEPT, Trimmed};
use crate::cursor::Position;

/// Deletions of one step, about 10 ms of work, so that publishers never wait longer for retention.
const STEP: usize = 5_000;

/// What retention takes away in one step.
pub(super) struct Cut {
    /// Up to this position; the tally is the one after it.
    events: Option<(Position, Tally)>,
    /// Idempotency keys and when they were used.
    keys: Vec<(u64, [u8; 32])>,
    /// There is more to take away.
    more: bool,
}

impl Cut {
    /// What is to go now; `None` when nothing is.
    pub(super) fn find(
        transaction: &ReadTransaction,
        retention: &Retention,
        next: Tally,
        now: u64,
    ) -> Result<Option<Cut>, redb::Error> {
        let mut cut = Cut { events: None, keys: Vec::new(), more: false };
        cut.find_events(transaction, retention, next, now)?;
        cut.find_keys(transaction, now)?;
        Ok((cut.events.is_some() || !cut.keys.is_empty()).then_some(cut))
    }

    fn find_events(
        &mut self,
        transaction: &ReadTransaction,
        retention: &Retention,
        next: Tally,
        now: u64,
    ) -> Result<(), redb::Error> {
        let oldest = Position::before(now.saturating_sub(retention.age.as_millis() as u64));
        for (step, entry) in transaction.open_table(EVENTS)?.iter()?.enumerate() {
            let (key, value) = entry?;
            let position = Position::from_bits(key.value());
            let before = record::tally(value.value()).ok_or_else(corrupt)?;
            let beyond = position <= oldest
                || next.events - before.events > retention.count
                || next.bytes - before.bytes > retention.bytes;
            self.more |= beyond && step == STEP;
            if !beyond || step == STEP {
                break;
            }
            let bytes = before.bytes + value.value().len() as u64;
            self.events = Some((position, Tally { events: before.events + 1, bytes }));
        }
        Ok(())
    }

    fn find_keys(&mut self, transaction: &ReadTransaction, now: u64) -> Result<(), redb::Error> {
        let before = now.saturating_sub(ONCE_KEPT.as_millis() as u64);
        let table = transaction.open_table(ONCE_BY_AGE)?;
        for entry in table.range(..(before, &[0; 32]))?.take(STEP) {
            let (used, key) = entry.map(|(key, _)| (key.value().0, *key.value().1))?;
            self.keys.push((used, key));
        }
        self.more |= self.keys.len() == STEP;
        Ok(())
    }

    /// Takes it away.
    pub(super) fn remove(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        if let Some((upto, trimmed)) = self.events {
            let mut events = transaction.open_table(EVENTS)?;
            remove_events(transaction, &mut events, ..=upto.to_bits())?;
            let mut meta = transaction.open_table(META)?;
            meta.insert(FLOOR, upto.to_bits())?;
            meta.insert(TRIMMED_EVENTS, trimmed.events)?;
            meta.insert(TRIMMED_BYTES, trimmed.bytes)?;
        }
        let mut once = transaction.open_table(ONCE)?;
        let mut by_age = transaction.open_table(ONCE_BY_AGE)?;
        for (used, key) in &self.keys {
            once.remove(key)?;
            by_age.remove((*used, key))?;
        }
        Ok(())
    }

    /// What that means for the ring.
    pub(super) fn trimmed(&self) -> Trimmed {
        Trimmed { upto: self.events.map(|(upto, _)| upto), more: self.more }
    }
}
