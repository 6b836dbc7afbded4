//! The kit: logs in temporary directories, events, and what a log shows.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::cursor::{Cursor, Position};
use crate::event::{Event, Name, Payload};
use crate::frame::{Frame, Framing};
use crate::identity::{Allowed, Grants, Identity, Pattern};
use crate::log::embedded::{Embedded, Journal};
use crate::log::pages::Search;
use crate::log::writer::{Pending, Start};
use crate::log::{AppendError, Durability, EventLog, Once, OpenError, Retention, Settings, Store};
use crate::rights::Reader;
use crate::topic::Topic;

/// Keeps everything.
pub(super) const ALL: Retention =
    Retention { age: Duration::from_secs(1 << 32), count: u64::MAX, bytes: u64::MAX };

pub(super) fn settings(store: Store, durability: Durability) -> Settings {
    Settings { store, durability, retention: ALL }
}

/// A log without a disk.
pub(super) fn in_memory() -> EventLog {
    opened(&settings(Store::Memory, Durability::Fsync))
}

/// The log in a directory, fsynced.
pub(super) fn in_directory(directory: &Path) -> EventLog {
    opened(&settings(Store::Embedded(directory.to_owned()), Durability::Fsync))
}

/// Opens a log. The threads of one that was dropped may hold its directory for a moment still.
pub(super) fn opened(settings: &Settings) -> EventLog {
    patiently(|| match EventLog::open(settings, &Arc::default()) {
        Ok(log) => Some(log),
        Err(OpenError::InUse(_)) => None,
        Err(error) => panic!("{error}"),
    })
}

/// The store of a directory itself, without threads.
pub(super) fn store_in(directory: &Path) -> (Journal, Start) {
    patiently(|| match Embedded::open(directory) {
        Ok(opened) => Some(opened),
        Err(OpenError::InUse(_)) => None,
        Err(error) => panic!("{error}"),
    })
}

/// Tries until there is something: for what another thread is about to do.
pub(super) fn patiently<T>(attempt: impl Fn() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match attempt() {
            Some(value) => return value,
            None if Instant::now() > until => panic!("waited in vain"),
            None => thread::yield_now(),
        }
    }
}

pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

pub(super) fn room(name: &str) -> Topic {
    Topic::room(&Name::new(name).expect("a name"))
}

/// An event to rooms; its data holds its own cursor.
pub(super) fn event(rooms: &str, text: &str) -> Event {
    let payload = Payload::object().id().text("message", Some(text)).finish();
    Event::new(rooms.split(' ').map(room).collect(), "message", payload)
}

pub(super) fn publish(log: &EventLog, rooms: &str, text: &str) -> Cursor {
    block_on(log.append(event(rooms, text), None)).expect("published")
}

pub(super) fn publish_once(log: &EventLog, key: &str, body: &str) -> Result<Cursor, AppendError> {
    block_on(log.append(event("a", body), Some(once(key, body))))
}

pub(super) fn once(key: &str, body: &str) -> Once {
    Once::new("ann", "/chat/send", key.as_bytes(), body.as_bytes())
}

/// What the ring shows.
pub(super) fn frames(log: &EventLog) -> Vec<Arc<Frame>> {
    let mut frames = Vec::new();
    let floor = log.ring().extent().floor;
    log.ring().after(floor, usize::MAX, &mut frames).expect("the ring reaches back to the floor");
    frames
}

pub(super) fn shown(log: &EventLog) -> Vec<Position> {
    frames(log).iter().map(|frame| frame.position()).collect()
}

pub(super) fn texts(frames: &[Arc<Frame>]) -> Vec<String> {
    let text = |frame: &Arc<Frame>| String::from_utf8_lossy(frame.bytes(Framing::Chunked)).into();
    frames.iter().map(text).collect()
}

/// The n-th position after a log's start.
pub(super) fn nth(start: Start, number: u64) -> Position {
    Position::new(start.extent.head.milliseconds() + number, 0).expect("in range")
}

pub(super) fn pending(position: Position, event: Event) -> Pending {
    Pending { position, event, once: None }
}

/// Somebody who may read room a alone.
pub(super) fn reader_of_a() -> Reader {
    let rooms = Allowed::Only([Pattern::parse("a").expect("a pattern")].into());
    let ann = Identity::of(Name::new("ann").expect("a name"));
    let grants = Grants { rooms, ..Grants::default() };
    Reader::new(&Identity { grants, ..ann.clone() }, &ann.user, &Arc::default())
}

/// Positions of the events that a store has after another and that concern a room; `None` when what
/// follows it is no longer kept.
pub(super) fn stored(
    journal: &Journal,
    after: Position,
    rooms: &str,
    enough: usize,
    most: usize,
) -> Option<(Vec<Position>, Position)> {
    let topics: Vec<Topic> = rooms.split(' ').map(room).collect();
    let page = journal.shared().page(after, &topics, enough, most).expect("readable");
    page.map(|page| (page.events.into_iter().map(|(at, _)| at).collect(), page.upto))
}

/// The position after which a store has at most `limit` events to these rooms that may be read.
pub(super) fn newest(
    journal: &Journal,
    after: Position,
    rooms: &str,
    reader: Option<Reader>,
    limit: usize,
) -> Position {
    let topics: Vec<Topic> = rooms.split(' ').map(room).collect();
    let mut search = Search::new(after, limit, reader);
    // In steps of two records, to see them join.
    let mut step = || journal.shared().search(&mut search, &topics, 2).expect("readable");
    (0..12).find_map(|_| step()).expect("a few records are a few steps")
}
