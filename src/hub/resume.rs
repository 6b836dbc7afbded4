//! Where a stream begins: at the head, where its client left off, or past a gap that it is told of.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Hub;
use crate::cursor::{Cursor, Epoch, Position, Requested};
use crate::log::Extent;
use crate::rights::Reader;
use crate::topic::Subscription;

/// What a stream tells its client about going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Nothing was asked for.
    None,
    /// Everything since then follows.
    Full,
    /// Something is missing.
    Gap(Reason),
}

/// Why something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// What was asked for means nothing here.
    InvalidCursor,
    /// It is a cursor of another log.
    EpochChanged,
    /// Events after it are no longer kept.
    TooOld,
    /// It is newer than the newest event.
    CursorAhead,
    /// There were more events since then than are replayed.
    ReplayLimit,
}

impl Reason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::InvalidCursor => "invalid_cursor",
            Reason::EpochChanged => "epoch_changed",
            Reason::TooOld => "too_old",
            Reason::CursorAhead => "cursor_ahead",
            Reason::ReplayLimit => "replay_limit",
        }
    }
}

/// Where to begin, before the replay limit is looked at. `now` is the wall clock in milliseconds.
pub fn plan(
    requested: Option<Requested>,
    epoch: Epoch,
    extent: Extent,
    now: u64,
) -> (Position, Resume) {
    let Extent { floor, head } = extent;
    match requested {
        None => (head, Resume::None),
        Some(Requested::Invalid) => (head, Resume::Gap(Reason::InvalidCursor)),
        Some(Requested::After { epoch: Some(other), .. }) if other != epoch => {
            (floor, Resume::Gap(Reason::EpochChanged))
        }
        Some(Requested::After { position, .. }) if position < floor => {
            (floor, Resume::Gap(Reason::TooOld))
        }
        Some(Requested::After { position, .. }) if position > head => {
            (head, Resume::Gap(Reason::CursorAhead))
        }
        Some(Requested::After { position, .. }) => (position, Resume::Full),
        Some(Requested::Since { milliseconds }) if milliseconds > now => {
            (head, Resume::Gap(Reason::CursorAhead))
        }
        Some(Requested::Since { milliseconds }) => {
            let before = Position::before(milliseconds);
            match before < floor {
                true => (floor, Resume::Gap(Reason::TooOld)),
                // A stamp between the newest event and now has missed nothing.
                false => (before.min(head), Resume::Full),
            }
        }
    }
}

impl Hub {
    /// Where a stream begins, and what its client is told about it.
    pub(super) async fn find_start(
        &self,
        requested: Option<Requested>,
        topics: &Subscription,
        reader: Option<&Reader>,
    ) -> (Cursor, Resume) {
        let epoch = self.log.epoch();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let extent = self.log.ring().extent();
        let (planned, mut resume) = plan(requested, epoch, extent, now.as_millis() as u64);
        let mut position = planned;
        if planned < extent.head {
            let limit = self.settings.replay_limit;
            match self.log.newest(planned, topics.topics(), reader, limit).await {
                Ok(newest) => position = newest,
                // The replay itself then finds out what is wrong, and says so in the stream.
                Err(error) => tracing::warn!(%error, "what a stream missed cannot be counted"),
            }
        }
        if position > planned && resume == Resume::Full {
            resume = Resume::Gap(Reason::ReplayLimit);
        }
        (Cursor { position, epoch }, resume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: u32 = 7;

    fn at(milliseconds: u64) -> Position {
        Position::new(milliseconds, 0).expect("in range")
    }

    fn planned(requested: Requested) -> (Position, Resume) {
        let extent = Extent { floor: at(1_000), head: at(2_000) };
        plan(Some(requested), Epoch::from_bits(EPOCH), extent, 3_000)
    }

    fn after(position: Position, epoch: Option<u32>) -> Requested {
        Requested::After { position, epoch: epoch.map(Epoch::from_bits) }
    }

    #[test]
    fn each_reason_and_where_it_goes_on() {
        let gap = |reason| Resume::Gap(reason);
        let cases = [
            (Requested::Invalid, at(2_000), gap(Reason::InvalidCursor)),
            (after(at(1_500), Some(8)), at(1_000), gap(Reason::EpochChanged)),
            (after(at(1), Some(8)), at(1_000), gap(Reason::EpochChanged)),
            (after(at(999), Some(EPOCH)), at(1_000), gap(Reason::TooOld)),
            (after(at(2_001), None), at(2_000), gap(Reason::CursorAhead)),
            (after(at(1_000), Some(EPOCH)), at(1_000), Resume::Full),
            (after(at(2_000), None), at(2_000), Resume::Full),
            (Requested::Since { milliseconds: 999 }, at(1_000), gap(Reason::TooOld)),
            (Requested::Since { milliseconds: 1_500 }, Position::before(1_500), Resume::Full),
            (Requested::Since { milliseconds: 2_500 }, at(2_000), Resume::Full),
            (Requested::Since { milliseconds: 3_001 }, at(2_000), gap(Reason::CursorAhead)),
        ];
        for (requested, start, resume) in cases {
            assert_eq!(planned(requested), (start, resume), "{requested:?}");
        }
    }
}
