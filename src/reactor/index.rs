//! Which connections of a shard listen to a topic.

use roaring::RoaringBitmap;

use crate::topic::TopicId;

/// The slots of one topic. Nearly every topic is one user's and has one connection; the few that
/// everyone listens to need an insert and a remove that do not walk through ten thousand entries.
#[derive(Default)]
enum Listeners {
    #[default]
    None,
    One(u32),
    Many(Box<RoaringBitmap>),
}

/// Listeners by topic number.
#[derive(Default)]
pub(super) struct Index {
    topics: Vec<Listeners>,
}

impl Index {
    /// Adds a slot to a topic.
    pub(super) fn insert(&mut self, topic: TopicId, slot: u32) {
        let topic = topic as usize;
        if topic >= self.topics.len() {
            self.topics.resize_with(topic + 1, Listeners::default);
        }
        let listeners = &mut self.topics[topic];
        match listeners {
            Listeners::None => *listeners = Listeners::One(slot),
            Listeners::One(first) => {
                let both = RoaringBitmap::from_iter([*first, slot]);
                *listeners = Listeners::Many(Box::new(both));
            }
            Listeners::Many(slots) => {
                slots.insert(slot);
            }
        }
    }

    /// Takes a slot out of a topic.
    pub(super) fn remove(&mut self, topic: TopicId, slot: u32) {
        let Some(listeners) = self.topics.get_mut(topic as usize) else { return };
        match listeners {
            Listeners::One(only) if *only == slot => *listeners = Listeners::None,
            Listeners::None | Listeners::One(_) => {}
            Listeners::Many(slots) => {
                slots.remove(slot);
                if slots.is_empty() {
                    *listeners = Listeners::None;
                }
            }
        }
    }

    /// Visits the slots of a topic in rising order.
    pub(super) fn each(&self, topic: TopicId, mut visit: impl FnMut(u32)) {
        match self.topics.get(topic as usize) {
            None | Some(Listeners::None) => {}
            Some(Listeners::One(slot)) => visit(*slot),
            Some(Listeners::Many(slots)) => slots.iter().for_each(visit),
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
        index.remove(7, 1);
        index.remove(7, 9);
        assert!(slots(&index, 7).is_empty());
    }
}
