//! What an event is about and a stream listens to.
//!
//! A [`Topic`] is a tuple of names. The table [`Topics`] gives each topic in use a small number, so
//! that the paths that run for every event and every connection compare integers and never text.
//! Numbers are lent: a [`Held`] set keeps its topics in the table and gives them back when dropped,
//! and only then may a number mean another topic.

use std::fmt;
use std::sync::Arc;

use compact_str::{CompactString, format_compact};
use parking_lot::Mutex;

use crate::event::Name;
use crate::interner::Interner;
use crate::room::Room;

/// A tuple of names, as `notifications/{user}`. A `/` inside a name separates nothing: the parts are
/// joined by NUL, which no name can hold.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Topic(CompactString);

impl Topic {
    /// Notifications to everyone.
    pub fn notifications() -> Topic {
        Topic(CompactString::const_new("notifications"))
    }

    /// Notifications to one user.
    pub fn notifications_of(user: &Name) -> Topic {
        Topic(format_compact!("notifications\0{user}"))
    }

    /// Every update of any entity.
    pub fn realtime() -> Topic {
        Topic(CompactString::const_new("realtime"))
    }

    /// Updates of one type of entity.
    pub fn entity_type(entity_type: &Name) -> Topic {
        Topic(format_compact!("realtime\0{entity_type}"))
    }

    /// Updates of one entity.
    pub fn entity(entity_type: &Name, id: &Name) -> Topic {
        Topic(format_compact!("realtime\0{entity_type}\0{id}"))
    }

    /// Status and maintenance of the system.
    pub fn system() -> Topic {
        Topic(CompactString::const_new("system"))
    }

    /// Every open chat room, present and future.
    pub fn rooms() -> Topic {
        Topic(CompactString::const_new("chat"))
    }

    /// What a stream on every open room listens to besides, when its credential narrows it to some.
    /// Nothing is published to it; it tells that there are such streams.
    pub fn narrowed_rooms() -> Topic {
        Topic(CompactString::const_new("narrowed rooms"))
    }

    /// One chat room.
    pub fn room(room: &Name) -> Topic {
        Topic(format_compact!("chat\0{room}"))
    }

    /// Events to one user, of whatever kind.
    pub fn user(user: &Name) -> Topic {
        Topic(format_compact!("user\0{user}"))
    }

    /// Events to everyone.
    pub fn everyone() -> Topic {
        Topic(CompactString::const_new("all"))
    }

    /// One channel.
    pub fn channel(channel: &Name) -> Topic {
        Topic(format_compact!("channel\0{channel}"))
    }

    /// One conversation.
    pub fn conversation(conversation: &Name) -> Topic {
        Topic(format_compact!("conversation\0{conversation}"))
    }

    /// What it takes to listen to it.
    pub fn kind(&self) -> Kind<'_> {
        match self.0.split_once('\0') {
            Some(("notifications" | "user", user)) => Kind::OfUser(user),
            Some(("channel", channel)) => Kind::Channel(channel),
            Some(("chat", room)) => Kind::Room(room),
            Some(("conversation", conversation)) => Kind::Conversation(conversation),
            _ => Kind::Public,
        }
    }

    /// The chat room that an event with these topics is of.
    pub fn room_in(topics: &[Topic]) -> Option<&str> {
        topics.iter().find_map(|topic| match topic.kind() {
            Kind::Room(room) => Some(room),
            Kind::OfUser(_) | Kind::Channel(_) | Kind::Conversation(_) | Kind::Public => None,
        })
    }

    /// Whether one stream may listen to several of these.
    pub fn may_overlap(topics: &[Topic]) -> bool {
        let is_channel = |topic: &&Topic| matches!(topic.kind(), Kind::Channel(_));
        topics.iter().filter(is_channel).nth(1).is_some()
    }

    /// The form that the log stores.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A topic that was stored before.
    pub fn from_stored(text: &str) -> Topic {
        Topic(text.into())
    }
}

/// What a topic is about, as far as rights go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// What one user is told.
    OfUser(&'a str),
    /// A channel.
    Channel(&'a str),
    /// A chat room.
    Room(&'a str),
    /// A conversation.
    Conversation(&'a str),
    /// Nobody's in particular: to be listened to by whoever may open a stream of it. What is in it
    /// may still be narrowed, see [`crate::rights::Reader`].
    Public,
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.replace('\0', "/"))
    }
}

/// The number of a topic while somebody holds it.
pub type TopicId = u32;

/// A sorted set of topic numbers; up to three take no allocation, because nearly every connection
/// and every event has at most three.
#[derive(Debug)]
pub enum TopicSet {
    /// The first `len` of the array.
    Few {
        /// How many are in use.
        len: u8,
        /// Sorted, the rest unused.
        ids: [TopicId; 3],
    },
    /// Sorted; boxed twice so that the common case stays at 16 bytes.
    Many(Box<Vec<TopicId>>),
}

impl TopicSet {
    fn from_sorted(ids: Vec<TopicId>) -> TopicSet {
        if ids.len() > 3 {
            return TopicSet::Many(Box::new(ids));
        }
        let mut few = [0; 3];
        few[..ids.len()].copy_from_slice(&ids);
        TopicSet::Few { len: ids.len() as u8, ids: few }
    }

    /// The numbers, in rising order.
    pub fn ids(&self) -> &[TopicId] {
        match self {
            TopicSet::Few { len, ids } => &ids[..usize::from(*len)],
            TopicSet::Many(ids) => ids,
        }
    }

    /// Whether the two have a topic in common.
    pub fn meets(&self, other: &TopicSet) -> bool {
        let (mut small, mut large) = (self.ids(), other.ids());
        if small.len() > large.len() {
            std::mem::swap(&mut small, &mut large);
        }
        if large.len() <= 3 {
            small.iter().any(|id| large.contains(id))
        } else {
            small.iter().any(|id| large.binary_search(id).is_ok())
        }
    }
}

/// The topics now in use, and how many streams listen to each.
#[derive(Default)]
pub struct Topics {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    numbers: Interner<Topic>,
    /// By number: how many of the holders are streams.
    streams: Vec<u32>,
}

impl Topics {
    /// A table that does not move its topics while there are no more than so many streams.
    pub fn with_room_for(streams: usize) -> Topics {
        let room = Room::new(streams, 1).of_all;
        let (numbers, streams) = (Interner::with_room_for(room), Vec::with_capacity(room));
        Topics { table: Mutex::new(Table { numbers, streams }) }
    }

    /// The set of an event: its topics are kept in the table as long as the frame lives.
    pub fn hold(self: &Arc<Self>, topics: &[Topic]) -> Held {
        let mut table = self.table.lock();
        let mut ids: Vec<TopicId> = topics.iter().map(|topic| table.numbers.hold(topic)).collect();
        ids.sort_unstable();
        ids.dedup_by(|later, earlier| {
            let same = later == earlier;
            if same {
                table.numbers.release(*later);
            }
            same
        });
        drop(table);
        Held { set: TopicSet::from_sorted(ids), topics: Arc::clone(self) }
    }

    /// Those of these that somebody holds: nobody listens to any other.
    pub fn hold_known(self: &Arc<Self>, topics: &[Topic]) -> Held {
        let table = self.table.lock();
        let known = |topic: &&Topic| table.numbers.find(topic).is_some();
        let known: Vec<Topic> = topics.iter().filter(known).cloned().collect();
        drop(table);
        self.hold(&known)
    }

    /// The set of a stream, which counts as a subscriber of each.
    pub fn subscribe(self: &Arc<Self>, topics: &[Topic]) -> Subscription {
        let held = self.hold(topics);
        let mut table = self.table.lock();
        let numbers = table.numbers.capacity();
        table.streams.resize(numbers, 0);
        for &id in held.set.ids() {
            table.streams[id as usize] += 1;
        }
        drop(table);
        Subscription(held)
    }

    /// How many subscriptions there are to these topics. A stream that listens to two of them counts
    /// twice, as only one on several channels does: see [`Topic::may_overlap`].
    pub fn streams(&self, topics: &[Topic]) -> usize {
        let table = self.table.lock();
        let streams = |id: TopicId| table.streams.get(id as usize).copied().unwrap_or(0) as usize;
        topics.iter().filter_map(|topic| table.numbers.find(topic)).map(streams).sum()
    }
}

/// A set of topics that keep their numbers until this is dropped.
pub struct Held {
    set: TopicSet,
    topics: Arc<Topics>,
}

impl Held {
    /// The numbers.
    pub fn set(&self) -> &TopicSet {
        &self.set
    }

    /// The topics themselves, for a read of the log, which knows no numbers.
    pub fn to_topics(&self) -> Vec<Topic> {
        let table = self.topics.table.lock();
        self.set.ids().iter().filter_map(|id| table.numbers.get(*id).cloned()).collect()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut table = self.topics.table.lock();
        self.set.ids().iter().for_each(|id| table.numbers.release(*id));
    }
}

/// What a stream listens to; it counts as a subscriber until this is dropped.
pub struct Subscription(Held);

impl Subscription {
    /// The topics.
    pub fn topics(&self) -> &Held {
        &self.0
    }

    /// Their numbers.
    pub fn set(&self) -> &TopicSet {
        &self.0.set
    }

    /// One to other topics, in the same table.
    pub fn to(&self, topics: &[Topic]) -> Subscription {
        self.0.topics.subscribe(topics)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut table = self.0.topics.table.lock();
        self.0.set.ids().iter().for_each(|id| table.streams[*id as usize] -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    #[test]
    fn a_slash_inside_a_name_separates_nothing() {
        assert_ne!(Topic::entity(&name("a"), &name("b")), Topic::entity_type(&name("a/b")));
    }

    #[test]
    fn sets_meet_when_they_share_a_topic() {
        let topics = Arc::new(Topics::default());
        let stream =
            topics.subscribe(&[Topic::notifications(), Topic::notifications_of(&name("7"))]);
        let everyone = topics.hold(&[Topic::notifications()]);
        let other = topics.hold(&[Topic::notifications_of(&name("8"))]);
        let many: Vec<_> =
            (0..100).map(|user| Topic::notifications_of(&name(&user.to_string()))).collect();
        let many = topics.hold(&many);
        assert!(everyone.set().meets(stream.set()));
        assert!(!other.set().meets(stream.set()));
        assert!(many.set().meets(stream.set()) && stream.set().meets(many.set()));
    }

    #[test]
    fn streams_are_counted_until_they_end_and_events_are_not() {
        let topics = Arc::new(Topics::default());
        let room = [Topic::room(&name("r")), Topic::rooms()];
        let event = topics.hold(&room);
        let twice = topics.subscribe(&[Topic::rooms(), Topic::rooms()]);
        let stream = topics.subscribe(&room[..1]);
        assert_eq!(topics.streams(&room), 2);
        drop(twice);
        assert_eq!(topics.streams(&room), 1);
        drop((stream, event));
        assert_eq!(topics.streams(&room), 0);
    }
}
