//! Reads old events back for those who were away longer than the ring reaches.
//!
//! A shard or a handler must not wait for a disk, so a small pool of threads does.

use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::oneshot;

use super::embedded::Embedded;
use crate::cursor::{Epoch, Position};
use crate::frame::Frame;
use crate::topic::{Held, TopicSet, Topics};
use crate::vital;

/// Two: one long scan does not hold up everyone else, and a disk gains little from more.
const THREADS: usize = 2;
/// What a page holds, in bytes of records: about what a socket takes at once.
const PAGE_BYTES: usize = 64 << 10;
/// How many records a page looks at before others get their turn.
const PAGE_RECORDS: usize = 20_000;
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

enum Job {
    Page { after: Position, topics: Held, deliver: Deliver },
    Newest { after: Position, topics: Held, limit: usize, answer: Answer },
}

type Answer = oneshot::Sender<Result<Position, PageError>>;

/// The pool. Its threads end when it is dropped and their work is done.
pub(super) struct Readers {
    jobs: Sender<Job>,
}

impl Readers {
    /// Starts the threads.
    pub(super) fn start(
        store: Arc<Embedded>,
        topics: Arc<Topics>,
        epoch: Epoch,
    ) -> std::io::Result<Readers> {
        let (jobs, received) = mpsc::channel();
        let received = Arc::new(Mutex::new(received));
        for number in 0..THREADS {
            let reader = Reader { store: Arc::clone(&store), topics: Arc::clone(&topics), epoch };
            let jobs = Arc::clone(&received);
            vital::spawn(format!("rill-reader-{number}"), move || reader.run(&jobs))?;
        }
        Ok(Readers { jobs })
    }

    /// Reads a page.
    pub(super) fn page(&self, after: Position, topics: Held, deliver: Deliver) {
        // The threads outlive this sender.
        let _ = self.jobs.send(Job::Page { after, topics, deliver });
    }

    /// Finds the position after which at most `limit` events match.
    pub(super) async fn newest(
        &self,
        after: Position,
        topics: Held,
        limit: usize,
    ) -> Result<Position, PageError> {
        let (answer, answered) = oneshot::channel();
        let _ = self.jobs.send(Job::Newest { after, topics, limit, answer });
        answered.await.unwrap_or(Err(PageError::Unavailable))
    }
}

struct Reader {
    store: Arc<Embedded>,
    topics: Arc<Topics>,
    epoch: Epoch,
}

impl Reader {
    fn run(&self, jobs: &Mutex<Receiver<Job>>) {
        // The lock is held while waiting for a job and not while doing it.
        while let Ok(job) = { jobs.lock().recv() } {
            match job {
                Job::Page { after, topics, deliver } => deliver(self.page(after, topics.set())),
                Job::Newest { after, topics, limit, answer } => {
                    let newest = || self.store.newest(after, &self.topics, topics.set(), limit);
                    // Who asked may be gone.
                    let _ = answer.send(with_patience(newest));
                }
            }
        }
    }

    fn page(&self, after: Position, set: &TopicSet) -> Result<Page, PageError> {
        let read = || self.store.page(after, &self.topics, set, PAGE_BYTES, PAGE_RECORDS);
        let matches = with_patience(read)?.ok_or(PageError::Gone)?;
        let encode = |(position, event): (Position, crate::event::Event)| {
            let topics = self.topics.hold(&event.topics);
            Arc::new(Frame::encode(position, self.epoch, &event, topics))
        };
        Ok(Page { frames: matches.events.into_iter().map(encode).collect(), upto: matches.upto })
    }
}

/// Tries again while the store is being reopened.
fn with_patience<T>(read: impl Fn() -> Result<T, redb::Error>) -> Result<T, PageError> {
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
