//! The store that keeps nothing over a restart: the ring has the events, this has the idempotency
//! keys.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::writer::{Answered, ONCE_KEPT, Pending, Start, Store, StoreError, Trimmed, now};
use super::{Change, Extent, Retention, Ring};
use crate::cursor::{Epoch, Position};

/// Keys and where the events are.
pub(super) struct Memory {
    ring: Arc<Ring>,
    once: HashMap<[u8; 32], Answered>,
    by_age: VecDeque<(u64, [u8; 32])>,
}

impl Memory {
    /// A store beside a ring without a bound of its own.
    pub(super) fn new(ring: Arc<Ring>) -> Memory {
        Memory { ring, once: HashMap::new(), by_age: VecDeque::new() }
    }

    /// Where a log begins that has no past.
    pub(super) fn start() -> Start {
        let began = now();
        let extent = Extent { floor: Position::before(began), head: Position::start(began) };
        Start { epoch: Epoch::fresh(), extent }
    }
}

impl Store for Memory {
    fn answered(&mut self, key: &[u8; 32]) -> Result<Option<Answered>, StoreError> {
        Ok(self.once.get(key).copied())
    }

    fn commit(&mut self, batch: &[Pending], now: u64, _sync: bool) -> Result<(), StoreError> {
        for Pending { position, once, .. } in batch {
            if let Some(once) = once {
                self.once.insert(once.key, Answered { position: *position, body: once.body });
                self.by_age.push_back((now, once.key));
            }
        }
        Ok(())
    }

    fn keep(&mut self, _: &[Change]) -> Result<(), StoreError> {
        // Whoever keeps rows has them in memory too, and nothing here outlasts that.
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn trim(&mut self, retention: &Retention, now: u64) -> Result<Trimmed, StoreError> {
        let keys_before = now.saturating_sub(ONCE_KEPT.as_millis() as u64);
        while let Some((_, key)) = self.by_age.pop_front_if(|(used, _)| *used < keys_before) {
            self.once.remove(&key);
        }
        Ok(Trimmed { upto: self.ring.beyond(retention, now), more: false })
    }
}
