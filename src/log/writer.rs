//! The one thread that gives events their place.
//!
//! It takes whatever has come in since its last turn as one batch, commits it with one fsync, shows
//! it in the ring and answers the publishers, in this order: nobody sees an event that a crash could
//! still take back.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use thiserror::Error;
use tokio::sync::oneshot;

use super::{AppendError, Change, Durability, Extent, Once, Retention, Ring, Settings};
use crate::cursor::{Epoch, Position};
use crate::event::Event;
use crate::frame::Frame;
use crate::topic::Topics;
use crate::vital;

/// How long an idempotency key is remembered.
pub(super) const ONCE_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Under `interval`, how long an event may be shown and not yet be on the disk.
const SYNC_EVERY: Duration = Duration::from_millis(50);
/// How long to leave a disk alone that did not take them.
const RETRY_SYNC: Duration = Duration::from_secs(1);
/// How often retention is applied; the contract allows 5 s.
const TRIM_EVERY: Duration = Duration::from_secs(1);
/// A batch's bounds: enough that an fsync costs little per event, small enough that the first of a
/// batch does not wait long for the last.
const MOST_EVENTS: usize = 1024;
const MOST_BYTES: usize = 4 << 20;

/// Milliseconds since 1970 by the wall clock.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// What the writer is asked to do.
pub(super) enum Command {
    Append(Append),
    Keep(Keep),
    Close,
}

/// Rows to be kept beside the events.
pub(super) struct Keep {
    pub(super) changes: Vec<Change>,
    pub(super) answer: oneshot::Sender<Result<(), AppendError>>,
}

/// What is done in one turn.
#[derive(Default)]
struct Batch {
    events: Vec<Append>,
    rows: Vec<Keep>,
}

/// An event that waits for its place.
pub(super) struct Append {
    pub(super) event: Event,
    pub(super) once: Option<Once>,
    pub(super) answer: oneshot::Sender<Result<Position, AppendError>>,
}

/// Where a log stands when it is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) epoch: Epoch,
    pub(super) extent: Extent,
}

/// An event with the place that it gets if the commit succeeds.
pub(super) struct Pending {
    pub(super) position: Position,
    pub(super) event: Event,
    pub(super) once: Option<Once>,
}

/// What a request with an idempotency key was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) position: Position,
    pub(super) body: [u8; 32],
}

/// Why a store did not do it. Nothing was changed then.
#[derive(Debug, Error)]
pub(super) enum StoreError {
    #[error("no space left on the disk")]
    Full,
    #[error("{0}")]
    Failed(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> StoreError {
        match error.into() {
            redb::Error::Io(error) if is_full(&error) => StoreError::Full,
            error => StoreError::Failed(error),
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

impl From<&StoreError> for AppendError {
    fn from(error: &StoreError) -> AppendError {
        match error {
            StoreError::Full => AppendError::Full,
            StoreError::Failed(_) => AppendError::Unavailable,
        }
    }
}

/// What retention took away.
#[derive(Default)]
pub(super) struct Trimmed {
    /// Every event up to here, if any.
    pub(super) upto: Option<Position>,
    /// There is more to take away.
    pub(super) more: bool,
}

/// Keeps events; a call that fails has changed nothing.
pub(super) trait Store: Send + 'static {
    /// What a key was answered before.
    fn answered(&mut self, key: &[u8; 32]) -> Result<Option<Answered>, StoreError>;
    /// Keeps a batch, on the disk if `sync`.
    fn commit(&mut self, batch: &[Pending], now: u64, sync: bool) -> Result<(), StoreError>;
    /// Keeps rows beside the events, on the disk whatever the durability of events is.
    fn keep(&mut self, changes: &[Change]) -> Result<(), StoreError>;
    /// Brings to the disk what was committed without.
    fn sync(&mut self) -> Result<(), StoreError>;
    /// Takes away what is older than retention keeps, a bounded step of it.
    fn trim(&mut self, retention: &Retention, now: u64) -> Result<Trimmed, StoreError>;
}

/// The thread's state.
pub(super) struct Writer<S> {
    store: S,
    durability: Durability,
    retention: Retention,
    epoch: Epoch,
    head: Position,
    ring: Arc<Ring>,
    topics: Arc<Topics>,
    sync_at: Option<Instant>,
    trim_at: Instant,
}

/// Whether to go on after a batch.
#[derive(PartialEq, Eq)]
enum Flow {
    GoOn,
    Close,
}

impl<S: Store> Writer<S> {
    /// Starts the thread.
    pub(super) fn start(
        store: S,
        settings: &Settings,
        start: Start,
        ring: &Arc<Ring>,
        topics: &Arc<Topics>,
        commands: Receiver<Command>,
    ) -> std::io::Result<JoinHandle<()>> {
        let writer = Writer {
            store,
            durability: settings.durability,
            retention: settings.retention,
            epoch: start.epoch,
            head: start.extent.head,
            ring: Arc::clone(ring),
            topics: Arc::clone(topics),
            sync_at: None,
            trim_at: Instant::now(),
        };
        vital::spawn("rill-log", move || writer.run(&commands))
    }

    fn run(mut self, commands: &Receiver<Command>) {
        let mut batch = Batch::default();
        loop {
            let wake_at = self.sync_at.map_or(self.trim_at, |at| at.min(self.trim_at));
            let wait = wake_at.saturating_duration_since(Instant::now());
            let flow = match commands.recv_timeout(wait) {
                Ok(command) => gather(command, commands, &mut batch),
                Err(RecvTimeoutError::Timeout) => Flow::GoOn,
                Err(RecvTimeoutError::Disconnected) => Flow::Close,
            };
            self.publish(&mut batch.events);
            self.keep(&mut batch.rows);
            if flow == Flow::Close {
                break;
            }
            self.keep_up(Instant::now());
        }
        if self.sync_at.is_some()
            && let Err(error) = self.store.sync()
        {
            tracing::error!(%error, "the last events could not be brought to the disk");
        }
    }

    /// Gives each event of a batch its place, commits them together, shows them and answers.
    fn publish(&mut self, batch: &mut Vec<Append>) {
        if batch.is_empty() {
            return;
        }
        let (mut pending, mut answers) = (Vec::new(), Vec::new());
        let mut head = self.head;
        let mut keys: HashMap<[u8; 32], Answered> = HashMap::new();
        for Append { event, once, answer } in batch.drain(..) {
            match self.already_answered(once.as_ref(), &keys) {
                Ok(Some(position)) => answers.push((answer, Ok(position))),
                Ok(None) => {
                    head = head.next(now());
                    if let Some(Once { key, body }) = once {
                        keys.insert(key, Answered { position: head, body });
                    }
                    pending.push(Pending { position: head, event, once });
                    answers.push((answer, Ok(head)));
                }
                Err(error) => answers.push((answer, Err(error))),
            }
        }
        let committed = self.commit(pending, head);
        for (answer, result) in answers {
            // A publisher that is gone needs no answer.
            let _ = answer.send(match committed {
                // A repeat of an event of this batch shares its fate; one of an earlier batch is
                // already durable, but to say so is not worth a difference.
                Err(error) => Err(result.err().unwrap_or(error)),
                Ok(()) => result,
            });
        }
    }

    fn already_answered(
        &mut self,
        once: Option<&Once>,
        keys: &HashMap<[u8; 32], Answered>,
    ) -> Result<Option<Position>, AppendError> {
        let Some(once) = once else { return Ok(None) };
        let answered = match keys.get(&once.key) {
            Some(answered) => Some(*answered),
            None => self.store.answered(&once.key).map_err(|error| AppendError::from(&error))?,
        };
        match answered {
            Some(answered) if answered.body != once.body => Err(AppendError::Conflict),
            answered => Ok(answered.map(|answered| answered.position)),
        }
    }

    fn commit(&mut self, pending: Vec<Pending>, head: Position) -> Result<(), AppendError> {
        if pending.is_empty() {
            return Ok(());
        }
        let sync = self.durability == Durability::Fsync;
        self.store.commit(&pending, now(), sync).map_err(|error| {
            tracing::error!(%error, events = pending.len(), "the log did not take events");
            AppendError::from(&error)
        })?;
        if !sync {
            self.sync_at.get_or_insert_with(|| Instant::now() + SYNC_EVERY);
        }
        self.head = head;
        let encode = |Pending { position, event, .. }: Pending| {
            let topics = self.topics.hold(&event.topics);
            Arc::new(Frame::encode(position, self.epoch, &event, topics))
        };
        self.ring.push(pending.into_iter().map(encode).collect());
        Ok(())
    }

    fn keep(&mut self, rows: &mut Vec<Keep>) {
        if rows.is_empty() {
            return;
        }
        let changes: Vec<Change> =
            rows.iter_mut().flat_map(|keep| keep.changes.drain(..)).collect();
        let kept = self.store.keep(&changes).map_err(|error| {
            tracing::error!(%error, rows = changes.len(), "the log did not keep rows");
            AppendError::from(&error)
        });
        for Keep { answer, .. } in rows.drain(..) {
            // Whoever asked may be gone; it is done all the same.
            let _ = answer.send(kept);
        }
    }

    /// Does what is due by time.
    fn keep_up(&mut self, time: Instant) {
        if self.sync_at.is_some_and(|at| at <= time) {
            let synced = self.store.sync();
            self.sync_at = synced.is_err().then(|| time + RETRY_SYNC);
            if let Err(error) = synced {
                tracing::error!(%error, "events could not be brought to the disk yet");
            }
        }
        if self.trim_at <= time {
            self.trim_at = time + TRIM_EVERY;
            self.trim(time);
        }
    }

    fn trim(&mut self, time: Instant) {
        match self.store.trim(&self.retention, now()) {
            Ok(Trimmed { upto, more }) => {
                if let Some(upto) = upto {
                    self.ring.cut(upto);
                }
                if more {
                    self.trim_at = time;
                }
            }
            Err(error) => tracing::error!(%error, "old events could not be removed from the log"),
        }
    }
}

/// Takes everything that waits, up to the bounds of a batch.
fn gather(first: Command, commands: &mpsc::Receiver<Command>, batch: &mut Batch) -> Flow {
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(command) = next {
        match command {
            Command::Append(append) => {
                bytes += append.event.weight();
                batch.events.push(append);
            }
            Command::Keep(keep) => {
                bytes += keep.changes.iter().map(Change::weight).sum::<usize>();
                batch.rows.push(keep);
            }
            Command::Close => return Flow::Close,
        }
        let full = batch.events.len() + batch.rows.len() >= MOST_EVENTS || bytes >= MOST_BYTES;
        next = if full { None } else { commands.try_recv().ok() };
    }
    Flow::GoOn
}
