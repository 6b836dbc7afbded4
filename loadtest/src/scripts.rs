//! What publishers do: at a rate whatever the answers do (open loop), or one after another (closed
//! loop).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::failure::{Failure, While};
use crate::ledger::Published;
use crate::publishers::{Next, Outcome, Script};
use crate::report::{Histogram, Report};
use crate::stamp::{Scope, Stamp};
use crate::target::{Audience, Order};

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
}

impl Results {
    fn new(lanes: usize, users: usize) -> Results {
        Results {
            published: Published { lanes: vec![0; lanes], users: vec![0; users] },
            ..Results::default()
        }
    }

    /// Enters an outcome. Without an answer nobody could say what the streams have
    /// to get, so that ends the run.
    fn enter(
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
            Outcome::Unknown(error) => Err(error).while_("publishing"),
        }
    }

    /// Adds another round's: its latencies and numbers, with lanes of its own.
    pub(crate) fn add(&mut self, other: Results) {
        self.published.lanes.extend(other.published.lanes);
        self.published.users.extend(other.published.users);
        self.latency.add(&other.latency);
        self.refused += other.refused;
        self.refusal = self.refusal.take().or(other.refusal);
    }

    /// All that the server has.
    pub(crate) fn kept(&self) -> u64 {
        self.published.deliveries(1)
    }

    /// Adds the figures of publishing.
    pub(crate) fn tell(&self, report: &mut Report) {
        report.figure("published", self.kept(), "");
        report.figure("publishes_refused", self.refused, "");
        if let Some(refusal) = &self.refusal {
            report.figure("first_refusal", refusal.to_string(), "");
        }
        report.times("publish", &self.latency);
        report.require(self.refused == 0);
    }
}

/// Which of the counts an order belongs to.
#[derive(Clone, Copy)]
enum Count {
    Lane(usize),
    User(usize),
}

/// Events at a rate: each has its time, and its latency counts from then on, however late it can be
/// sent.
///
/// A user's events all go through the same lane. So one follows the other, and their order is
/// known.
pub(crate) struct OpenLoop {
    /// The result so far.
    pub(crate) results: Results,
    start: u64,
    /// Nanoseconds between two events.
    interval: f64,
    /// When it ends; may be brought forward by another thread.
    until: Arc<AtomicU64>,
    begun: u64,
    mix: Mix,
    first_lane: u32,
    random: SmallRng,
}

/// Whom the events of an open loop are for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    /// The share of events that are for everybody.
    pub(crate) broadcasts: f64,
    /// The others are for one of so many users.
    pub(crate) users: usize,
    /// Publisher connections.
    pub(crate) lanes: usize,
}

impl OpenLoop {
    /// `rate` events a second from `start` to `until`, broadcasts numbered from `first_lane` on.
    pub(crate) fn new(
        rate: f64,
        start: u64,
        until: Arc<AtomicU64>,
        mix: Mix,
        first_lane: u32,
    ) -> OpenLoop {
        let results = Results::new(mix.lanes, mix.users);
        let random = SmallRng::seed_from_u64(u64::from(first_lane) + 1);
        OpenLoop { results, start, interval: 1e9 / rate, until, begun: 0, mix, first_lane, random }
    }

    fn order(&mut self, lane: usize, t: u64) -> Order {
        match self.pick_user(lane) {
            Some(user) => {
                let k = self.results.published.users[user];
                let user = user as u32;
                Order {
                    audience: Audience::User(user),
                    stamp: Stamp { scope: Scope::User(user), k, t },
                }
            }
            None => {
                let k = self.results.published.lanes[lane];
                let scope = Scope::Lane(self.first_lane + lane as u32);
                Order { audience: Audience::Everybody, stamp: Stamp { scope, k, t } }
            }
        }
    }

    /// One of the users whose number leaves `lane` as remainder; None for a broadcast.
    fn pick_user(&mut self, lane: usize) -> Option<usize> {
        let users = (self.mix.users + self.mix.lanes - 1 - lane) / self.mix.lanes;
        if users == 0 || self.random.random_bool(self.mix.broadcasts) {
            return None;
        }
        Some(lane + self.mix.lanes * self.random.random_range(0..users))
    }
}

impl Script for OpenLoop {
    fn next(&mut self, lane: usize, now: u64) -> Next {
        let due = self.start + (self.begun as f64 * self.interval) as u64;
        if due >= self.until.load(Ordering::Relaxed) {
            return Next::Done;
        }
        if due > now {
            return Next::At(due);
        }
        self.begun += 1;
        Next::Publish(self.order(lane, due))
    }

    fn ended(
        &mut self,
        lane: usize,
        order: Order,
        outcome: Outcome,
        now: u64,
    ) -> Result<(), Failure> {
        let count = match order.audience {
            Audience::Everybody => Count::Lane(lane),
            Audience::User(user) => Count::User(user as usize),
        };
        self.results.enter(count, outcome, Some(now.saturating_sub(order.stamp.t)))
    }
}

/// Broadcasts, each sent when the one before is answered.
pub(crate) struct ClosedLoop {
    /// The result so far, the warm-up not counted in its latencies.
    pub(crate) results: Results,
    /// Answers within the measured time.
    pub(crate) answered: u64,
    from: u64,
    until: u64,
}

impl ClosedLoop {
    /// Publishes now, measures from `from`, ends at `until`.
    pub(crate) fn new(lanes: usize, from: u64, until: u64) -> ClosedLoop {
        ClosedLoop { results: Results::new(lanes, 0), answered: 0, from, until }
    }
}

impl Script for ClosedLoop {
    fn next(&mut self, lane: usize, now: u64) -> Next {
        if now >= self.until {
            return Next::Done;
        }
        let k = self.results.published.lanes[lane];
        let stamp = Stamp { scope: Scope::Lane(lane as u32), k, t: now };
        Next::Publish(Order { audience: Audience::Everybody, stamp })
    }

    fn ended(
        &mut self,
        lane: usize,
        order: Order,
        outcome: Outcome,
        now: u64,
    ) -> Result<(), Failure> {
        let measured = order.stamp.t >= self.from && now < self.until;
        self.answered += u64::from(measured && matches!(outcome, Outcome::Kept(_)));
        self.results.enter(Count::Lane(lane), outcome, measured.then(|| now - order.stamp.t))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Receipt;

    fn kept() -> Outcome {
        Outcome::Kept(Receipt { id: None })
    }

    fn mix(broadcasts: f64) -> OpenLoop {
        OpenLoop::new(
            1000.0,
            5,
            Arc::new(AtomicU64::new(3_000_005)),
            Mix { broadcasts, users: 5, lanes: 2 },
            7,
        )
    }

    #[test]
    fn an_open_loop_keeps_its_times() {
        let mut script = mix(1.0);
        assert_eq!(script.next(0, 4), Next::At(5));
        for (lane, k, t) in [(0, 0, 5), (1, 0, 1_000_005), (0, 1, 2_000_005)] {
            let Next::Publish(order) = script.next(lane, u64::MAX) else {
                panic!("late, so due at once")
            };
            assert_eq!(order.stamp, Stamp { scope: Scope::Lane(7 + lane as u32), k, t });
            script.ended(lane, order, kept(), t + 9).unwrap();
        }
        assert_eq!(script.next(0, u64::MAX), Next::Done);
        assert_eq!(script.results.published, Published { lanes: vec![2, 1], users: vec![0; 5] });
    }

    #[test]
    fn a_lane_has_its_users() {
        let mut script = mix(0.0);
        for lane in [0, 1] {
            let Next::Publish(Order { audience: Audience::User(user), .. }) =
                script.next(lane, u64::MAX)
            else {
                panic!()
            };
            assert!(user < 5 && user as usize % 2 == lane);
        }
    }
}
