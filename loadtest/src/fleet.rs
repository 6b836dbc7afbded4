//! All engine threads of a run, seen from the scenario.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use mio::{Poll, Waker};

use crate::board::Board;
use crate::commands::Command;
use crate::diet::{Diet, Slow};
use crate::engine::{Engine, INBOX, Share};
use crate::failure::{Failure, While};
use crate::ledger::{Published, Tally};
use crate::opening::Pace;
use crate::run::{Run, Story};
use crate::target::Target;

/// How many streams, what they are like, and which events they must get.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Stream `i` belongs to user `i`.
    pub(crate) streams: usize,
    /// The numberings of the broadcasts to come.
    pub(crate) lanes: Range<u32>,
    /// Some read slowly.
    pub(crate) slow: Option<Slow>,
    /// Streams that break come back with their cursors, as a browser's would.
    pub(crate) comes_back: bool,
    /// Of so many broadcasts the way of one is kept.
    pub(crate) keep_every: u32,
    /// Whether the page of the run tells of these streams: not of those to a reference.
    pub(crate) told: bool,
}

impl Plan {
    /// Streams that read at once and are not meant to break.
    pub(crate) fn new(streams: usize, lanes: Range<u32>) -> Plan {
        Plan { streams, lanes, slow: None, comes_back: false, keep_every: 1, told: true }
    }
}

/// Ends its threads, and with them all streams, when dropped.
pub(crate) struct Fleet {
    /// What the threads report.
    pub(crate) board: Arc<Board>,
    streams: usize,
    threads: Vec<EngineThread>,
    told: Option<Arc<Story>>,
}

struct EngineThread {
    inbox: Sender<Command>,
    waker: Waker,
    thread: JoinHandle<std::io::Result<Tally>>,
}

impl Fleet {
    /// Starts the threads; no stream is open yet.
    pub(crate) fn start(target: &Target, plan: &Plan, run: &Run) -> Result<Fleet, Failure> {
        let board = Arc::new(Board::new());
        let told = plan.told.then(|| run.story.clone());
        if plan.told {
            run.monitor.follow(&board);
        }
        let count = run.common.threads.clamp(1, plan.streams.max(1));
        let mut threads = Vec::new();
        for number in 0..count {
            let share = |end: usize| (plan.streams * end / count) as u32;
            let users = share(number)..share(number + 1);
            let share = Share {
                target: target.clone(),
                diet: Diet::new(plan.slow, users.len()),
                users,
                lanes: plan.lanes.clone(),
                total: plan.streams,
                comes_back: plan.comes_back,
                keep_every: plan.keep_every,
                timeline: told.as_ref().and_then(|story| story.timeline()),
            };
            threads.push(EngineThread::start(number, board.clone(), share)?);
        }
        Ok(Fleet { board, streams: plan.streams, threads, told })
    }

    /// Starts the threads and opens all streams.
    pub(crate) fn open_all(target: &Target, plan: &Plan, run: &Run) -> Result<Fleet, Failure> {
        let fleet = Fleet::start(target, plan, run)?;
        fleet.open(run.common.pace(), run)?;
        Ok(fleet)
    }

    /// Opens all streams, which are shut, and waits until they are live.
    pub(crate) fn open(&self, pace: Pace, run: &Run) -> Result<(), Failure> {
        self.wave(run, |engine| engine.send(Command::Open(pace)))
    }

    /// Cuts all streams, opens them again and waits until they are live. Once all are,
    /// [`Board::wave`] says how long it took.
    pub(crate) fn storm(&self, abruptly: bool, pace: Pace, run: &Run) -> Result<(), Failure> {
        self.wave(run, |engine| engine.send(Command::CutAndOpen { abruptly, pace }))
    }

    /// Cuts the streams of these users, all of them live. They stay away until [`Fleet::open`].
    pub(crate) fn cut(&self, users: Range<u32>, abruptly: bool) {
        for engine in &self.threads {
            engine.send(Command::Cut { users: users.clone(), abruptly });
        }
    }

    fn wave(&self, run: &Run, send: impl Fn(&EngineThread)) -> Result<(), Failure> {
        run.monitor.phase(format!("opening {} streams", self.streams));
        self.board.new_wave();
        let before = self.board.connected();
        self.threads.iter().for_each(send);
        let limit = run.common.opening_limit();
        self.board.wait_connected(before, self.streams, &run.stop, limit)?;
        run.monitor.phase(format!("{} streams are open", self.streams));
        Ok(())
    }

    /// From now on so many streams a second leave, and come back with their cursors; 0 ends that.
    pub(crate) fn churn(&self, per_second: f64) {
        let share = per_second / self.threads.len() as f64;
        self.threads.iter().for_each(|engine| engine.send(Command::Churn(share)));
    }

    /// Lets the slow streams read like all others.
    pub(crate) fn end_diet(&self) {
        self.threads.iter().for_each(|engine| engine.send(Command::EndDiet));
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
        if let Some((story, timeline)) = self.told.take().zip(sum.timeline.take()) {
            story.add(timeline);
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
