//! Streams that leave at a rate, and come back a little later.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// How long a stream stays away: up to twice this time in nanoseconds.
const AWAY: u64 = 200_000_000;

/// One stream's leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    /// Who goes.
    pub(crate) stream: usize,
    /// With a reset instead of a FIN.
    pub(crate) abruptly: bool,
    /// When it comes back.
    pub(crate) back: u64,
}

/// Decides who leaves, and when.
#[derive(Debug)]
pub(crate) struct Churn {
    /// Nanoseconds between two leaves; none when nobody leaves.
    interval: Option<f64>,
    due: f64,
    random: SmallRng,
}

impl Default for Churn {
    fn default() -> Churn {
        Churn { interval: None, due: 0.0, random: SmallRng::seed_from_u64(4) }
    }
}

impl Churn {
    /// So many leave a second from now on.
    pub(crate) fn begin(&mut self, per_second: f64, now: u64) {
        self.interval = (per_second > 0.0).then(|| 1e9 / per_second);
        self.due = now as f64;
    }

    /// Who leaves now, if it is time.
    pub(crate) fn next(&mut self, now: u64, streams: usize) -> Option<Leaving> {
        let interval = self.interval.filter(|_| self.due <= now as f64 && streams > 0)?;
        self.due += interval;
        Some(Leaving {
            stream: self.random.random_range(0..streams),
            abruptly: self.random.random(),
            back: now + self.random.random_range(0..2 * AWAY),
        })
    }

    /// How long nobody leaves.
    pub(crate) fn wait(&self, now: u64) -> Duration {
        match self.interval {
            Some(_) => Duration::from_nanos((self.due - now as f64).max(0.0) as u64),
            None => Duration::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_come_at_their_rate() {
        let mut churn = Churn::default();
        assert!(churn.next(1_000, 3).is_none() && churn.wait(0) == Duration::MAX);
        churn.begin(4.0, 0);
        let mut leaves = 0;
        for now in (0..1_000_000_000).step_by(100_000_000) {
            while let Some(leaving) = churn.next(now, 3) {
                assert!(leaving.stream < 3 && leaving.back >= now);
                leaves += 1;
            }
        }
        assert_eq!((leaves, churn.wait(900_000_000)), (4, Duration::from_millis(100)));
        churn.begin(0.0, 0);
        assert!(churn.next(u64::MAX, 3).is_none());
    }
}
