//! One stream that a thread of its own listens to, event by event: it tells what the books of a fleet
//! do not keep.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock;
use crate::dialect::Meaning;
use crate::failure::{Failure, While};
use crate::link::{Link, waits};
use crate::listener;
use crate::stop::Stop;
use crate::target::Target;
use crate::wire::{Item, StreamReader};

/// How long the stream may take to be live.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the thread looks whether to end.
const GLANCE: Duration = Duration::from_millis(50);

/// How often it is looked whether enough was heard.
const LOOK: Duration = Duration::from_millis(5);

/// An event.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// Its name.
    pub(crate) kind: String,
    /// Its data.
    pub(crate) data: String,
    /// When it was read.
    pub(crate) at: u64,
}

/// Ends its thread and the stream when dropped.
pub(crate) struct Witness {
    record: Arc<Record>,
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

#[derive(Default)]
struct Record {
    heard: Mutex<Vec<Heard>>,
    /// Nobody asks any more.
    over: AtomicBool,
}

impl Witness {
    /// Opens a stream of `user` and waits until it is live.
    pub(crate) fn open(target: &Target, user: u32, stop: &Stop) -> Result<Witness, Failure> {
        let link = listener::ask(target, user, b"")?;
        link.socket().set_read_timeout(Some(GLANCE)).while_("setting a stream's timeout")?;
        let record = Arc::<Record>::default();
        let thread = std::thread::Builder::new().name("witness".into()).spawn({
            let record = record.clone();
            move || record.listen(link)
        });
        let thread = Some(thread.while_("starting a witness")?);
        let witness = Witness { record, thread };
        let live = |heard: &[Heard]| {
            let meaning = |heard: &Heard| target.dialect.meaning(heard.kind.as_bytes());
            heard.iter().any(|heard| meaning(heard) == Meaning::Live)
        };
        if witness.wait(PATIENCE, stop, live) {
            return Ok(witness);
        }
        stop.check()?;
        witness.finish()?;
        Err(std::io::Error::from(std::io::ErrorKind::TimedOut)).while_("opening a witness's stream")
    }

    /// Waits until what was heard is enough. False when that takes longer than `limit`, the run has
    /// to end, or the stream is over.
    pub(crate) fn wait(
        &self,
        limit: Duration,
        stop: &Stop,
        enough: impl Fn(&[Heard]) -> bool,
    ) -> bool {
        let end = Instant::now() + limit;
        loop {
            // Before the look: what was heard last counts also when the stream is over.
            let last = self.thread.as_ref().is_none_or(JoinHandle::is_finished)
                || stop.over()
                || Instant::now() >= end;
            if enough(&self.record.heard()) {
                return true;
            }
            if last {
                return false;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Closes the stream, and tells all that was heard. A stream that ended before is a failure.
    pub(crate) fn finish(mut self) -> Result<Vec<Heard>, Failure> {
        self.end().unwrap_or(Ok(()))?;
        Ok(std::mem::take(&mut *self.record.heard()))
    }

    fn end(&mut self) -> Option<Result<(), Failure>> {
        self.record.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take()?.join();
        Some(ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // Whoever drops it has something worse to tell.
        let _ = self.end();
    }
}

impl Record {
    fn heard(&self) -> MutexGuard<'_, Vec<Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, mut link: Link) -> Result<(), Failure> {
        let (mut reader, mut buffer) = (StreamReader::default(), vec![0; 64 * 1024]);
        let mut ended = false;
        while !ended && !self.over.load(Ordering::Relaxed) {
            let length = match link.read(&mut buffer) {
                Err(error) if waits(&error) => continue,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read.while_("reading a witness's stream")?,
            };
            let (at, mut heard) = (clock::now(), self.heard());
            reader.feed(&buffer[..length], &mut |item| match item {
                Item::Event(event) => heard.push(Heard {
                    kind: String::from_utf8_lossy(event.kind).into_owned(),
                    data: String::from_utf8_lossy(&event.data.unwrap_or_default()).into_owned(),
                    at,
                }),
                Item::Head | Item::Comment => {}
                Item::End => ended = true,
            })?;
            ended |= length == 0;
        }
        if !ended {
            return Ok(());
        }
        let eof: std::io::Error = std::io::ErrorKind::UnexpectedEof.into();
        Err(eof).while_("reading a witness's stream")
    }
}
