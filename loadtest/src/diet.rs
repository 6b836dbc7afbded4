//! Streams that read a few bytes now and then, so that the server has to keep the rest.

use std::ops::Range;
use std::time::Duration;

/// Time between two portions in nanoseconds.
const INTERVAL: u64 = 250_000_000;

/// How many are slow, and how slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slow {
    /// Their share.
    pub(crate) share: f64,
    /// What each reads a second.
    pub(crate) bytes_per_second: usize,
}

/// The first few streams of one engine, and what they may read.
#[derive(Clone, Debug)]
pub(crate) struct Diet {
    streams: Range<usize>,
    portion: usize,
    due: u64,
}

impl Diet {
    /// For that share of `streams`.
    pub(crate) fn new(slow: Option<Slow>, streams: usize) -> Diet {
        let count = slow.map_or(0, |slow| (slow.share * streams as f64).ceil() as usize);
        let bytes = slow.map_or(0, |slow| slow.bytes_per_second) as u64;
        let portion = (bytes * INTERVAL / 1_000_000_000).max(1) as usize;
        Diet { streams: 0..count.min(streams), portion, due: 0 }
    }

    /// Who is on it.
    pub(crate) fn streams(&self) -> Range<usize> {
        self.streams.clone()
    }

    /// Whether this stream is on it.
    pub(crate) fn contains(&self, stream: usize) -> bool {
        self.streams.contains(&stream)
    }

    /// How many bytes each may read now, if it is time.
    pub(crate) fn portion(&mut self, now: u64) -> Option<usize> {
        if self.streams.is_empty() || now < self.due {
            return None;
        }
        self.due = now + INTERVAL;
        Some(self.portion)
    }

    /// Ends it, and says who was on it.
    pub(crate) fn end(&mut self) -> Range<usize> {
        std::mem::take(&mut self.streams)
    }

    /// How long nobody reads.
    pub(crate) fn wait(&self, now: u64) -> Duration {
        if self.streams.is_empty() {
            Duration::MAX
        } else {
            Duration::from_nanos(self.due.saturating_sub(now))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_come_at_their_time() {
        let mut diet = Diet::new(Some(Slow { share: 0.2, bytes_per_second: 40 }), 11);
        assert_eq!(diet.streams(), 0..3);
        assert_eq!([diet.portion(5), diet.portion(6)], [Some(10), None]);
        assert_eq!(diet.wait(5), Duration::from_nanos(INTERVAL));
        assert_eq!((diet.end(), diet.portion(u64::MAX)), (0..3, None));
        assert!(Diet::new(None, 5).wait(0) == Duration::MAX);
    }
}
