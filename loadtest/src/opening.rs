//! Which stream is opened next, and when: bounded in how many are under way, and in pace.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// A stream that was refused or broken comes back after this time, as a client that is told to wait
/// would, only sooner.
pub(crate) const RETRY: u64 = 100_000_000;

/// How fast streams are opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How many may be under way, from connect to `connected`.
    pub(crate) concurrency: usize,
    /// Connects a second; None is as fast as it goes.
    pub(crate) per_second: Option<f64>,
}

/// The queue of one engine.
#[derive(Debug, Default)]
pub(crate) struct Openings {
    queue: VecDeque<usize>,
    /// Streams that come back at their time.
    returns: BinaryHeap<Reverse<(u64, usize)>>,
    under_way: usize,
    concurrency: usize,
    /// Nanoseconds between two connects.
    interval: u64,
    /// When the next connect may be.
    due: u64,
}

impl Openings {
    /// Begins anew with these streams.
    pub(crate) fn begin(&mut self, streams: impl Iterator<Item = usize>, pace: Pace, now: u64) {
        self.queue = streams.collect();
        self.returns.clear();
        self.under_way = 0;
        self.concurrency = pace.concurrency.max(1);
        self.interval = pace.per_second.map_or(0, |rate| (1e9 / rate) as u64);
        self.due = now;
    }

    /// The stream to open now, if any. It is under way until [`Openings::done`] or
    /// [`Openings::again`].
    pub(crate) fn next(&mut self, now: u64) -> Option<usize> {
        while self.returns.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            self.queue.extend(self.returns.pop().map(|Reverse((_, stream))| stream));
        }
        if self.under_way >= self.concurrency || self.due > now {
            return None;
        }
        let stream = self.queue.pop_front()?;
        self.under_way += 1;
        self.due += self.interval;
        Some(stream)
    }

    /// A stream that was under way has arrived, or never will.
    pub(crate) fn done(&mut self) {
        self.under_way -= 1;
    }

    /// A stream that was under way has to be opened again, a little later.
    pub(crate) fn again(&mut self, stream: usize, now: u64) {
        self.under_way -= 1;
        self.back_at(stream, now + RETRY);
    }

    /// A stream that was live comes back at this time.
    pub(crate) fn back_at(&mut self, stream: usize, at: u64) {
        self.returns.push(Reverse((at, stream)));
    }

    /// How long nothing can be opened, as far as that depends on the time.
    pub(crate) fn wait(&self, now: u64) -> Duration {
        let back = self.returns.peek().map(|Reverse((at, _))| *at);
        let next =
            (!self.queue.is_empty() && self.under_way < self.concurrency).then_some(self.due);
        match [back, next].into_iter().flatten().min() {
            Some(at) => Duration::from_nanos(at.saturating_sub(now)),
            None => Duration::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrency_and_pace_hold() {
        let mut openings = Openings::default();
        openings.begin(0..4, Pace { concurrency: 2, per_second: Some(1e9) }, 0);
        assert_eq!([openings.next(0), openings.next(0)], [Some(0), None], "one a nanosecond");
        assert_eq!([openings.next(1), openings.next(9)], [Some(1), None], "two under way");
        openings.done();
        openings.again(1, 9);
        assert_eq!(
            [openings.next(9), openings.next(9), openings.next(9)],
            [Some(2), Some(3), None]
        );
        openings.done();
        assert_eq!(openings.wait(9), Duration::from_nanos(RETRY));
        assert_eq!(openings.next(9 + RETRY), Some(1));
        openings.done();
        openings.back_at(3, 20);
        openings.back_at(0, 10);
        assert_eq!(openings.next(RETRY), Some(0), "who is back first goes first");
    }
}
