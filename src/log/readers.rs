//! Reads old events back for those who were away longer than the ring reaches.
//!
//! A shard or a handler must not wait for a disk, so a small pool of threads does. What takes long
//! is done in steps, and each step is a job of its own behind those of others.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use thiserror::Error;
use tokio::sync::oneshot;

use super::embedded::Embedded;
use super::pages::Search;
use crate::cursor::{Epoch, Position};
use crate::event::Event;
use crate::frame::Frame;
use crate::topic::{Topic, Topics};
use crate::vital;

/// Two: a disk gains little from more.
const THREADS: usize = 2;
/// What a page holds, in bytes of records: about what a socket takes at once.
const PAGE_BYTES: usize = 64 << 10;
/// How many events a step finds, some milliseconds of work, before others get their turn.
const STEP_EVENTS: usize = 2_000;
/// The store is reopened after a fault of the disk; a read waits for that this often, this long.
const TRIES: usize = 50;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Old events that concern a connection, in order.
pub struct Page {
    /// The events.
    pub frames: Vec<Arc<Frame>>,
    /// Up to here every event that matches is in `frames`.
    pub upto: Position,
}

/// Why there is no page.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PageError {
    /// Retention has removed what comes after the position.
    #[error("the position is no longer kept")]
    Gone,
    /// The store cannot be read.
    #[error("the log cannot be read")]
    Unavailable,
}

/// Gets the page, on a reader's thread.
pub(super) type Deliver = Box<dyn FnOnce(Result<Page, PageError>) + Send>;
type Answer = oneshot::Sender<Result<Position, PageError>>;

struct Job {
    topics: Vec<Topic>,
    work: Work,
}

enum Work {
    Page { after: Position, deliver: Deliver },
    Search { search: Search, answer: Answer },
}

/// Jobs that wait for a thread.
#[derive(Default)]
struct Queue {
    jobs: Mutex<Option<VecDeque<Job>>>,
    more: Condvar,
}

impl Queue {
    /// Adds a job, unless the pool has ended.
    fn push(&self, job: Job) {
        if let Some(jobs) = self.jobs.lock().as_mut() {
            jobs.push_back(job);
            self.more.notify_one();
        }
    }

    /// Waits for a job; `None` when the pool has ended.
    fn pop(&self) -> Option<Job> {
        let mut jobs = self.jobs.lock();
        loop {
            match jobs.as_mut()?.pop_front() {
                Some(job) => return Some(job),
                None => self.more.wait(&mut jobs),
            }
        }
    }

    fn end(&self) {
        *self.jobs.lock() = None;
        self.more.notify_all();
    }
}

/// The pool.
pub(super) struct Readers {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    /// Starts the threads.
    pub(super) fn start(
        store: Arc<Embedded>,
        topics: Arc<Topics>,
        epoch: Epoch,
    ) -> std::io::Result<Readers> {
        let queue = Arc::new(Queue { jobs: Mutex::new(Some(VecDeque::new())), ..Queue::default() });
        let mut threads = Vec::new();
        for number in 0..THREADS {
            let (store, topics) = (Arc::clone(&store), Arc::clone(&topics));
            let reader = Reader { store, topics, epoch, queue: Arc::clone(&queue) };
            threads.push(vital::spawn(format!("rill-reader-{number}"), move || reader.run())?);
        }
        Ok(Readers { queue, threads: Mutex::new(threads) })
    }

    /// Reads a page.
    pub(super) fn page(&self, after: Position, topics: Vec<Topic>, deliver: Deliver) {
        self.queue.push(Job { topics, work: Work::Page { after, deliver } });
    }

    /// Finds the position after which no more events match than a search allows.
    pub(super) async fn newest(
        &self,
        search: Search,
        topics: Vec<Topic>,
    ) -> Result<Position, PageError> {
        let (answer, answered) = oneshot::channel();
        self.queue.push(Job { topics, work: Work::Search { search, answer } });
        answered.await.unwrap_or(Err(PageError::Unavailable))
    }

    /// Ends the threads; jobs that still wait are not done.
    pub(super) fn end(&self) {
        self.queue.end();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                tracing::error!("a reader of the log had failed before it was ended");
            }
        }
    }
}

struct Reader {
    store: Arc<Embedded>,
    topics: Arc<Topics>,
    epoch: Epoch,
    queue: Arc<Queue>,
}

impl Reader {
    fn run(&self) {
        while let Some(Job { topics, work }) = self.queue.pop() {
            match work {
                Work::Page { after, deliver } => deliver(self.page(after, &topics)),
                Work::Search { search, answer } => self.search(search, topics, answer),
            }
        }
    }

    fn page(&self, after: Position, topics: &[Topic]) -> Result<Page, PageError> {
        let read = || self.store.page(after, topics, PAGE_BYTES, STEP_EVENTS);
        let matches = with_patience(read)?.ok_or(PageError::Gone)?;
        let encode = |(position, event): (Position, Event)| {
            let topics = self.topics.hold(&event.topics);
            Arc::new(Frame::encode(position, self.epoch, &event, topics))
        };
        Ok(Page { frames: matches.events.into_iter().map(encode).collect(), upto: matches.upto })
    }

    fn search(&self, mut search: Search, topics: Vec<Topic>, answer: Answer) {
        if answer.is_closed() {
            return;
        }
        let step = || self.store.search(&mut search, &topics, STEP_EVENTS);
        match with_patience(step) {
            Ok(None) => self.queue.push(Job { topics, work: Work::Search { search, answer } }),
            found => {
                let found = found.and_then(|position| position.ok_or(PageError::Unavailable));
                // Who asked may be gone by now.
                let _ = answer.send(found);
            }
        }
    }
}

/// Tries again while the store is being reopened.
fn with_patience<T>(mut read: impl FnMut() -> Result<T, redb::Error>) -> Result<T, PageError> {
    for _ in 1..TRIES {
        match read() {
            Ok(value) => return Ok(value),
            Err(redb::Error::DatabaseClosed | redb::Error::PreviousIo) => {
                thread::sleep(BETWEEN_TRIES);
            }
            Err(error) => {
                tracing::error!(%error, "the log cannot be read");
                return Err(PageError::Unavailable);
            }
        }
    }
    Err(PageError::Unavailable)
}
