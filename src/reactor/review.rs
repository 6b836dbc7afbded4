//! What a stream listens to, chosen anew: its credential or the lists of members have changed.

use std::collections::HashSet;
use std::sync::Arc;

use super::shard::Shard;
use super::socket::Socket;
use super::thread::Command;
use super::{CloseReason, Guard, Moment, Reactor};
use crate::rights::Reader;
use crate::topic::{Held, Topic, TopicSet};

impl<G: Guard> Reactor<G> {
    /// Lets the streams on any of these topics listen to what they may now; returns when all do.
    pub async fn review(&self, topics: Held) {
        let topics = Arc::new(topics);
        let review = |answer| Command::Review { topics: Arc::clone(&topics), answer };
        self.ask_all(review).await;
    }
}

impl<S: Socket, G: Guard> Shard<S, G> {
    /// Lets the streams on any of these topics listen to what they may now, and no more.
    pub fn review(&mut self, topics: &TopicSet, now: Moment) {
        // What was published before is for those who listened then.
        self.reach(self.ring.extent().head, now);
        for slot in self.listening(topics) {
            self.review_one(slot, now);
        }
    }

    /// The same for one, if there is anything about it that can change. Tells whether it stays.
    pub(super) fn review_one(&mut self, slot: u32, now: Moment) -> bool {
        let connection = &mut self.connections[slot as usize];
        match connection.stay.as_mut().and_then(|stay| stay.reader.take()) {
            Some(reader) => self.listen_as(slot, reader, now),
            None => true,
        }
    }

    /// Lets a stream listen to what this reader may, or ends it. Tells whether it stays.
    pub(super) fn listen_as(&mut self, slot: u32, reader: Box<Reader>, now: Moment) -> bool {
        let Some(stay) = &mut self.connections[slot as usize].stay else { return false };
        let topics = stay.topics.topics().to_topics();
        let Some(wanted) = reader.review(&topics) else {
            self.close(self.key(slot), CloseReason::Revoked, now);
            return false;
        };
        stay.reader = Some(reader).filter(|reader| reader.stays_with(&wanted));
        if !same(&topics, &wanted) {
            self.resubscribe(slot, &wanted);
        }
        true
    }

    fn resubscribe(&mut self, slot: u32, topics: &[Topic]) {
        let connection = &mut self.connections[slot as usize];
        let Some(stay) = &mut connection.stay else { return };
        // Before the old ones are given back, so that topics in both keep their numbers.
        let new = stay.topics.to(topics);
        let old = std::mem::replace(&mut stay.topics, new);
        old.set().ids().iter().for_each(|&topic| self.index.remove(topic, slot));
        stay.topics.set().ids().iter().for_each(|&topic| self.index.insert(topic, slot));
        connection.page = connection.page.outdated();
    }
}

/// Whether the same topics are in both; each is there once. A user may have thousands.
fn same(some: &[Topic], others: &[Topic]) -> bool {
    let known: HashSet<&Topic> = some.iter().collect();
    some.len() == others.len() && others.iter().all(|topic| known.contains(topic))
}
