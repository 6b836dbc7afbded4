//! What became of the publishes of a script.

use std::io;

use crate::failure::Failure;
use crate::ledger::Published;
use crate::publishers::Outcome;
use crate::report::{Histogram, Report};

/// What became of all publishes.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// What the server has.
    pub(crate) published: Published,
    /// From the intended time of sending to the answer.
    pub(crate) latency: Histogram,
    /// Answers that were no 2xx.
    refused: u64,
    refusal: Option<Failure>,
    /// Why a publish had no answer, which ended publishing.
    broken: Option<io::Error>,
}

impl Results {
    /// Of so many lanes and users.
    pub(crate) fn new(lanes: usize, users: usize) -> Results {
        Results {
            published: Published { lanes: vec![0; lanes], users: vec![0; users] },
            ..Results::default()
        }
    }

    /// Enters an outcome.
    pub(crate) fn enter(
        &mut self,
        count: Count,
        outcome: Outcome,
        latency: Option<u64>,
    ) -> Result<(), Failure> {
        match outcome {
            Outcome::Kept(_) => {
                match count {
                    Count::Lane(lane) => self.published.lanes[lane] += 1,
                    Count::User(user) => self.published.users[user] += 1,
                }
                if let Some(latency) = latency {
                    self.latency.record(latency);
                }
                Ok(())
            }
            Outcome::Refused(failure) => {
                self.refused += 1;
                self.refusal.get_or_insert(failure);
                Ok(())
            }
            // Nobody can say whether the streams have to get it: no more is published.
            Outcome::Unknown(error) => {
                self.broken.get_or_insert(error);
                Ok(())
            }
        }
    }

    /// Whether the server is gone.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Adds another round's: its latencies and numbers, with lanes of its own.
    pub(crate) fn add(&mut self, other: Results) {
        self.published.lanes.extend(other.published.lanes);
        self.published.users.extend(other.published.users);
        self.latency.add(&other.latency);
        self.refused += other.refused;
        self.refusal = self.refusal.take().or(other.refusal);
        self.broken = self.broken.take().or(other.broken);
    }

    /// All that the server has.
    pub(crate) fn kept(&self) -> u64 {
        self.published.deliveries(1)
    }

    /// Whether no publish was refused.
    pub(crate) fn all_kept(&self) -> bool {
        self.refused == 0
    }

    /// Adds the figures of publishing.
    pub(crate) fn tell(&self, report: &mut Report) {
        report.figure("published", self.kept(), "");
        report.figure("publishes_refused", self.refused, "");
        if let Some(refusal) = &self.refusal {
            report.figure("first_refusal", refusal.to_string(), "");
        }
        if let Some(error) = &self.broken {
            report.fail(format!("the server did not answer a publish: {error}"));
        }
        report.times("publish", &self.latency);
        report.require(self.all_kept());
    }
}

/// Which of the counts an order belongs to.
#[derive(Clone, Copy)]
pub(crate) enum Count {
    /// A lane's broadcasts.
    Lane(usize),
    /// A user's own events.
    User(usize),
}
