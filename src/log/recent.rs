//! The frames of the ring, and where in it those of a topic are: a stream that comes back looks at
//! what concerns it, and not at everything that it missed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use super::Extent;
use super::ring::Behind;
use crate::cursor::Position;
use crate::frame::Frame;
use crate::topic::{TopicId, TopicSet};

/// The newest events, in order.
pub(super) struct Recent {
    frames: VecDeque<Arc<Frame>>,
    /// The positions of a topic's frames. A frame holds its topics' numbers, so that none of them is
    /// another topic's while it is here.
    by_topic: HashMap<TopicId, VecDeque<Position>>,
    bytes: usize,
    /// Everything after this position is in `frames`.
    floor: Position,
    /// What the log as a whole still has.
    pub(super) log: Extent,
}

impl Recent {
    /// Without frames.
    pub(super) fn new(log: Extent, floor: Position) -> Recent {
        Recent { frames: VecDeque::new(), by_topic: HashMap::new(), bytes: 0, floor, log }
    }

    /// What the frames take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The frames, the oldest first.
    pub(super) fn frames(&self) -> &VecDeque<Arc<Frame>> {
        &self.frames
    }

    /// Adds the frame that comes next.
    pub(super) fn push(&mut self, frame: Arc<Frame>) {
        self.bytes += frame.footprint();
        for topic in frame.topics().ids() {
            self.by_topic.entry(*topic).or_default().push_back(frame.position());
        }
        self.frames.push_back(frame);
    }

    /// Takes out the oldest frame, which from now on only the store has.
    pub(super) fn evict(&mut self) -> Option<Arc<Frame>> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.footprint();
        self.floor = frame.position();
        for topic in frame.topics().ids() {
            if let Some(positions) = self.by_topic.get_mut(topic) {
                positions.pop_front();
                if positions.is_empty() {
                    self.by_topic.remove(topic);
                }
            }
        }
        Some(frame)
    }

    /// Takes out the frames up to a position, which nobody has any more.
    pub(super) fn cut(&mut self, upto: Position) -> Vec<Arc<Frame>> {
        let mut evicted = Vec::new();
        while self.frames.front().is_some_and(|frame| frame.position() <= upto) {
            evicted.extend(self.evict());
        }
        self.floor = self.floor.max(upto);
        self.log.floor = self.log.floor.max(upto);
        evicted
    }

    /// The frames after a position, whomever they concern.
    pub(super) fn after(
        &self,
        position: Position,
    ) -> Result<impl Iterator<Item = &Arc<Frame>>, Behind> {
        self.reaches(position)?;
        Ok(self.frames.range(self.first_after(position)..))
    }

    /// The frames after a position that concern `topics`, the oldest first.
    pub(super) fn matching(
        &self,
        after: Position,
        topics: &TopicSet,
    ) -> Result<impl Iterator<Item = &Arc<Frame>>, Behind> {
        self.reaches(after)?;
        let positions = topics.ids().iter().filter_map(|topic| self.by_topic.get(topic));
        let later = positions.map(move |positions| {
            let first = positions.partition_point(|position| *position <= after);
            positions.range(first..).copied()
        });
        Ok(merged(later).filter_map(|position| self.frame_at(position)))
    }

    /// The positions after another of frames that concern `topics`, the newest first.
    pub(super) fn newest(
        &self,
        after: Position,
        topics: &TopicSet,
    ) -> Result<impl Iterator<Item = Position>, Behind> {
        self.reaches(after)?;
        let positions = topics.ids().iter().filter_map(|topic| self.by_topic.get(topic));
        let newer = positions.map(move |positions| {
            positions
                .iter()
                .rev()
                .copied()
                .take_while(move |position| *position > after)
                .map(Reverse)
        });
        Ok(merged(newer).map(|Reverse(position)| position))
    }

    /// How many frames there are after a position.
    pub(super) fn count_after(&self, position: Position) -> Result<usize, Behind> {
        self.reaches(position)?;
        Ok(self.frames.len() - self.first_after(position))
    }

    fn reaches(&self, position: Position) -> Result<(), Behind> {
        if position < self.floor { Err(Behind) } else { Ok(()) }
    }

    fn first_after(&self, position: Position) -> usize {
        self.frames.partition_point(|frame| frame.position() <= position)
    }

    /// The frame with a position, which must be here.
    pub(super) fn frame_at(&self, position: Position) -> Option<&Arc<Frame>> {
        self.frames.get(self.frames.partition_point(|frame| frame.position() < position))
    }
}

/// Rising sequences as one, without what several of them have.
fn merged<T: Copy + Ord>(
    sequences: impl Iterator<Item = impl Iterator<Item = T>>,
) -> impl Iterator<Item = T> {
    let mut rest: Vec<_> = sequences.collect();
    let mut next: BinaryHeap<Reverse<(T, usize)>> = BinaryHeap::with_capacity(rest.len());
    for (number, sequence) in rest.iter_mut().enumerate() {
        next.extend(sequence.next().map(|first| Reverse((first, number))));
    }
    let mut last = None;
    std::iter::from_fn(move || {
        loop {
            let Reverse((item, number)) = next.pop()?;
            next.extend(rest[number].next().map(|following| Reverse((following, number))));
            if last.replace(item) != Some(item) {
                return Some(item);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Epoch;
    use crate::event::{Event, Name, Payload};
    use crate::topic::{Topic, Topics};

    fn room(name: char) -> Topic {
        Topic::room(&Name::new(&name.to_string()).unwrap())
    }

    fn rooms(names: &str) -> Vec<Topic> {
        names.chars().map(room).collect()
    }

    fn at(number: usize) -> Position {
        Position::start(1_000 + number as u64)
    }

    /// Frames 1, 2, 3, ... for these rooms each.
    fn recent(topics: &Arc<Topics>, frames: &[&str]) -> Recent {
        let mut recent = Recent::new(Extent { floor: at(0), head: at(frames.len()) }, at(0));
        for (number, names) in frames.iter().enumerate() {
            let event = Event::new(rooms(names), "message", Payload::object().finish());
            let held = topics.hold(&event.topics);
            let frame = Frame::encode(at(number + 1), Epoch::from_bits(1), &event, held);
            recent.push(Arc::new(frame));
        }
        recent
    }

    #[test]
    fn what_concerns_a_stream_is_found_in_order_and_once() {
        let topics = Arc::new(Topics::default());
        let frames = ["a", "b", "ab", "c", "a", "bc", "b"];
        let mut recent = recent(&topics, &frames);
        for evicted in 0..=frames.len() {
            for listens in ["a", "b", "ab", "abc", "x", ""] {
                let set = topics.hold(&rooms(listens));
                for after in evicted..=frames.len() {
                    let concerns =
                        |number: &usize| frames[number - 1].contains(|c| listens.contains(c));
                    let expected: Vec<Position> =
                        (after + 1..=frames.len()).filter(concerns).map(at).collect();
                    let matching = recent.matching(at(after), set.set()).ok().unwrap();
                    let found: Vec<Position> = matching.map(|frame| frame.position()).collect();
                    assert_eq!(found, expected, "{listens} after {after}");
                    let newest = recent.newest(at(after), set.set()).ok().unwrap();
                    assert!(newest.eq(expected.into_iter().rev()), "{listens} after {after}");
                }
                if evicted > 0 {
                    assert!(recent.matching(at(evicted - 1), set.set()).is_err());
                }
            }
            recent.evict();
        }
        assert!(recent.by_topic.is_empty() && recent.bytes == 0);
    }
}
