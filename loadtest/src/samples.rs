//! What the monitor saw over a run, in bounded memory for runs of hours: once there are too many
//! samples, every second one goes, and of those to come too.

use crate::gauge::Usage;

/// No more samples than this.
const MOST: usize = 2_000;

/// One look at a run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Seconds since the run's start.
    pub(crate) at: f64,
    /// Streams that are open.
    pub(crate) live: usize,
    /// Deliveries so far, over all fleets of the run.
    pub(crate) deliveries: u64,
    /// The server, if it can be measured.
    pub(crate) server: Option<Usage>,
    /// What stands between the server and its clients, if anything.
    pub(crate) proxy: Option<Usage>,
}

/// The samples that are kept.
#[derive(Debug)]
pub(crate) struct Samples {
    kept: Vec<Sample>,
    /// One in so many is kept.
    one_in: u64,
    seen: u64,
    last: Option<Sample>,
}

impl Samples {
    /// None yet.
    pub(crate) fn new() -> Samples {
        Samples { kept: Vec::new(), one_in: 1, seen: 0, last: None }
    }

    /// Adds one.
    pub(crate) fn push(&mut self, sample: Sample) {
        if self.seen.is_multiple_of(self.one_in) {
            if self.kept.len() == MOST {
                self.thin_out();
            }
            self.kept.push(sample);
            self.last = None;
        } else {
            self.last = Some(sample);
        }
        self.seen += 1;
    }

    /// All that were kept, and the last one in any case.
    pub(crate) fn all(mut self) -> Vec<Sample> {
        self.kept.extend(self.last);
        self.kept
    }

    /// An even number of samples is full, so that the next one is in the thinner grid too.
    fn thin_out(&mut self) {
        let mut even = false;
        self.kept.retain(|_| {
            even = !even;
            even
        });
        self.one_in *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_samples_stay_evenly_spread_and_the_last_one_is_there() {
        let mut samples = Samples::new();
        for number in 0..50_002_u32 {
            samples.push(Sample {
                at: f64::from(number),
                live: 0,
                deliveries: 0,
                server: None,
                proxy: None,
            });
        }
        let all = samples.all();
        assert!((MOST / 2..=MOST + 1).contains(&all.len()), "{}", all.len());
        let (last, grid) = all.split_last().unwrap();
        assert_eq!(last.at, 50_001.0);
        assert!(grid.windows(2).all(|pair| pair[1].at - pair[0].at == 32.0));
    }
}
