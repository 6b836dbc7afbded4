//! Which connections of a shard listen to a topic.

use roaring::RoaringBitmap;
use slab::Slab;

use crate::topic::TopicId;

/// The slots of one topic, in 4 bytes. Nearly every topic is one user's and has one connection; the
/// few that everyone listens to need an insert and a remove that do not walk through ten thousand
/// entries.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Listeners(u32);

/// What [`Listeners`] stands for.
enum Who {
    Nobody,
    One(u32),
    /// The number of a set.
    Many(usize),
}

const NOBODY: Listeners = Listeners(u32::MAX);
const MANY: u32 = 1 << 31;

impl Listeners {
    fn one(slot: u32) -> Listeners {
        debug_assert!(slot < MANY, "more slots than there can be sockets");
        Listeners(slot)
    }

    fn many(set: usize) -> Listeners {
        Listeners(set as u32 | MANY)
    }

    fn who(self) -> Who {
        match self {
            NOBODY => Who::Nobody,
            Listeners(slot) if slot < MANY => Who::One(slot),
            Listeners(set) => Who::Many((set & !MANY) as usize),
        }
    }
}

/// Listeners by topic number.
#[derive(Default)]
pub(super) struct Index {
    topics: Vec<Listeners>,
    sets: Slab<RoaringBitmap>,
}

impl Index {
    /// Sets room aside for so many topics.
    pub(super) fn reserve(&mut self, topics: usize) {
        self.topics.reserve(topics);
    }

    /// Adds a slot to a topic.
    pub(super) fn insert(&mut self, topic: TopicId, slot: u32) {
        let topic = topic as usize;
        if topic >= self.topics.len() {
            self.topics.resize(topic + 1, NOBODY);
        }
        match self.topics[topic].who() {
            Who::Nobody => self.topics[topic] = Listeners::one(slot),
            Who::One(first) => {
                let set = self.sets.insert(RoaringBitmap::from_iter([first, slot]));
                self.topics[topic] = Listeners::many(set);
            }
            Who::Many(set) => {
                self.sets[set].insert(slot);
            }
        }
    }

    /// Takes a slot out of a topic.
    pub(super) fn remove(&mut self, topic: TopicId, slot: u32) {
        let Some(listeners) = self.topics.get_mut(topic as usize) else { return };
        match listeners.who() {
            Who::One(only) if only == slot => *listeners = NOBODY,
            Who::Nobody | Who::One(_) => {}
            Who::Many(set) => {
                self.sets[set].remove(slot);
                if self.sets[set].is_empty() {
                    self.sets.remove(set);
                    *listeners = NOBODY;
                }
            }
        }
    }

    /// Visits the slots of a topic in rising order.
    pub(super) fn each(&self, topic: TopicId, mut visit: impl FnMut(u32)) {
        match self.topics.get(topic as usize).map_or(Who::Nobody, |listeners| listeners.who()) {
            Who::Nobody => {}
            Who::One(slot) => visit(slot),
            Who::Many(set) => self.sets[set].iter().for_each(visit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(index: &Index, topic: TopicId) -> Vec<u32> {
        let mut slots = Vec::new();
        index.each(topic, |slot| slots.push(slot));
        slots
    }

    #[test]
    fn slots_come_and_go() {
        let mut index = Index::default();
        assert!(slots(&index, 7).is_empty());
        for slot in [5, 1, 9, 5] {
            index.insert(7, slot);
        }
        assert_eq!(slots(&index, 7), [1, 5, 9]);
        index.remove(7, 5);
        index.remove(7, 6);
        assert_eq!(slots(&index, 7), [1, 9]);
        index.insert(8, 9);
        index.remove(7, 1);
        index.remove(7, 9);
        assert!(slots(&index, 7).is_empty());
    }
}
