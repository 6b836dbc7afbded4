//! The kit: a shard with a ring, a clock in hand and scripted peers around it.

use crate::reactor::Pace;
use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use crate::cursor::{Epoch, Position};
use crate::event::{Event, Name, Payload};
use crate::frame::{Ephemeral, Frame, Framing};
use crate::identity::{Identity, Stamp};
use crate::log::{Extent, Page, PageError, Ring};
use crate::members::{Change, Group, Members};
use crate::reactor::shard::{Effect, Shard, Tally};
use crate::reactor::wheel::Tick;
use crate::reactor::{CloseReason, ConnectionId, Key, Limits, Moment, Seat, Settings};
use crate::rights::Reader;
use crate::topic::{Subscription, Topic, Topics};

pub(super) use super::line::{End, Line, Permit, Place, Says, Take};
pub(super) use super::visitor::{On, Visitor, to};
pub(super) use super::words::*;

/// What every stream gets first; its own bytes matter only to `http`.
pub(super) const OPENING: &str = "[opening]";
/// The contract's defaults: 30 s, 5 min, 60 s and 30 s.
pub(super) const LIMITS: Limits =
    Limits { heartbeat: 300, idle: 3_000, max_lag: 600, expiry_notice: 300 };

/// The client's side of a seated stream.
pub(super) struct Peer {
    pub(super) key: Key,
    pub(super) framing: Framing,
    line: Rc<RefCell<Line>>,
    permit: Arc<Permit>,
}

impl Peer {
    pub(super) fn line(&self) -> RefMut<'_, Line> {
        self.line.borrow_mut()
    }

    /// What came since the last call.
    pub(super) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.line().got)).expect("text")
    }

    /// How the next writes go; after them the socket is full.
    pub(super) fn then_blocks(&self, script: &[Take]) {
        self.line().script = script.to_vec().into();
        self.line().otherwise = Take::Nothing;
    }

    /// The socket takes everything from now on.
    pub(super) fn opens(&self) {
        self.line().script.clear();
        self.line().otherwise = Take::All;
    }

    pub(super) fn says(&self, says: &[Says]) {
        self.line().says.extend(says);
    }

    /// How often its place was given back.
    pub(super) fn given_back(&self) -> usize {
        self.permit.given_back.load(Ordering::Relaxed)
    }

    /// The server's end is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.line().closed
    }
}

/// A shard and what is around it.
pub(super) struct House {
    pub(super) shard: Shard<End, Place>,
    pub(super) ring: Arc<Ring>,
    pub(super) topics: Arc<Topics>,
    members: Arc<Members>,
    pub(super) tick: Tick,
    /// All that was ever published: what a store would have.
    pub(super) kept: Vec<Arc<Frame>>,
    /// Whose writability is watched.
    pub(super) watched: Vec<Key>,
    /// Pages that were asked for and have not come.
    pub(super) fetches: Vec<Fetch>,
    seated: u32,
}

/// One page that a connection waits for.
pub(super) struct Fetch {
    pub(super) key: Key,
    pub(super) after: Position,
    pub(super) topics: Vec<Topic>,
}

pub(super) const EPOCH: u32 = 10;

/// The place of the n-th event; the log begins at the 0-th.
pub(super) fn place(number: usize) -> Position {
    Position::new(1_000 + number as u64, 0).expect("in range")
}

impl House {
    pub(super) fn new() -> House {
        House::with(LIMITS, true, None)
    }

    pub(super) fn limited(limits: Limits) -> House {
        House::with(limits, true, None)
    }

    /// The ring keeps about this many bytes, so that what is older has to come from the store.
    pub(super) fn with_ring_of(bytes: usize) -> House {
        House::with(LIMITS, true, Some(bytes))
    }

    pub(super) fn with(
        limits: Limits,
        heartbeat_carries_id: bool,
        ring_bytes: Option<usize>,
    ) -> House {
        let extent = Extent { floor: place(0), head: place(0) };
        let ring = Arc::new(Ring::new(extent, place(0), VecDeque::new(), ring_bytes));
        let settings = Settings { limits, heartbeat_carries_id };
        House {
            shard: Shard::new(settings, Epoch::from_bits(EPOCH), Arc::clone(&ring), 0),
            ring,
            topics: Arc::default(),
            members: Arc::default(),
            tick: 0,
            kept: Vec::new(),
            watched: Vec::new(),
            fetches: Vec::new(),
            seated: 0,
        }
    }

    pub(super) fn now(&self) -> Moment {
        Moment { tick: self.tick, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(5) }
    }

    pub(super) fn seat(&mut self, visitor: Visitor) -> Peer {
        let (now, start) = (self.now(), visitor.start.unwrap_or(self.ring.extent().head));
        let (reader, topics) = self.listens(&visitor);
        let line = Rc::new(RefCell::new(Line {
            script: visitor.script.into(),
            otherwise: visitor.otherwise,
            says: VecDeque::new(),
            got: Vec::new(),
            writes: 0,
            reads: 0,
            finished: 0,
            finish_fails: false,
            closed: false,
            pace: Pace::Level,
        }));
        let permit = Arc::<Permit>::default();
        permit.taken_by_another.store(visitor.replaced, Ordering::Relaxed);
        self.seated += 1;
        // As the thread does it: the shard must have got as far as the stream.
        self.shard.reach(start, now);
        let id = ConnectionId::of(self.seated, 0);
        let key = self.shard.next_key(id);
        let framing = visitor.framing;
        let seat = Seat {
            socket: End(Rc::clone(&line)),
            id,
            reader,
            topics,
            expires: visitor.expires,
            guard: Place(Arc::clone(&permit)),
            start,
            framing,
            opening: OPENING.as_bytes().into(),
        };
        // What happens while a stream is on its way to its shard.
        if let Some((group, change)) = visitor.meanwhile {
            change_list(&self.members, &group, &change);
        }
        self.shard.seat(seat, now);
        self.note_effects();
        Peer { key, framing, line, permit }
    }

    fn listens(&self, visitor: &Visitor) -> (Option<Box<Reader>>, Subscription) {
        let reader = Reader::new(&visitor.identity, &visitor.identity.user, &self.members);
        let (reader, mut topics) = match visitor.on {
            On::Rooms(rooms) => (reader, topics(rooms)),
            On::AllRooms => (reader, vec![Topic::rooms()]),
            On::Conversations => {
                (reader.following_conversations(), vec![Topic::user(&visitor.identity.user)])
            }
        };
        topics.extend(reader.besides(&topics));
        let reader = Some(Box::new(reader)).filter(|reader| reader.stays_with(&topics));
        (reader, self.topics.subscribe(&topics))
    }

    /// Changes a list, as the hub does it.
    pub(super) fn change(&mut self, group: &Group, change: &Change) {
        change_list(&self.members, group, change);
        let topic = match group {
            Group::Room(room) => Topic::room(room),
            Group::Conversation(_) => Topic::user(&somebody().user),
        };
        let now = self.now();
        self.shard.review(self.topics.hold(&[topic]).set(), now);
        self.note_effects();
    }

    /// Publishes to rooms; the shard has not looked yet.
    pub(super) fn publish(&mut self, rooms: &str, text: &str) -> Arc<Frame> {
        self.publish_event(&message(rooms, text))
    }

    pub(super) fn publish_event(&mut self, event: &Event) -> Arc<Frame> {
        let topics = self.topics.hold(&event.topics);
        let position = place(self.kept.len() + 1);
        let frame = Arc::new(Frame::encode(position, Epoch::from_bits(EPOCH), event, topics));
        self.kept.push(Arc::clone(&frame));
        self.ring.push(vec![Arc::clone(&frame)]);
        frame
    }

    /// Publishes numbered events of about this size.
    pub(super) fn publish_many(&mut self, rooms: &str, count: usize, bytes: usize) {
        for number in 0..count {
            self.publish(rooms, &format!("{number:0>bytes$}"));
        }
    }

    /// Sends an event that is not kept, and tells its bytes in a chunk.
    pub(super) fn ephemeral(&mut self, rooms: &str, text: &str) -> String {
        self.ephemerals(&[(rooms, text)]).concat()
    }

    /// The same with several at once.
    pub(super) fn ephemerals(&mut self, events: &[(&str, &str)]) -> Vec<String> {
        let encode = |(rooms, text): &(&str, &str)| {
            let event = message(rooms, text);
            Arc::new(Ephemeral::encode(&event, self.topics.hold(&event.topics)))
        };
        let events: Vec<Arc<Ephemeral>> = events.iter().map(encode).collect();
        let now = self.now();
        self.shard.deliver_ephemeral(&events, now);
        self.note_effects();
        let text = |event: &Arc<Ephemeral>| event.bytes(Framing::Chunked).to_vec();
        events.iter().map(|event| String::from_utf8_lossy(&text(event)).into_owned()).collect()
    }

    /// The shard reads a batch from the ring.
    pub(super) fn turn(&mut self) -> bool {
        let now = self.now();
        let more = self.shard.advance(now);
        self.note_effects();
        more
    }

    /// Connections with much to do go on.
    pub(super) fn go_on(&mut self) -> bool {
        let now = self.now();
        let more = self.shard.resume_unfinished(now);
        self.note_effects();
        more
    }

    /// Time passes.
    pub(super) fn wait(&mut self, ticks: Tick) {
        self.tick += ticks;
        let now = self.now();
        self.shard.tick(now);
        self.note_effects();
    }

    /// The peer's end has something to read.
    pub(super) fn readable(&mut self, peer: &Peer) {
        let now = self.now();
        self.shard.readable(peer.key, now);
    }

    /// The peer has read something, and its socket, which is watched, takes bytes again.
    pub(super) fn writable(&mut self, peer: &Peer) {
        assert!(self.watches(peer), "nobody would tell the shard of this");
        let now = self.now();
        self.shard.writable(peer.key, now);
        self.note_effects();
    }

    pub(super) fn watches(&self, peer: &Peer) -> bool {
        self.watched.contains(&peer.key)
    }

    pub(super) fn close(&mut self, peer: &Peer, reason: CloseReason) {
        let now = self.now();
        self.shard.close(peer.key, reason, now);
        self.note_effects();
    }

    /// A new credential for a stream.
    pub(super) fn renew(&mut self, peer: &Peer, identity: &Identity) {
        let now = self.now();
        let reader = Reader::new(identity, &identity.user, &self.members);
        self.shard.renew(peer.key, reader, identity.expires(), now);
        self.note_effects();
    }

    /// What the shard has done since the last call.
    pub(super) fn tally(&mut self) -> Tally {
        self.shard.take_tally()
    }

    /// The answer to the oldest fetch: the next `records` events of the store, those that match.
    pub(super) fn answer_fetch(&mut self, records: usize) {
        let Fetch { key, after, topics } = self.fetches.remove(0);
        let looked_at: Vec<_> =
            self.kept.iter().filter(|frame| frame.position() > after).take(records).collect();
        let upto = looked_at.last().map_or(after, |frame| frame.position());
        let wanted = self.topics.hold(&topics);
        let matching = |frame: &&&Arc<Frame>| frame.topics().meets(wanted.set());
        let frames = looked_at.iter().filter(matching).map(|frame| Arc::clone(frame)).collect();
        self.page(key, Ok(Page { frames, upto }));
    }

    pub(super) fn page(&mut self, key: Key, page: Result<Page, PageError>) {
        let now = self.now();
        self.shard.page(key, page, now);
        self.note_effects();
    }

    fn note_effects(&mut self) {
        for effect in self.shard.take_effects() {
            match effect {
                Effect::Watch(key, writable) => {
                    self.watched.retain(|watched| *watched != key);
                    self.watched.extend(writable.then_some(key));
                }
                Effect::Fetch { key, after, topics } => {
                    self.fetches.push(Fetch { key, after, topics });
                }
            }
        }
    }
}

/// Nobody in particular, who may hear everything.
pub(super) fn somebody() -> Identity {
    Identity::of(Name::new("somebody").expect("a name"))
}

fn change_list(members: &Members, group: &Group, change: &Change) {
    members.apply(group, &members.outcome(group, change));
}

/// So many ticks after the wall clock, which stands still.
pub(super) fn stamp(ticks: u64) -> Stamp {
    Stamp(5_000 + ticks * 100)
}

pub(super) fn topics(rooms: &str) -> Vec<Topic> {
    rooms.split(' ').map(|room| Topic::room(&Name::new(room).expect("a name"))).collect()
}

fn message(rooms: &str, text: &str) -> Event {
    let payload = Payload::object().text("message", Some(text)).finish();
    let all = topics(rooms).into_iter().chain([Topic::rooms()]);
    Event::new(all.collect(), "message", payload)
}
