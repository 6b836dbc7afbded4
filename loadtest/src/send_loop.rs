//! The reference to measure against: a plain, single-threaded epoll loop that sends one frame to
//! each socket.
//!
//! It does what no server could do with less, short of joining writes: one `send` a socket and
//! event, the frame encoded once. It runs in a child process, speaks enough HTTP and SSE that the
//! same client can listen to it, and takes its commands from a pipe.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use slab::Slab;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::clock;
use crate::endpoint::Endpoint;
use crate::stamp::{Scope, Stamp};

const LISTENER: Token = Token(0);
const CONTROL: Token = Token(1);
const FIRST: usize = 2;

const BACKLOG: i32 = 4096;

/// A peer that takes nothing for so many milliseconds is cut off, so that the loop ends in any
/// case.
const PATIENCE: u16 = 10_000;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\
    Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n";

/// What the pipe says; 17 bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// One broadcast with this mark.
    Send { lane: u32, k: u32, t: u64 },
    /// Broadcasts without a pause.
    Run { lane: u32 },
    /// No more broadcasts; say how many there were.
    Halt,
}

impl Command {
    /// The size of a command.
    pub(crate) const SIZE: usize = 17;

    /// As bytes.
    pub(crate) fn encode(self) -> [u8; Command::SIZE] {
        let (letter, lane, k, t) = match self {
            Command::Send { lane, k, t } => (b'b', lane, k, t),
            Command::Run { lane } => (b'f', lane, 0, 0),
            Command::Halt => (b's', 0, 0, 0),
        };
        let mut bytes = [letter; Command::SIZE];
        bytes[1..5].copy_from_slice(&lane.to_le_bytes());
        bytes[5..9].copy_from_slice(&k.to_le_bytes());
        bytes[9..].copy_from_slice(&t.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Command> {
        let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let t = u64::from_le_bytes(bytes.get(9..Command::SIZE)?.try_into().ok()?);
        match bytes[0] {
            b'b' => Some(Command::Send { lane: u32_at(1)?, k: u32_at(5)?, t }),
            b'f' => Some(Command::Run { lane: u32_at(1)? }),
            b's' => Some(Command::Halt),
            _ => None,
        }
    }
}

struct Peer {
    socket: Socket,
    /// The request so far; None once it was answered.
    asking: Option<Vec<u8>>,
}

/// The loop's state.
pub(crate) struct SendLoop<C, O> {
    poll: Poll,
    listener: Socket,
    control: C,
    commands: Vec<u8>,
    out: O,
    frame_bytes: usize,
    peers: Slab<Peer>,
    /// The lane of the broadcasts without a pause, and their number so far.
    running: Option<u32>,
    sent: u32,
    over: bool,
}

/// Listens where `endpoint` says; port 0 is any.
pub(crate) fn listen(endpoint: &Endpoint) -> io::Result<(Socket, Endpoint)> {
    let (domain, address) = match endpoint {
        Endpoint::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
        Endpoint::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
    };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.bind(&address)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let bound = socket.local_addr()?.as_socket().map_or_else(|| endpoint.clone(), Endpoint::Tcp);
    Ok((socket, bound))
}

impl<C: Read + AsRawFd, O: Write> SendLoop<C, O> {
    /// A loop that reads commands from `control`, answers them on `out`, and sends frames of
    /// `frame_bytes`.
    pub(crate) fn new(
        listener: Socket,
        control: C,
        out: O,
        frame_bytes: usize,
    ) -> io::Result<SendLoop<C, O>> {
        let poll = Poll::new()?;
        poll.registry().register(
            &mut SourceFd(&listener.as_raw_fd()),
            LISTENER,
            Interest::READABLE,
        )?;
        poll.registry().register(
            &mut SourceFd(&control.as_raw_fd()),
            CONTROL,
            Interest::READABLE,
        )?;
        let (commands, peers) = (Vec::new(), Slab::new());
        Ok(SendLoop {
            poll,
            listener,
            control,
            commands,
            out,
            frame_bytes,
            peers,
            running: None,
            sent: 0,
            over: false,
        })
    }

    /// Runs until the pipe is closed.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while !self.over {
            let wait = self.running.map(|_| std::time::Duration::ZERO);
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    CONTROL => self.take_commands()?,
                    Token(number) => self.hear(number - FIRST),
                }
            }
            if let Some(lane) = self.running {
                self.broadcast(lane, self.sent, clock::now());
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((socket, _)) => self.seat(socket)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn seat(&mut self, socket: Socket) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        // Not for unix sockets.
        let _ = socket.set_tcp_nodelay(true);
        let entry = self.peers.vacant_entry();
        let token = Token(entry.key() + FIRST);
        self.poll.registry().register(
            &mut SourceFd(&socket.as_raw_fd()),
            token,
            Interest::READABLE,
        )?;
        entry.insert(Peer { socket, asking: Some(Vec::new()) });
        Ok(())
    }

    /// Answers the request; later a peer can only leave.
    fn hear(&mut self, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let mut bytes = [0; 4096];
        match peer.socket.read(&mut bytes) {
            Ok(length) if length > 0 => peer.ask(&bytes[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => drop(self.peers.remove(key)),
        }
    }

    /// One read empties the pipe, since a command is far smaller than the buffer; it blocks for
    /// none, since epoll said that there is something.
    fn take_commands(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        let length = self.control.read(&mut bytes)?;
        self.over = length == 0;
        self.commands.extend_from_slice(&bytes[..length]);
        while self.commands.len() >= Command::SIZE {
            let command: Vec<u8> = self.commands.drain(..Command::SIZE).collect();
            self.obey(Command::decode(&command).ok_or(io::ErrorKind::InvalidData)?)?;
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) -> io::Result<()> {
        match command {
            Command::Send { lane, k, t } => self.broadcast(lane, k, t),
            Command::Run { lane } => (self.running, self.sent) = (Some(lane), 0),
            Command::Halt => {
                self.running = None;
                writeln!(self.out, "sent {}", self.sent)?;
                self.out.flush()?;
            }
        }
        Ok(())
    }

    /// The thing itself: one frame, one `send` a socket.
    fn broadcast(&mut self, lane: u32, k: u32, t: u64) {
        let frame = frame(Stamp { scope: Scope::Lane(lane), k, t }, self.frame_bytes);
        for (_, peer) in &self.peers {
            if peer.asking.is_none() {
                send_all(&peer.socket, &frame);
            }
        }
        self.sent = k + 1;
    }
}

impl Peer {
    fn ask(&mut self, bytes: &[u8]) {
        let Some(request) = &mut self.asking else { return };
        request.extend_from_slice(bytes);
        if request.ends_with(b"\r\n\r\n") {
            self.asking = None;
            let hello = chunk("retry: 3000\nid: 0-0.loop\nevent: connected\ndata: {}\n\n");
            send_all(&self.socket, &[HEAD.as_bytes(), &hello].concat());
        }
    }
}

/// Waits for a socket that is full. One that is broken shows that in `hear`.
fn send_all(socket: &Socket, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match socket.send(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut writable = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
                if nix::poll::poll(&mut writable, PollTimeout::from(PATIENCE)) == Ok(0) {
                    let _ = socket.shutdown(Shutdown::Both);
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// An event of about `size` bytes on the wire (exactly, if a chunk of that size exists), shaped
/// like a server's.
fn frame(stamp: Stamp, size: usize) -> Vec<u8> {
    let bare = block(stamp, 0);
    let framing = 4 + format!("{:x}", size.saturating_sub(6)).len();
    chunk(&block(stamp, size.saturating_sub(framing + bare.len())))
}

fn block(stamp: Stamp, padding: usize) -> String {
    let (ms, k) = (stamp.t / 1_000_000, stamp.k);
    let pad = "x".repeat(padding);
    format!(
        "id: {ms}-{k}.loop\nevent: notification\ndata: {{\"message\":\"{stamp}\",\"pad\":\"{pad}\"}}\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_size_that_is_wanted() {
        let stamp = Stamp { scope: Scope::Lane(1), k: 99, t: 123_456_789_012 };
        for size in [120, 200, 261, 263, 300, 5000] {
            assert_eq!(frame(stamp, size).len(), size);
        }
        assert!(frame(stamp, 0).len() > 80, "never less than the event itself");
    }

    #[test]
    fn commands_survive_the_pipe() {
        for command in
            [Command::Send { lane: 1, k: 2, t: u64::MAX }, Command::Run { lane: 9 }, Command::Halt]
        {
            assert_eq!(Command::decode(&command.encode()), Some(command));
        }
        assert_eq!(Command::decode(&[0; Command::SIZE]), None);
    }
}
