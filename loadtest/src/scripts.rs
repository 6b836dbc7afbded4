//! What publishers do: at a rate whatever the answers do (open loop), one after another (closed
//! loop), or as fast as it arrives (windowed).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::board::Board;
use crate::clock;
use crate::failure::Failure;
use crate::publishers::{Next, Outcome, Script};
use crate::results::{Count, Results};
use crate::stamp::{Scope, Stamp};
use crate::target::{Audience, Order};

/// How soon a full window is looked at again, in nanoseconds.
const LOOK_AGAIN: u64 = 100_000;

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
    burst: Option<Burst>,
    /// Events of bursts so far.
    burst_begun: u64,
    mix: Mix,
    first_lane: u32,
    random: SmallRng,
}

/// Broadcasts that come all at once now and then, on top of the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst {
    /// Time from one burst to the next; the first comes after it.
    pub(crate) every: Duration,
    /// Broadcasts of one burst.
    pub(crate) count: u64,
    /// How fast they come, a second.
    pub(crate) rate: f64,
}

impl Burst {
    /// When broadcast number `number` of all bursts is due, after the start.
    fn due(&self, number: u64) -> u64 {
        let (burst, within) = (number / self.count, number % self.count);
        let after = Duration::from_secs_f64(within as f64 / self.rate);
        clock::nanos(self.every) * (burst + 1) + clock::nanos(after)
    }
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
        let interval = 1e9 / rate;
        let (burst, burst_begun) = (None, 0);
        OpenLoop {
            results,
            start,
            interval,
            until,
            begun: 0,
            burst,
            burst_begun,
            mix,
            first_lane,
            random,
        }
    }

    /// With bursts.
    pub(crate) fn with(mut self, burst: Option<Burst>) -> OpenLoop {
        self.burst = burst;
        self
    }

    fn broadcast(&self, lane: usize, t: u64) -> Order {
        let k = self.results.published.lanes[lane];
        let scope = Scope::Lane(self.first_lane + lane as u32);
        Order { audience: Audience::Everybody, stamp: Stamp { scope, k, t } }
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
            None => self.broadcast(lane, t),
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
        let steady = self.start + (self.begun as f64 * self.interval) as u64;
        let burst = self.burst.map_or(u64::MAX, |burst| self.start + burst.due(self.burst_begun));
        let due = steady.min(burst);
        if due >= self.until.load(Ordering::Relaxed) || self.results.is_broken() {
            return Next::Done;
        }
        if due > now {
            return Next::At(due);
        }
        if burst < steady {
            self.burst_begun += 1;
            return Next::Publish(self.broadcast(lane, due));
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
        if now >= self.until || self.results.is_broken() {
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

/// Broadcasts as fast as they arrive: no more than a window of them is under way, from the publish
/// to the last receiver.
pub(crate) struct Windowed {
    /// The result so far.
    pub(crate) results: Results,
    board: Arc<Board>,
    streams: u64,
    window: u64,
    begun: u64,
    first_lane: u32,
    until: u64,
}

impl Windowed {
    /// For a fleet of `streams` whose counts are on `board`, broadcasts numbered from `first_lane`
    /// on, until the time `until`.
    pub(crate) fn new(
        board: &Arc<Board>,
        streams: usize,
        window: usize,
        lanes: usize,
        first_lane: u32,
        until: u64,
    ) -> Windowed {
        Windowed {
            results: Results::new(lanes, 0),
            board: board.clone(),
            streams: streams as u64,
            window: window as u64,
            begun: 0,
            first_lane,
            until,
        }
    }
}

impl Script for Windowed {
    fn next(&mut self, lane: usize, now: u64) -> Next {
        if now >= self.until || self.results.is_broken() {
            return Next::Done;
        }
        if self.begun >= self.board.deliveries() / self.streams + self.window {
            return Next::At(now + LOOK_AGAIN);
        }
        self.begun += 1;
        let k = self.results.published.lanes[lane];
        let scope = Scope::Lane(self.first_lane + lane as u32);
        Next::Publish(Order { audience: Audience::Everybody, stamp: Stamp { scope, k, t: now } })
    }

    fn ended(
        &mut self,
        lane: usize,
        order: Order,
        outcome: Outcome,
        now: u64,
    ) -> Result<(), Failure> {
        self.results.enter(Count::Lane(lane), outcome, Some(now.saturating_sub(order.stamp.t)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Turn;
    use crate::ledger::Published;
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

    #[test]
    fn bursts_come_on_top() {
        let burst = Burst { every: Duration::from_millis(2), count: 2, rate: 1e6 };
        let until = Arc::new(AtomicU64::new(5_000_000));
        let nobody = Mix { broadcasts: 1.0, users: 0, lanes: 1 };
        let mut script = OpenLoop::new(1000.0, 0, until, nobody, 0).with(Some(burst));
        let mut times = Vec::new();
        while let Next::Publish(order) = script.next(0, u64::MAX) {
            times.push(order.stamp.t / 1_000);
            script.ended(0, order, kept(), u64::MAX).unwrap();
        }
        assert_eq!(times, [0, 1_000, 2_000, 2_000, 2_001, 3_000, 4_000, 4_000, 4_001]);
    }

    #[test]
    fn a_window_is_never_exceeded() {
        let board = Arc::new(Board::new());
        let mut script = Windowed::new(&board, 3, 2, 1, 0, 100);
        assert!(matches!(script.next(0, 1), Next::Publish(_)));
        assert!(matches!(script.next(0, 1), Next::Publish(_)));
        assert_eq!(script.next(0, 1), Next::At(1 + LOOK_AGAIN));
        board.add(Turn { deliveries: 3, ..Turn::default() });
        assert!(matches!(script.next(0, 1), Next::Publish(_)), "one has reached all three");
        assert_eq!(script.next(0, 100), Next::Done);
    }
}
