//! One client thread: an epoll loop over its share of the streams.
//!
//! A turn: wait, read what is ready, take the inbox, open what may be opened, send some away, feed
//! those on a diet, add the turn's counts to the board. The sockets are edge-triggered: a read that
//! does not fill the buffer has emptied the socket, unless the peer is gone, which is read to its
//! end.

use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::board::{Board, Turn};
use crate::churn::Churn;
use crate::clock;
use crate::commands::Command;
use crate::diet::Diet;
use crate::hearing::Hearing;
use crate::ledger::{Ledger, Published, Tally};
use crate::link::Link;
use crate::opening::{Openings, Pace, RETRY};
use crate::report::Histogram;
use crate::stream::{Phase, Stream};
use crate::target::Target;
use crate::timeline::Timeline;
use crate::wire::WireFault;

/// The inbox's token; streams have their numbers.
pub(crate) const INBOX: Token = Token(usize::MAX);

/// Large reads, since a busy server joins many events in one write.
const READ: usize = 256 * 1024;

/// How many streams one turn opens at most: so the ones that are open already are heard in between.
const OPEN_PER_TURN: usize = 64;

/// What the kernel may keep for a slow stream, so that the server soon notices that it is one.
const SLOW_BUFFER: usize = 4096;

/// How long a turn sleeps when nothing happens.
const IDLE: Duration = Duration::from_millis(100);

/// One thread's state.
pub(crate) struct Engine {
    poll: Poll,
    inbox: Receiver<Command>,
    board: Arc<Board>,
    target: Target,
    users: Range<u32>,
    /// Streams of all threads, which decides how many source addresses there must be.
    total: usize,
    streams: Vec<Stream>,
    openings: Openings,
    churn: Churn,
    diet: Diet,
    /// Streams that break come back, as a browser's would.
    comes_back: bool,
    ledger: Ledger,
    turn: Turn,
    buffer: Vec<u8>,
    request: Vec<u8>,
}

/// What an engine is made for.
pub(crate) struct Share {
    pub(crate) target: Target,
    /// One stream each.
    pub(crate) users: Range<u32>,
    /// The publishers' numberings.
    pub(crate) lanes: Range<u32>,
    pub(crate) total: usize,
    pub(crate) diet: Diet,
    pub(crate) comes_back: bool,
    pub(crate) keep_every: u32,
    pub(crate) timeline: Option<Timeline>,
}

impl Engine {
    /// An engine whose inbox wakes `poll`.
    pub(crate) fn new(
        poll: Poll,
        inbox: Receiver<Command>,
        board: Arc<Board>,
        share: Share,
    ) -> Engine {
        let Share { target, users, lanes, total, diet, comes_back, keep_every, timeline } = share;
        Engine {
            poll,
            inbox,
            board,
            target,
            total,
            streams: (0..users.len()).map(|number| Stream::shut(diet.contains(number))).collect(),
            openings: Openings::default(),
            churn: Churn::default(),
            diet,
            comes_back,
            ledger: Ledger::new(users.clone(), lanes, keep_every, timeline),
            users,
            turn: Turn::default(),
            buffer: vec![0; READ],
            request: Vec::new(),
        }
    }

    /// Runs until it is told to finish, or nobody is left to tell it.
    pub(crate) fn run(mut self) -> io::Result<Tally> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, Some(self.wait(clock::now()))) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in events.iter().filter(|event| event.token() != INBOX) {
                self.ready(event);
            }
            if let Some(published) = self.take_inbox() {
                return Ok(self.finish(&published));
            }
            self.open_some();
            self.send_away(clock::now());
            self.feed(clock::now());
            self.board.add(std::mem::take(&mut self.turn));
        }
    }

    fn wait(&self, now: u64) -> Duration {
        self.openings.wait(now).min(self.churn.wait(now)).min(self.diet.wait(now)).min(IDLE)
    }

    fn finish(mut self, published: &Published) -> Tally {
        for stream in &mut self.streams {
            stream.shut_down(true, Phase::Shut);
        }
        self.ledger.settle(published)
    }

    /// Carries out the commands; what was published when the last one came.
    fn take_inbox(&mut self) -> Option<Arc<Published>> {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Open(pace)) => self.open_all(pace),
                Ok(Command::CutAndOpen { abruptly, pace }) => {
                    self.cut(&self.users.clone(), abruptly);
                    self.open_all(pace);
                }
                Ok(Command::Cut { users, abruptly }) => self.cut(&users, abruptly),
                Ok(Command::Churn(per_second)) => self.churn.begin(per_second, clock::now()),
                Ok(Command::EndDiet) => self.end_diet(),
                Ok(Command::Finish(published)) => return Some(published),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => return Some(Arc::default()),
            }
        }
    }

    fn cut(&mut self, users: &Range<u32>, abruptly: bool) {
        let streams = self.users.clone().zip(&mut self.streams);
        for (_, stream) in streams.filter(|(user, _)| users.contains(user)) {
            self.turn.live -= i64::from(stream.phase == Phase::Live);
            stream.shut_down(abruptly, Phase::Shut);
        }
    }

    fn open_all(&mut self, pace: Pace) {
        self.board.connecting();
        self.ledger.tally.openings = Histogram::default();
        let shut =
            self.streams.iter().enumerate().filter(|(_, stream)| stream.phase == Phase::Shut);
        self.openings.begin(shut.map(|(number, _)| number), pace, clock::now());
    }

    /// Closes the streams whose turn it is to leave, some with a FIN, some with a reset.
    fn send_away(&mut self, now: u64) {
        while let Some(leaving) = self.churn.next(now, self.streams.len()) {
            let stream = &mut self.streams[leaving.stream];
            if stream.phase == Phase::Live {
                stream.shut_down(leaving.abruptly, Phase::Shut);
                self.turn.live -= 1;
                self.ledger.tally.churned += 1;
                self.openings.back_at(leaving.stream, leaving.back);
            }
        }
    }

    /// Lets the slow streams read a little.
    fn feed(&mut self, now: u64) {
        let Some(bytes) = self.diet.portion(now) else { return };
        for number in self.diet.streams() {
            if self.streams[number].phase == Phase::Live {
                self.read(number, bytes, false);
            }
        }
    }

    fn end_diet(&mut self) {
        // They stay slow ones in the books: what waited for them says nothing about latency, and the
        // server may have given them up already.
        for number in self.diet.end() {
            self.read(number, READ, true);
        }
    }

    fn open_some(&mut self) {
        for _ in 0..OPEN_PER_TURN {
            let Some(number) = self.openings.next(clock::now()) else { return };
            self.open(number);
        }
    }

    fn open(&mut self, number: usize) {
        let index = self.users.start as usize + number;
        let opened =
            self.target.connect_stream(index, self.total).and_then(|link| self.begin(number, link));
        match opened {
            Ok(()) => self.ask(number),
            Err(error) => self.broken(number, &error),
        }
    }

    fn begin(&mut self, number: usize, link: Link) -> io::Result<()> {
        let stream = &mut self.streams[number];
        if stream.slow {
            link.socket().set_recv_buffer_size(SLOW_BUFFER)?;
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        let socket = link.as_raw_fd();
        self.poll.registry().register(&mut SourceFd(&socket), Token(number), interest)?;
        stream.begin(link, clock::now());
        Ok(())
    }

    /// Sends the request if the connection is there. On loopback it mostly is, at once.
    fn ask(&mut self, number: usize) {
        let user = self.users.start as usize + number;
        let stream = &mut self.streams[number];
        self.target.stream_request(&mut self.request, user, stream.cursor.id());
        if let Err(error) = stream.ask(&self.request) {
            self.broken(number, &error);
        }
    }

    #[inline]
    fn ready(&mut self, event: &Event) {
        let number = event.token().0;
        if self.streams[number].phase == Phase::Connecting
            && (event.is_writable() || event.is_error())
        {
            self.ask(number);
        }
        let stream = &mut self.streams[number];
        if stream.phase == Phase::Live && self.diet.contains(number) {
            return;
        }
        if let Some(Err(error)) = stream.link.as_mut().map(Link::pump) {
            return self.broken(number, &error);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            let encrypted = matches!(self.streams[number].link, Some(Link::Tls(_)));
            let to_the_end = encrypted || event.is_read_closed() || event.is_error();
            self.read(number, READ, to_the_end);
        }
    }

    /// Reads up to `most` bytes at a time; `to_the_end` until there is nothing.
    #[inline]
    fn read(&mut self, number: usize, most: usize, to_the_end: bool) {
        loop {
            match self.streams[number].read(&mut self.buffer[..most]) {
                Ok(None) => return,
                Ok(Some(0)) => return self.broken(number, &io::ErrorKind::UnexpectedEof.into()),
                Ok(Some(length)) => {
                    let all = length < most || most < READ;
                    if !self.hear(number, length) || (all && !to_the_end) {
                        return;
                    }
                }
                Err(error) => return self.broken(number, &error),
            }
        }
    }

    /// Reads the stream's bytes in the buffer. False when the stream is over.
    #[inline]
    fn hear(&mut self, number: usize, length: usize) -> bool {
        self.turn.bytes += length as u64;
        let Stream { phase, reader, cursor, began, live_since, slow, .. } =
            &mut self.streams[number];
        let was_opening = *phase != Phase::Live;
        let (ledger, turn) = (&mut self.ledger, &mut self.turn);
        let (began, slow, now) = (*began, *slow, clock::now());
        let dialect = &self.target.dialect;
        let mut hearing = Hearing {
            stream: number,
            phase,
            cursor,
            ledger,
            turn,
            dialect,
            began,
            live_since,
            slow,
            now,
            farewell: None,
        };
        let read = reader.feed(&self.buffer[..length], &mut |item| hearing.hear(item));
        let farewell = hearing.farewell;
        if was_opening && *phase == Phase::Live {
            self.openings.done();
        }
        match (read, farewell) {
            (Ok(()), None) => return true,
            (Ok(()), Some(farewell)) => {
                self.broken(number, &io::Error::other(farewell.to_string()))
            }
            (Err(WireFault::Status(status)), _) => self.refused(number, status),
            (Err(fault), _) => self.hopeless(number, &fault),
        }
        false
    }

    /// A slow stream that the server gave up, as it may; it goes on where it was.
    fn shed(&mut self, number: usize) {
        self.turn.live -= 1;
        self.ledger.tally.shed += 1;
        self.streams[number].shut_down(true, Phase::Shut);
        self.openings.back_at(number, clock::now() + RETRY);
    }

    /// A stream that breaks while it opens is tried again; one that was live only in a fleet that
    /// comes back, else it is counted and stays shut.
    fn broken(&mut self, number: usize, error: &io::Error) {
        let stream = &mut self.streams[number];
        match stream.phase {
            // As it may; its last words may still have been in the way.
            Phase::Live if stream.slow => return self.shed(number),
            Phase::Live if self.comes_back => {
                self.turn.live -= 1;
                self.ledger.tally.returned += 1;
                stream.shut_down(true, Phase::Shut);
                return self.openings.back_at(number, clock::now() + RETRY);
            }
            Phase::Live => {
                self.turn.live -= 1;
                self.ledger.tally.ended += 1;
                stream.shut_down(true, Phase::Ended);
            }
            Phase::Ended => return,
            Phase::Shut | Phase::Connecting | Phase::Asked => {
                stream.shut_down(true, Phase::Shut);
                self.turn.retries += 1;
                self.openings.again(number, clock::now());
                // A unix listener says in this way that its backlog is full.
                if error.kind() == io::ErrorKind::WouldBlock {
                    return;
                }
            }
        }
        self.board.note(false, || format!("stream {number}: {error}"));
    }

    /// 429 and 503 pass, and what a proxy says while its server is away; other refusals do not.
    fn refused(&mut self, number: usize, status: u16) {
        if matches!(status, 429 | 502 | 503 | 504) {
            self.broken(number, &io::Error::other(format!("refused with {status}")));
        } else {
            self.hopeless(number, &WireFault::Status(status));
        }
    }

    fn hopeless(&mut self, number: usize, fault: &WireFault) {
        let stream = &mut self.streams[number];
        if stream.opening() {
            self.openings.done();
        } else {
            self.turn.live -= 1;
        }
        self.ledger.tally.ended += 1;
        stream.shut_down(true, Phase::Ended);
        self.board.note(true, || format!("stream {number}: {fault}"));
    }
}
