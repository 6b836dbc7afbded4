//! The log: the only source of order.
//!
//! It mints the position of an event, makes the event as durable as promised, and only then shows
//! it: in the [`Ring`], which every shard reads, and after that in the answer to its publisher. What
//! has left the ring is read back from the store, page by page, by a small pool of readers.

mod by_topic;
mod embedded;
mod kept;
mod memory;
mod pages;
mod readers;
mod recent;
mod record;
mod ring;
mod trim;
mod writer;

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::cursor::{Cursor, Epoch, Position};
use crate::event::Event;
use crate::rights::Reader;
use crate::topic::{Held, Topic, Topics};

use embedded::Embedded;
pub use kept::{Change, Kind, Row};
use memory::Memory;
use pages::Search;
use readers::Readers;
pub use readers::{Page, PageError};
pub use ring::{Behind, Ring};
use writer::{Append, Command, Keep, Writer};

/// Where events are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In a database file in this directory, which this process locks.
    Embedded(PathBuf),
    /// In memory, for as long as the process lives.
    Memory,
}

/// When a publisher gets its 2xx, and so when an event is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After the event is on the disk; concurrent events share one fsync.
    Fsync,
    /// Before: the disk has it within 50 ms.
    Interval,
}

/// How long events are kept. Whatever is reached first counts.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// The age at which an event goes.
    pub age: Duration,
    /// How many of the newest events are kept.
    pub count: u64,
    /// How many bytes the kept events may take in the store.
    pub bytes: u64,
}

/// What an operator decides about the log.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where events are kept.
    pub store: Store,
    /// When an event counts as published.
    pub durability: Durability,
    /// How long it is kept.
    pub retention: Retention,
}

/// Why a log cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has the directory.
    #[error("data directory {} is in use by another rill", .0.display())]
    InUse(PathBuf),
    /// The directory or a file in it cannot be made or opened.
    #[error("data directory {}: {}", .0.display(), .1)]
    Directory(PathBuf, std::io::Error),
    /// The database in it cannot be read.
    #[error("the log in {} cannot be opened: {}", .0.display(), .1)]
    Database(PathBuf, Box<redb::Error>),
    /// Another version wrote it, in another way.
    #[error(
        "the log in {} has format {found}, and this rill reads format {expected} alone",
        directory.display()
    )]
    Format {
        /// Where it is.
        directory: PathBuf,
        /// What it has.
        found: u64,
        /// What it should have.
        expected: u64,
    },
    /// A thread could not be started.
    #[error("cannot start a thread of the log: {0}")]
    Thread(std::io::Error),
}

/// Why an event was not published.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AppendError {
    /// The disk has no space; nothing was written.
    #[error("the disk that holds the log is full")]
    Full,
    /// The disk fails, or the log is closing.
    #[error("the log cannot be written")]
    Unavailable,
    /// The idempotency key was used with another body.
    #[error("this Idempotency-Key was used with another body")]
    Conflict,
}

/// A request that must be carried out once, however often it is sent.
#[derive(Clone, Debug)]
pub struct Once {
    /// A digest of who sends it, where, and under which key.
    pub key: [u8; 32],
    /// A digest of what is sent.
    pub body: [u8; 32],
}

impl Once {
    /// The digests of a request: its sender and path and the key that he chose, and its body.
    pub fn new(user: &str, path: &str, key: &[u8], body: &[u8]) -> Once {
        // NUL is in none of the first two, so no two requests are told apart by nothing.
        let whose = [user.as_bytes(), path.as_bytes(), key].join(&0);
        Once { key: Sha256::digest(whose).into(), body: Sha256::digest(body).into() }
    }
}

/// What the log still has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Everything after this position is kept.
    pub floor: Position,
    /// The newest event that is shown.
    pub head: Position,
}

/// The log of one node.
pub struct EventLog {
    epoch: Epoch,
    ring: Arc<Ring>,
    readers: Option<Readers>,
    commands: mpsc::Sender<Command>,
    /// As they were when the log was opened, by kind.
    kept: Mutex<Vec<(Kind, Vec<Row>)>>,
    /// `None` once it was closed.
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl EventLog {
    /// Opens the log and starts its threads: one that writes, and a few that read pages back.
    pub fn open(settings: &Settings, topics: &Arc<Topics>) -> Result<EventLog, OpenError> {
        let (commands, received) = mpsc::channel();
        match &settings.store {
            Store::Embedded(directory) => {
                let (store, start) = Embedded::open(directory)?;
                let recent = store
                    .recent(start, topics, ring::RECENT_BYTES)
                    .map_err(|error| OpenError::Database(directory.clone(), Box::new(error)))?;
                let kept = store
                    .kept()
                    .map_err(|error| OpenError::Database(directory.clone(), Box::new(error)))?;
                let kept = Mutex::new(kept);
                let ring = Arc::new(Ring::recent(start.extent, recent.floor, recent.frames));
                let shared = Arc::clone(store.shared());
                let readers = Readers::start(shared, Arc::clone(topics), start.epoch)
                    .map_err(OpenError::Thread)?;
                let writer = Writer::start(store, settings, start, &ring, topics, received)
                    .map_err(OpenError::Thread)?;
                let writer = Mutex::new(Some(writer));
                let readers = Some(readers);
                Ok(EventLog { epoch: start.epoch, ring, readers, commands, kept, writer })
            }
            Store::Memory => {
                let start = Memory::start();
                let ring = Arc::new(Ring::whole(start.extent));
                let store = Memory::new(Arc::clone(&ring));
                let writer = Writer::start(store, settings, start, &ring, topics, received)
                    .map_err(OpenError::Thread)?;
                let writer = Mutex::new(Some(writer));
                let kept = Mutex::default();
                Ok(EventLog { epoch: start.epoch, ring, readers: None, commands, kept, writer })
            }
        }
    }

    /// Publishes an event. It is carried out from this call on, whether or not the future is awaited
    /// to its end: a publisher that hangs up does not tear an event in half.
    pub fn append(
        &self,
        event: Event,
        once: Option<Once>,
    ) -> impl Future<Output = Result<Cursor, AppendError>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let epoch = self.epoch;
        // A log that has closed drops the sender, and the receiver then says so.
        let _ = self.commands.send(Command::Append(Append { event, once, answer }));
        async move {
            let position = answered.await.unwrap_or(Err(AppendError::Unavailable))?;
            Ok(Cursor { position, epoch })
        }
    }

    /// Keeps rows, or removes them; once it has succeeded they outlast a crash. Like
    /// [`EventLog::append`] it is carried out from this call on.
    pub fn keep(
        &self,
        changes: Vec<Change>,
    ) -> impl Future<Output = Result<(), AppendError>> + Send + use<> {
        let answered = self.ask_to_keep(changes);
        async move { answered.await.unwrap_or(Err(AppendError::Unavailable)) }
    }

    /// As [`EventLog::keep`], for a thread that may wait.
    pub fn keep_blocking(&self, changes: Vec<Change>) -> Result<(), AppendError> {
        self.ask_to_keep(changes).blocking_recv().unwrap_or(Err(AppendError::Unavailable))
    }

    fn ask_to_keep(&self, changes: Vec<Change>) -> oneshot::Receiver<Result<(), AppendError>> {
        let (answer, answered) = oneshot::channel();
        let _ = self.commands.send(Command::Keep(Keep { changes, answer }));
        answered
    }

    /// The rows of a kind, as they were when the log was opened; whoever asks first gets them.
    pub fn take_kept(&self, kind: Kind) -> Vec<Row> {
        let mut kept = self.kept.lock();
        let rows = kept.iter_mut().find(|(found, _)| *found == kind);
        rows.map(|(_, rows)| std::mem::take(rows)).unwrap_or_default()
    }

    /// Which log this is.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The recent events, and the way to learn of new ones.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Asks for the events after a position that concern these topics; `deliver` gets them on a
    /// reader's thread.
    pub fn page(
        &self,
        after: Position,
        topics: Vec<Topic>,
        deliver: impl FnOnce(Result<Page, PageError>) + Send + 'static,
    ) {
        match &self.readers {
            Some(readers) => readers.page(after, topics, Box::new(deliver)),
            // The ring of a memory log holds all there is: what left it is gone.
            None => deliver(Err(PageError::Gone)),
        }
    }

    /// The position after which at most `limit` events concern these topics and may be read by
    /// `reader`, if there is anything that it may not; `after` itself when there are no more than that
    /// since.
    pub async fn newest(
        &self,
        after: Position,
        topics: &Held,
        reader: Option<&Reader>,
        limit: usize,
    ) -> Result<Position, PageError> {
        match (self.ring.newest(after, topics.set(), reader, limit), &self.readers) {
            (Ok(start), _) => Ok(start),
            (Err(Behind), Some(readers)) => {
                let search = Search::new(after, limit, reader.cloned());
                readers.newest(search, topics.to_topics()).await
            }
            (Err(Behind), None) => Err(PageError::Gone),
        }
    }

    /// Writes what was accepted until now, brings it to the disk and takes no more.
    pub fn close(&self) {
        let _ = self.commands.send(Command::Close);
        if self.writer.lock().take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the log's writer had failed before it was closed");
        }
        // The database is closed in order only when nobody has a share of it.
        if let Some(readers) = &self.readers {
            readers.end();
        }
    }
}

#[cfg(test)]
mod tests;
