//! A hashed timer wheel: one timer for each connection, at 12 bytes each and no allocation of its own.
//!
//! Deadlines that move later (each event pushes the next heartbeat away) touch nothing here: the
//! wheel wakes the connection at the old time, and the connection then says when it is really due.

/// Time in steps of [`TICK_MILLISECONDS`] since the reactor started; 13 years fit.
pub type Tick = u32;

/// The wheel's resolution. A heartbeat may be this much late; a finer wheel only wakes more often.
pub const TICK_MILLISECONDS: u64 = 100;

/// About 100 s go round once, so that heartbeats (30 s) and lag (60 s) are met in their own round.
/// What is due later is passed over once a round.
const BUCKETS: usize = 1024;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Timer {
    /// 0 while it is not armed: the wheel is always past that.
    at: Tick,
    next: u32,
    previous: u32,
}

const UNARMED: Timer = Timer { at: 0, next: NONE, previous: NONE };

impl Timer {
    fn is_armed(&self) -> bool {
        self.at > 0
    }
}

/// Timers by slot number.
pub struct Wheel {
    /// The last tick whose bucket was emptied.
    now: Tick,
    /// The first slot of each bucket's list.
    buckets: Box<[u32; BUCKETS]>,
    timers: Vec<Timer>,
    armed: usize,
}

impl Wheel {
    /// A wheel that stands at `now`.
    pub fn new(now: Tick) -> Wheel {
        Wheel { now, buckets: Box::new([NONE; BUCKETS]), timers: Vec::new(), armed: 0 }
    }

    /// Sets room aside for so many slots.
    pub fn reserve(&mut self, slots: usize) {
        self.timers.reserve(slots);
    }

    /// Wakes a slot at `at`, unless it is woken earlier anyway. The past is the next tick.
    pub fn arm(&mut self, slot: u32, at: Tick) {
        let at = at.max(self.now + 1);
        if slot as usize >= self.timers.len() {
            self.timers.resize(slot as usize + 1, UNARMED);
        }
        let timer = self.timers[slot as usize];
        if timer.is_armed() && timer.at <= at {
            return;
        }
        self.disarm(slot);
        self.link(slot, at);
    }

    /// Forgets a slot's timer.
    pub fn disarm(&mut self, slot: u32) {
        let Some(timer) = self.timers.get(slot as usize).copied().filter(Timer::is_armed) else {
            return;
        };
        match timer.previous {
            NONE => self.buckets[bucket(timer.at)] = timer.next,
            previous => self.timers[previous as usize].next = timer.next,
        }
        if timer.next != NONE {
            self.timers[timer.next as usize].previous = timer.previous;
        }
        self.timers[slot as usize] = UNARMED;
        self.armed -= 1;
    }

    fn link(&mut self, slot: u32, at: Tick) {
        let next = std::mem::replace(&mut self.buckets[bucket(at)], slot);
        if next != NONE {
            self.timers[next as usize].previous = slot;
        }
        self.timers[slot as usize] = Timer { at, next, previous: NONE };
        self.armed += 1;
    }

    /// Moves on to `now` and takes out every slot that is due.
    pub fn advance(&mut self, now: Tick, due: &mut Vec<u32>) {
        // After a long stop one round sees every bucket.
        let first = (self.now + 1).max(now.saturating_sub(BUCKETS as u32 - 1));
        for tick in first..=now {
            let mut slot = self.buckets[bucket(tick)];
            while slot != NONE {
                let Timer { at, next, .. } = self.timers[slot as usize];
                if at <= now {
                    self.disarm(slot);
                    due.push(slot);
                }
                slot = next;
            }
        }
        self.now = self.now.max(now);
    }

    /// The tick at which to call [`Wheel::advance`] again; nothing is due before it.
    pub fn next_visit(&self) -> Option<Tick> {
        if self.armed == 0 {
            return None;
        }
        let ahead = 1..=BUCKETS as u32;
        ahead.map(|ahead| self.now + ahead).find(|tick| self.buckets[bucket(*tick)] != NONE)
    }
}

fn bucket(tick: Tick) -> usize {
    tick as usize % BUCKETS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn due(wheel: &mut Wheel, now: Tick) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.advance(now, &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn a_slot_is_due_at_its_tick_and_once() {
        let mut wheel = Wheel::new(0);
        wheel.arm(3, 300);
        wheel.arm(4, 300);
        assert_eq!(wheel.next_visit(), Some(300));
        assert!(due(&mut wheel, 299).is_empty());
        assert_eq!(due(&mut wheel, 300), [3, 4]);
        assert!(due(&mut wheel, 9_000).is_empty());
        assert_eq!(wheel.next_visit(), None);
    }

    #[test]
    fn an_earlier_time_wins_and_a_later_one_is_left_to_the_owner() {
        let mut wheel = Wheel::new(0);
        wheel.arm(1, 50);
        wheel.arm(1, 20);
        wheel.arm(1, 90);
        assert_eq!(due(&mut wheel, 20), [1]);
        assert!(due(&mut wheel, 100).is_empty());
    }

    #[test]
    fn the_past_is_the_next_tick() {
        let mut wheel = Wheel::new(100);
        wheel.arm(1, 3);
        assert_eq!(due(&mut wheel, 101), [1]);
    }

    #[test]
    fn a_long_stop_skips_nothing() {
        let mut wheel = Wheel::new(0);
        (0..5_000).for_each(|slot| wheel.arm(slot, slot + 1));
        assert_eq!(due(&mut wheel, 5_000).len(), 5_000);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_list(
            steps in proptest::collection::vec((0_u32..40, 1_u32..3_000, any::<bool>()), 1..200),
        ) {
            let mut wheel = Wheel::new(0);
            let mut list: std::collections::BTreeMap<u32, Tick> = Default::default();
            let mut now = 0;
            for (slot, ahead, disarm) in steps {
                if disarm {
                    wheel.disarm(slot);
                    list.remove(&slot);
                } else {
                    wheel.arm(slot, now + ahead);
                    list.entry(slot).and_modify(|at| *at = (*at).min(now + ahead)).or_insert(now + ahead);
                }
                now += ahead / 7;
                let expected: Vec<u32> =
                    list.iter().filter(|(_, at)| **at <= now).map(|(slot, _)| *slot).collect();
                list.retain(|_, at| *at > now);
                prop_assert_eq!(due(&mut wheel, now), expected);
                let first = list.values().min().copied();
                prop_assert!(wheel.next_visit() <= first || first.is_none());
                prop_assert_eq!(wheel.next_visit().is_some(), first.is_some());
            }
        }
    }
}
