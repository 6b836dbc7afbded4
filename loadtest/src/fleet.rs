//! All engine threads of a run, seen from the scenario.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::{Poll, Waker};

use crate::board::Board;
use crate::engine::{Command, Engine, INBOX, Share};
use crate::failure::{Failure, While};
use crate::ledger::{Published, Tally};
use crate::opening::Pace;
use crate::stop::Stop;
use crate::target::Target;

/// How many streams, in how many threads, and which events they must get.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Stream `i` belongs to user `i`.
    pub(crate) streams: usize,
    /// Client threads.
    pub(crate) threads: usize,
    /// The numberings of the broadcasts to come.
    pub(crate) lanes: Range<u32>,
}

/// Ends its threads, and with them all streams, when dropped.
pub(crate) struct Fleet {
    /// What the threads report.
    pub(crate) board: Arc<Board>,
    streams: usize,
    threads: Vec<EngineThread>,
}

struct EngineThread {
    inbox: Sender<Command>,
    waker: Waker,
    thread: JoinHandle<std::io::Result<Tally>>,
}

impl Fleet {
    /// Starts the threads; no stream is open yet.
    pub(crate) fn start(target: &Target, plan: &Plan) -> Result<Fleet, Failure> {
        let board = Arc::new(Board::new());
        let count = plan.threads.clamp(1, plan.streams.max(1));
        let mut threads = Vec::new();
        for number in 0..count {
            let share = |end: usize| (plan.streams * end / count) as u32;
            let users = share(number)..share(number + 1);
            let share = Share {
                target: target.clone(),
                users,
                lanes: plan.lanes.clone(),
                total: plan.streams,
            };
            threads.push(EngineThread::start(number, board.clone(), share)?);
        }
        Ok(Fleet { board, streams: plan.streams, threads })
    }

    /// Opens all streams and waits until they are live.
    pub(crate) fn open(&self, pace: Pace, stop: &Stop, limit: Duration) -> Result<(), Failure> {
        self.wave(stop, limit, |engine| engine.send(Command::Open(pace)))
    }

    /// Cuts all streams, opens them again and waits until they are live. Once all are,
    /// [`Board::wave`] says how long it took.
    pub(crate) fn storm(
        &self,
        abruptly: bool,
        pace: Pace,
        stop: &Stop,
        limit: Duration,
    ) -> Result<(), Failure> {
        self.wave(stop, limit, |engine| engine.send(Command::CutAndOpen { abruptly, pace }))
    }

    fn wave(
        &self,
        stop: &Stop,
        limit: Duration,
        send: impl Fn(&EngineThread),
    ) -> Result<(), Failure> {
        self.board.new_wave();
        let before = self.board.connected();
        self.threads.iter().for_each(send);
        self.board.wait_connected(before, self.streams, stop, limit)
    }

    /// Closes the books and all streams.
    pub(crate) fn finish(mut self, published: Published) -> Result<Tally, Failure> {
        let published = Arc::new(published);
        let threads = std::mem::take(&mut self.threads);
        for engine in &threads {
            engine.send(Command::Finish(published.clone()));
        }
        let mut sum = Tally::default();
        for engine in threads {
            let tally =
                engine.thread.join().map_err(|_| std::io::Error::other("a panic")).flatten();
            sum.add(tally.while_("running a client thread")?);
        }
        Ok(sum)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for EngineThread { inbox, waker, thread } in self.threads.drain(..) {
            drop(inbox);
            let _ = waker.wake();
            let _ = thread.join();
        }
    }
}

impl EngineThread {
    fn start(number: usize, board: Arc<Board>, share: Share) -> Result<EngineThread, Failure> {
        let poll = Poll::new().while_("creating an epoll")?;
        let waker = Waker::new(poll.registry(), INBOX).while_("creating a waker")?;
        let (inbox, commands) = channel();
        let engine = Engine::new(poll, commands, board, share);
        let thread = std::thread::Builder::new()
            .name(format!("client-{number}"))
            .spawn(move || engine.run());
        Ok(EngineThread { inbox, waker, thread: thread.while_("starting a client thread")? })
    }

    /// A thread that is gone is noticed when it is joined.
    fn send(&self, command: Command) {
        let _ = self.inbox.send(command);
        let _ = self.waker.wake();
    }
}
