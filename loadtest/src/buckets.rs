//! Latencies counted in buckets of about 1.6 % of their value: small enough to have hundreds of
//! them, and entering a latency costs a shift and two additions.

/// Each power of two is split into 64 buckets.
const SPLIT_BITS: u32 = 6;

/// A longer latency counts as this one: 100 s, in microseconds.
const LONGEST: u64 = 100_000_000;

/// 5.5 KB of counters.
const BUCKETS: usize = bucket(LONGEST) + 1;

/// Latencies in microseconds.
#[derive(Debug)]
pub(crate) struct Buckets {
    /// The counters stop at their highest value.
    counts: [u32; BUCKETS],
    count: u64,
    longest: u64,
}

impl Default for Buckets {
    fn default() -> Buckets {
        Buckets { counts: [0; BUCKETS], count: 0, longest: 0 }
    }
}

impl Buckets {
    /// Enters a latency.
    #[inline]
    pub(crate) fn record(&mut self, micros: u64) {
        let micros = micros.min(LONGEST);
        let count = &mut self.counts[bucket(micros)];
        *count = count.saturating_add(1);
        self.count += 1;
        self.longest = self.longest.max(micros);
    }

    /// Adds another's.
    pub(crate) fn add(&mut self, other: &Buckets) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }

    /// How many latencies were entered.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The latency that so many thousandths of all do not exceed; the longest one is exact up to
    /// [`LONGEST`].
    pub(crate) fn percentile(&self, thousandths: u64) -> u64 {
        let rank = (self.count * thousandths).div_ceil(1000).max(1);
        let mut seen = 0;
        let reached = self.counts.iter().position(|&count| {
            seen += u64::from(count);
            seen >= rank
        });
        reached.map_or(self.longest, |bucket| highest(bucket).min(self.longest))
    }
}

/// Below 128 each number has its own bucket, from there on each power of two has 64.
const fn bucket(micros: u64) -> usize {
    let octave = (micros | 1 << SPLIT_BITS).ilog2() - SPLIT_BITS;
    ((octave as usize) << SPLIT_BITS) + (micros >> octave) as usize
}

/// The highest number in a bucket.
const fn highest(bucket: usize) -> u64 {
    let octave = (bucket >> SPLIT_BITS).saturating_sub(1);
    let first = bucket - (octave << SPLIT_BITS);
    ((first as u64 + 1) << octave) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_one_bucket_and_close_to_its_end() {
        let mut before = 0;
        for micros in (0..70_000).chain((70_000..=LONGEST).step_by(997)) {
            let bucket = bucket(micros);
            assert!(bucket >= before && bucket < BUCKETS, "{micros}");
            let highest = highest(bucket);
            assert!(highest >= micros && (highest - micros) * 64 <= micros, "{micros}: {highest}");
            before = bucket;
        }
    }

    #[test]
    fn percentiles_are_within_two_percent() {
        let mut buckets = Buckets::default();
        (1..=10_000).for_each(|k| buckets.record(k * 37));
        for (thousandths, exact) in [(500, 185_000.0), (990, 366_300.0), (999, 369_630.0)] {
            let value = buckets.percentile(thousandths) as f64;
            assert!(value >= exact && value <= exact * 1.02, "{thousandths}: {value}");
        }
        assert_eq!(buckets.percentile(1000), 370_000);
    }

    #[test]
    fn no_latency_is_too_long() {
        let mut buckets = Buckets::default();
        buckets.record(u64::MAX);
        let mut both = Buckets::default();
        both.record(3);
        both.add(&buckets);
        assert_eq!((both.count(), both.percentile(500), both.percentile(999)), (2, 3, LONGEST));
    }
}
