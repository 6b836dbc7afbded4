//! Many publishers in one thread: an epoll loop over keep-alive connections, each with one request
//! under way.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::clock;
use crate::courier::refusal;
use crate::failure::{Failure, While};
use crate::link::Link;
use crate::stop::Stop;
use crate::target::{Order, Receipt, Target};
use crate::wire::{Answer, AnswerReader};

/// The timer's token; lanes have their numbers. A timer of its own, since epoll's timeout knows
/// only milliseconds.
const TIMER: Token = Token(usize::MAX);

/// A lane whose answer does not come for this long makes the run fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long an answer may still take once the run has to end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How often it is looked whether the run has to end, or a lane waits for too long.
const GLANCE: Duration = Duration::from_millis(50);

/// What a lane does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Publish this now.
    Publish(Order),
    /// Ask again at this time; it is the same for all lanes.
    At(u64),
    /// Nothing more.
    Done,
}

/// How a publish ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// 2xx.
    Kept(Receipt),
    /// Any other answer.
    Refused(Failure),
    /// No answer: the server may have it or not.
    Unknown(io::Error),
}

/// Decides what is published when, and hears what became of it.
pub(crate) trait Script {
    /// What the idle `lane` does at the time `now`.
    fn next(&mut self, lane: usize, now: u64) -> Next;
    /// How `lane`'s `order` ended. An error ends the run.
    fn ended(
        &mut self,
        lane: usize,
        order: Order,
        outcome: Outcome,
        now: u64,
    ) -> Result<(), Failure>;
}

struct Lane {
    link: Option<Link>,
    reader: AnswerReader,
    request: Vec<u8>,
    /// How much of the request is sent.
    sent: usize,
    order: Option<Order>,
    /// When the order was begun.
    began: u64,
}

/// The loop's state.
struct Publishers<'a, S> {
    target: &'a Target,
    script: &'a mut S,
    poll: Poll,
    timer: TimerFd,
    lanes: Vec<Lane>,
    idle: VecDeque<usize>,
    busy: usize,
    /// The run has to end: nothing new is published.
    over: bool,
    /// How long a lane waits for its answer.
    patience: Duration,
    buffer: Vec<u8>,
}

/// Publishes what `script` says over `lanes` connections, until it has nothing more.
pub(crate) fn publish<S: Script>(
    target: &Target,
    lanes: usize,
    script: &mut S,
    stop: &Stop,
) -> Result<(), Failure> {
    let mut publishers = Publishers::new(target, lanes, script).while_("setting up publishers")?;
    publishers.run(stop)
}

impl<'a, S: Script> Publishers<'a, S> {
    fn new(target: &'a Target, lanes: usize, script: &'a mut S) -> io::Result<Publishers<'a, S>> {
        let poll = Poll::new()?;
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        poll.registry().register(
            &mut SourceFd(&timer.as_fd().as_raw_fd()),
            TIMER,
            Interest::READABLE,
        )?;
        let lane = || Lane {
            link: None,
            reader: AnswerReader::default(),
            request: Vec::new(),
            sent: 0,
            order: None,
            began: 0,
        };
        let mut publishers = Publishers {
            target,
            script,
            poll,
            timer,
            lanes: std::iter::repeat_with(lane).take(lanes).collect(),
            idle: (0..lanes).collect(),
            busy: 0,
            over: false,
            patience: PATIENCE,
            buffer: vec![0; 16 * 1024],
        };
        (0..lanes).try_for_each(|lane| publishers.connect(lane))?;
        Ok(publishers)
    }

    fn run(&mut self, stop: &Stop) -> Result<(), Failure> {
        let mut events = Events::with_capacity(256);
        let mut looked = clock::now();
        let mut end = None;
        while !self.dispatch(clock::now())? || self.busy > 0 {
            if stop.over() {
                self.over = true;
                let end = *end.get_or_insert_with(|| clock::now() + clock::nanos(LAST_ANSWERS));
                if clock::now() > end {
                    // What is unanswered is not counted as published. Each of these orders is its
                    // lane's last, so that no later number makes up for it: whether a stream has
                    // got it or not, nothing is missing.
                    return Ok(());
                }
            }
            match self.poll.poll(&mut events, Some(GLANCE)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(error).while_("polling publishers");
                }
                _ => {}
            }
            for event in &events {
                if event.token() == TIMER {
                    // Only its arrival matters; what is due is seen from the clock.
                    let _ = self.timer.wait();
                } else {
                    self.ready(event.token().0)?;
                }
            }
            if clock::now() - looked > clock::nanos(GLANCE) {
                looked = clock::now();
                self.check(looked).while_("waiting for the answer to a publish")?;
            }
        }
        Ok(())
    }

    /// Fails when a lane has waited for too long, whatever the others do.
    fn check(&self, now: u64) -> io::Result<()> {
        let patience = clock::nanos(self.patience);
        let mut busy = self.lanes.iter().filter(|lane| lane.order.is_some());
        let late = busy.any(|lane| now - lane.began > patience);
        if late { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// Gives the idle lanes work. True when there is none left.
    fn dispatch(&mut self, now: u64) -> Result<bool, Failure> {
        if self.over {
            return Ok(true);
        }
        while let Some(&lane) = self.idle.front() {
            match self.script.next(lane, now) {
                Next::Publish(order) => {
                    self.idle.pop_front();
                    self.begin(lane, order)?;
                }
                Next::At(time) => {
                    self.alarm(time).while_("setting a timer")?;
                    return Ok(false);
                }
                Next::Done => return Ok(true),
            }
        }
        Ok(false)
    }

    fn alarm(&self, time: u64) -> nix::Result<()> {
        let time = TimeSpec::from_duration(Duration::from_nanos(time.max(1)));
        self.timer.set(Expiration::OneShot(time), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
    }

    fn begin(&mut self, lane: usize, order: Order) -> Result<(), Failure> {
        self.busy += 1;
        let state = &mut self.lanes[lane];
        self.target.publish_request(&mut state.request, &order);
        state.sent = 0;
        state.order = Some(order);
        state.began = clock::now();
        if state.link.is_none() {
            self.connect(lane).while_("connecting a publisher")?;
        }
        self.write(lane)
    }

    fn connect(&mut self, lane: usize) -> io::Result<()> {
        let link = self.target.connect_publisher(PATIENCE)?;
        link.socket().set_nonblocking(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut SourceFd(&link.as_raw_fd()), Token(lane), interest)?;
        self.lanes[lane].link = Some(link);
        self.lanes[lane].reader = AnswerReader::default();
        Ok(())
    }

    fn ready(&mut self, lane: usize) -> Result<(), Failure> {
        let state = &mut self.lanes[lane];
        if let Some(Err(error)) = state.link.as_mut().map(Link::pump) {
            return self.broken(lane, error);
        }
        if state.sent < state.request.len() {
            self.write(lane)?;
        }
        self.read(lane)
    }

    fn write(&mut self, lane: usize) -> Result<(), Failure> {
        let state = &mut self.lanes[lane];
        let Some(link) = &mut state.link else { return Ok(()) };
        while state.sent < state.request.len() {
            match link.write(&state.request[state.sent..]) {
                Ok(written) => state.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return self.broken(lane, error),
            }
        }
        Ok(())
    }

    fn read(&mut self, lane: usize) -> Result<(), Failure> {
        loop {
            let Some(link) = &mut self.lanes[lane].link else { return Ok(()) };
            let plain = matches!(link, Link::Plain(_));
            let length = match link.read(&mut self.buffer) {
                Ok(0) => return self.closed(lane),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return self.broken(lane, error),
            };
            if let Some(answer) = self.lanes[lane].reader.feed(&self.buffer[..length])? {
                self.answered(lane, &answer)?;
            }
            // The socket is empty; of TLS only the next read can tell.
            if plain && length < self.buffer.len() {
                return Ok(());
            }
        }
    }

    fn answered(&mut self, lane: usize, answer: &Answer) -> Result<(), Failure> {
        let receipt = self.target.receipt(answer);
        let outcome = receipt.map_or_else(|| Outcome::Refused(refusal(answer)), Outcome::Kept);
        if answer.closes {
            self.lanes[lane].link = None;
        }
        self.end(lane, outcome)
    }

    /// The peer closed: that may be an answer's end, or the end of an idle connection.
    fn closed(&mut self, lane: usize) -> Result<(), Failure> {
        match self.lanes[lane].reader.end() {
            Some(answer) => self.answered(lane, &answer),
            None => self.broken(lane, io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn broken(&mut self, lane: usize, error: io::Error) -> Result<(), Failure> {
        self.lanes[lane].link = None;
        self.end(lane, Outcome::Unknown(error))
    }

    fn end(&mut self, lane: usize, outcome: Outcome) -> Result<(), Failure> {
        let Some(order) = self.lanes[lane].order.take() else { return Ok(()) };
        self.busy -= 1;
        let now = clock::now();
        self.script.ended(lane, order, outcome, now)?;
        // A closed loop goes on at once, without another round through epoll.
        match self.script.next(lane, now) {
            Next::Publish(order) if !self.over => self.begin(lane, order),
            Next::Publish(_) | Next::At(_) | Next::Done => {
                self.idle.push_back(lane);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
