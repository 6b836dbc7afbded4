//! One rate, kept for each of many.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::{Exceeded, Period, Policy, Rate};

type Buckets<K, C> = RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// A rate with a bucket for each address or user.
pub(super) struct Limit<K: Hash + Eq + Clone, C: Clock> {
    policy: Policy,
    rate: Rate,
    buckets: Buckets<K, C>,
    clock: C,
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Limit<K, C> {
    pub(super) fn new(policy: Policy, rate: Rate, clock: &C) -> Limit<K, C> {
        let quota = match rate.period {
            Period::Second => Quota::per_second(rate.count),
            Period::Minute => Quota::per_minute(rate.count),
            Period::Hour => Quota::per_hour(rate.count),
        };
        let buckets = RateLimiter::hashmap_with_clock(quota, clock.clone());
        Limit { policy, rate, buckets, clock: clock.clone() }
    }

    /// Takes so many at once, or none.
    pub(super) fn take(&self, key: &K, count: usize) -> Result<(), Exceeded> {
        if count == 0 {
            return Ok(());
        }
        // More than the bucket holds never fits; a whole period is the most that there is to wait.
        let never = || self.exceeded(self.rate.period.duration());
        let count = u32::try_from(count).ok().and_then(NonZeroU32::new);
        let count = count.filter(|count| *count <= self.rate.count).ok_or_else(never)?;
        let taken = self.buckets.check_key_n(key, count).map_err(|_| never())?;
        taken.map_err(|not_until| self.exceeded(not_until.wait_time_from(self.clock.now())))
    }

    /// The refusal of one who has to wait so long.
    pub(super) fn exceeded(&self, retry_after: Duration) -> Exceeded {
        Exceeded { policy: self.policy, rate: self.rate, retry_after }
    }

    /// Forgets full buckets.
    pub(super) fn tidy(&self) {
        self.buckets.retain_recent();
        self.buckets.shrink_to_fit();
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.buckets.len()
    }
}
