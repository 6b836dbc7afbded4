//! The books of one engine thread: what each stream must get next, what came instead, and when.

use std::ops::Range;

use crate::report::Histogram;
use crate::stamp::{Scope, Stamp};
use crate::timeline::Timeline;

/// A count beyond this is not ours: it would only make the books grow without end.
const MOST_EVENTS: u32 = 50_000_000;

/// How often each scope was published to; what every stream is measured against at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Published {
    /// Broadcasts by lane, from the first lane on.
    pub(crate) lanes: Vec<u32>,
    /// Events by user; missing ones had none.
    pub(crate) users: Vec<u32>,
}

impl Published {
    /// All deliveries that `streams` streams of different users owe.
    pub(crate) fn deliveries(&self, streams: usize) -> u64 {
        let sum = |counts: &[u32]| counts.iter().map(|&count| u64::from(count)).sum::<u64>();
        sum(&self.lanes) * streams as u64 + sum(&self.users)
    }
}

/// A stream that an event came on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Receiver {
    /// Its number within its thread.
    pub(crate) stream: usize,
    /// What was sent before this time was replayed to it: that says nothing about latency.
    pub(crate) live_since: u64,
    /// It reads slowly on purpose: neither does that.
    pub(crate) slow: bool,
}

/// One broadcast's way to the streams.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival {
    /// The intended time of sending.
    pub(crate) sent: u64,
    /// When the last of the streams that were live and have it got it.
    pub(crate) last: u64,
    /// How many have it.
    pub(crate) streams: u32,
}

/// What was counted, to be added up over threads.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Events that came for the first time.
    pub(crate) deliveries: u64,
    /// Events that never came.
    pub(crate) lost: u64,
    /// Events that came again, or after a later one.
    pub(crate) repeated: u64,
    /// Ids that did not move forward.
    pub(crate) disordered: u64,
    /// Events for somebody else, or without a stamp of this run.
    pub(crate) foreign: u64,
    /// `gap` events: the server admits a loss.
    pub(crate) gaps: u64,
    /// Heartbeats of either kind.
    pub(crate) heartbeats: u64,
    /// Streams that the server ended.
    pub(crate) ended: u64,
    /// Slow streams that the server ended, as it may; they came back with their cursors.
    pub(crate) shed: u64,
    /// Streams that broke and came back, in a fleet that does so.
    pub(crate) returned: u64,
    /// Streams that left on their own and came back.
    pub(crate) churned: u64,
    /// Events that were replayed after a return; they are among the deliveries.
    pub(crate) replayed: u64,
    /// Latency of events for one user.
    pub(crate) unicast: Histogram,
    /// From the start of a connection to `connected`, in the last wave.
    pub(crate) openings: Histogram,
    /// Broadcasts by lane and number.
    pub(crate) arrivals: Vec<Vec<Arrival>>,
    /// Every delivery's latency by time, if a page is wanted.
    pub(crate) timeline: Option<Timeline>,
}

impl Tally {
    /// Adds another thread's.
    pub(crate) fn add(&mut self, other: Tally) {
        self.deliveries += other.deliveries;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.disordered += other.disordered;
        self.foreign += other.foreign;
        self.gaps += other.gaps;
        self.heartbeats += other.heartbeats;
        self.ended += other.ended;
        self.shed += other.shed;
        self.returned += other.returned;
        self.churned += other.churned;
        self.replayed += other.replayed;
        self.unicast.add(&other.unicast);
        self.openings.add(&other.openings);
        self.arrivals.resize(self.arrivals.len().max(other.arrivals.len()), Vec::new());
        for (mine, theirs) in self.arrivals.iter_mut().zip(other.arrivals) {
            add_arrivals(mine, &theirs);
        }
        match (&mut self.timeline, other.timeline) {
            (Some(mine), Some(theirs)) => mine.add(&theirs),
            (mine, theirs) => *mine = mine.take().or(theirs),
        }
    }

    /// Broadcasts that were sent at `since` or later, by the latency to the last of their `streams`
    /// receivers.
    pub(crate) fn to_last_receiver(&self, streams: usize, since: u64) -> Histogram {
        let mut histogram = Histogram::default();
        for arrival in self.arrivals.iter().flatten() {
            let complete = arrival.streams as usize == streams && arrival.last > 0;
            if complete && arrival.sent >= since {
                histogram.record(arrival.last.saturating_sub(arrival.sent));
            }
        }
        histogram
    }

    /// When the last delivery of a broadcast came.
    pub(crate) fn last_arrival(&self) -> Option<u64> {
        self.arrivals.iter().flatten().map(|arrival| arrival.last).max()
    }

    /// Whether anything went wrong.
    pub(crate) fn faulty(&self) -> bool {
        self.lost + self.repeated + self.disordered + self.foreign + self.gaps + self.ended > 0
    }
}

fn add_arrivals(mine: &mut Vec<Arrival>, theirs: &[Arrival]) {
    mine.resize(mine.len().max(theirs.len()), Arrival::default());
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        mine.sent = mine.sent.max(theirs.sent);
        mine.last = mine.last.max(theirs.last);
        mine.streams += theirs.streams;
    }
}

/// The books of the streams `users`, one stream each.
pub(crate) struct Ledger {
    users: Range<u32>,
    lanes: Range<u32>,
    /// The next number of each lane, stream by stream.
    next_of_lane: Vec<u32>,
    /// The next number of each stream's own user.
    next_of_user: Vec<u32>,
    /// Of so many broadcasts the way of one is kept, so that a run of hours fits into memory.
    keep_every: u32,
    /// What was counted so far.
    pub(crate) tally: Tally,
}

impl Ledger {
    /// Empty books. All streams must be open before the first event of `lanes` is published.
    pub(crate) fn new(
        users: Range<u32>,
        lanes: Range<u32>,
        keep_every: u32,
        timeline: Option<Timeline>,
    ) -> Ledger {
        let arrivals = vec![Vec::new(); lanes.len()];
        let tally = Tally { arrivals, timeline, ..Tally::default() };
        Ledger {
            next_of_lane: vec![0; users.len() * lanes.len()],
            next_of_user: vec![0; users.len()],
            users,
            lanes,
            keep_every: keep_every.max(1),
            tally,
        }
    }

    /// Enters an event that `receiver` got. True when it is a new one.
    #[inline]
    pub(crate) fn receive(&mut self, receiver: &Receiver, stamp: Option<Stamp>, now: u64) -> bool {
        let stream = receiver.stream;
        let Some((stamp, next)) = stamp.and_then(|stamp| Some((stamp, self.next(stream, &stamp)?)))
        else {
            self.tally.foreign += 1;
            return false;
        };
        if stamp.k < *next {
            self.tally.repeated += 1;
            return false;
        }
        let skipped = u64::from(stamp.k - *next);
        *next = stamp.k + 1;
        self.tally.lost += skipped;
        self.tally.deliveries += 1;
        let replayed = stamp.t < receiver.live_since;
        self.tally.replayed += u64::from(replayed);
        let counts = !replayed && !receiver.slow;
        if let Some(timeline) = self.tally.timeline.as_mut().filter(|_| counts) {
            timeline.record(now, now.saturating_sub(stamp.t));
        }
        self.arrive(stamp, now, counts);
        true
    }

    #[inline]
    fn next(&mut self, stream: usize, stamp: &Stamp) -> Option<&mut u32> {
        if stamp.k >= MOST_EVENTS {
            return None;
        }
        match stamp.scope {
            Scope::Lane(lane) if self.lanes.contains(&lane) => self
                .next_of_lane
                .get_mut(stream * self.lanes.len() + (lane - self.lanes.start) as usize),
            Scope::User(user) if user == self.users.start + stream as u32 => {
                self.next_of_user.get_mut(stream)
            }
            _ => None,
        }
    }

    #[inline]
    fn arrive(&mut self, stamp: Stamp, now: u64, counts: bool) {
        let Scope::Lane(lane) = stamp.scope else {
            if counts {
                self.tally.unicast.record(now.saturating_sub(stamp.t));
            }
            return;
        };
        if !stamp.k.is_multiple_of(self.keep_every) {
            return;
        }
        let arrivals = &mut self.tally.arrivals[(lane - self.lanes.start) as usize];
        let at = (stamp.k / self.keep_every) as usize;
        if at >= arrivals.len() {
            arrivals.resize(at + 1, Arrival::default());
        }
        let arrival = &mut arrivals[at];
        arrival.sent = stamp.t;
        arrival.streams += 1;
        if counts {
            arrival.last = arrival.last.max(now);
        }
    }

    /// Closes the books: what was published and did not come is lost.
    pub(crate) fn settle(mut self, published: &Published) -> Tally {
        for next in self.next_of_lane.chunks_exact(self.lanes.len().max(1)) {
            let missing = published
                .lanes
                .iter()
                .zip(next)
                .map(|(&count, &next)| u64::from(count.saturating_sub(next)));
            self.tally.lost += missing.sum::<u64>();
        }
        for (user, &next) in self.users.clone().zip(&self.next_of_user) {
            let count = published.users.get(user as usize).copied().unwrap_or(0);
            self.tally.lost += u64::from(count.saturating_sub(next));
        }
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(stream: usize) -> Receiver {
        Receiver { stream, ..Receiver::default() }
    }

    fn lane(lane: u32, k: u32) -> Option<Stamp> {
        Some(Stamp { scope: Scope::Lane(lane), k, t: 5 })
    }

    fn user(user: u32, k: u32) -> Option<Stamp> {
        Some(Stamp { scope: Scope::User(user), k, t: 5 })
    }

    #[test]
    fn books_balance() {
        let mut ledger = Ledger::new(10..12, 3..5, 1, None);
        for (stream, stamp) in [(0, lane(3, 0)), (0, lane(4, 0)), (1, lane(3, 0)), (1, user(11, 0))]
        {
            assert!(ledger.receive(&at(stream), stamp, 9));
        }
        let published = Published { lanes: vec![1, 2], users: [vec![0; 11], vec![1]].concat() };
        assert_eq!(published.deliveries(2), 7);
        let tally = ledger.settle(&published);
        assert_eq!(
            (tally.deliveries, tally.lost, tally.foreign, tally.repeated),
            (4, 3, 0, 0),
            "lane 4: one and two missing"
        );
        assert_eq!(tally.to_last_receiver(2, 0).len(), 1, "only lane 3's is complete");
        assert_eq!((tally.to_last_receiver(2, 6).len(), tally.last_arrival()), (0, Some(9)));
    }

    #[test]
    fn holes_repetitions_and_strangers_are_counted() {
        let mut ledger = Ledger::new(0..1, 0..1, 1, None);
        for (stamp, new) in [
            (lane(0, 2), true),
            (lane(0, 2), false),
            (lane(0, 1), false),
            (lane(1, 0), false),
            (user(1, 0), false),
            (None, false),
        ] {
            assert_eq!(ledger.receive(&at(0), stamp, 9), new);
        }
        let tally = ledger.settle(&Published::default());
        assert_eq!((tally.lost, tally.repeated, tally.foreign), (2, 2, 3));
        assert!(tally.faulty());
    }

    #[test]
    fn replays_and_slow_streams_say_nothing_about_latency() {
        let mut ledger = Ledger::new(0..2, 0..1, 2, None);
        let late = Receiver { stream: 1, live_since: 6, slow: false };
        let slow = Receiver { stream: 1, live_since: 0, slow: true };
        for (receiver, k) in [(&at(0), 0), (&late, 0), (&at(0), 1), (&slow, 1), (&at(0), 2)] {
            assert!(ledger.receive(receiver, lane(0, k), 9));
        }
        ledger.receive(&late, user(1, 0), 9);
        let tally = ledger.settle(&Published { lanes: vec![3], users: vec![0, 1] });
        assert_eq!((tally.deliveries, tally.replayed, tally.lost), (6, 2, 1));
        assert_eq!((tally.unicast.len(), tally.arrivals[0].len()), (0, 2), "every other one");
        assert_eq!(tally.to_last_receiver(2, 0).len(), 1);
    }
}
