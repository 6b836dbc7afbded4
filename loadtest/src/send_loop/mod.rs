//! The reference to measure against: a plain, single-threaded epoll loop that sends one frame to
//! each socket.
//!
//! It does what no server could do with less, short of joining writes: one `send` a socket and
//! event, the frame encoded once. It knows no users and keeps nothing: every publish is a broadcast
//! to the streams that are open. It runs in a child process and speaks enough HTTP and SSE that
//! streams and publishers reach it in the same way as the servers that are compared with it:
//!
//! ```text
//! GET /stream     head, `connected`, then the broadcasts
//! POST /publish   one broadcast with the body's stamp, then {"success":true,"id":"..."}
//! ```

mod frame;
mod request;

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use slab::Slab;
use socket2::Socket;

use crate::clock;
use crate::stamp::Stamp;
use request::{Malformed, Request, Requests};

const LISTENER: Token = Token(0);
const CONTROL: Token = Token(1);
const FIRST: usize = 2;

/// One read; the longest request fits.
const READ: usize = 64 * 1024;

/// A peer that takes nothing for so many milliseconds is cut off, so that the loop ends in any
/// case.
const PATIENCE: u16 = 10_000;

struct Peer {
    socket: Socket,
    /// What is not answered yet; None for a stream, of which nothing more is read.
    asking: Option<Requests>,
}

/// The loop's state.
pub(crate) struct SendLoop<C> {
    poll: Poll,
    listener: Socket,
    control: C,
    frame_bytes: usize,
    peers: Slab<Peer>,
    /// Broadcasts so far.
    count: u64,
    /// The id of the last one.
    id: String,
    buffer: Vec<u8>,
}

impl<C: Read + AsRawFd> SendLoop<C> {
    /// A loop that sends frames of `frame_bytes` until `control` is closed.
    pub(crate) fn new(listener: Socket, control: C, frame_bytes: usize) -> io::Result<SendLoop<C>> {
        let poll = Poll::new()?;
        watch(&poll, listener.as_raw_fd(), LISTENER)?;
        watch(&poll, control.as_raw_fd(), CONTROL)?;
        Ok(SendLoop {
            poll,
            listener,
            control,
            frame_bytes,
            peers: Slab::new(),
            count: 0,
            id: "0-0.loop".into(),
            buffer: vec![0; READ],
        })
    }

    /// Runs until the control pipe is closed.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    CONTROL if self.control.read(&mut self.buffer)? == 0 => return Ok(()),
                    CONTROL => {}
                    Token(number) => self.hear(number - FIRST),
                }
            }
        }
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
        watch(&self.poll, socket.as_raw_fd(), Token(entry.key() + FIRST))?;
        entry.insert(Peer { socket, asking: Some(Requests::default()) });
        Ok(())
    }

    /// Reads until nothing is left, since the poll tells only of what is new.
    fn hear(&mut self, key: usize) {
        while let Some(peer) = self.peers.get_mut(key) {
            match peer.socket.read(&mut self.buffer) {
                Ok(length) if length > 0 => self.take(key, length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => drop(self.peers.remove(key)),
            }
        }
    }

    /// Answers the requests that the read completes, one after the other. A stream has no more.
    fn take(&mut self, key: usize, length: usize) {
        if let Some(requests) = &mut self.peers[key].asking {
            requests.extend(&self.buffer[..length]);
        }
        while let Some(requests) = &mut self.peers[key].asking {
            match requests.next() {
                Ok(Some(request)) => self.answer(key, request),
                Ok(None) => return,
                Err(Malformed) => {
                    send_all(&self.peers[key].socket, frame::BAD_REQUEST.as_bytes());
                    drop(self.peers.remove(key));
                    return;
                }
            }
        }
    }

    fn answer(&mut self, key: usize, request: Request) {
        let answer = match request {
            Request::Stream => {
                self.peers[key].asking = None;
                frame::hello(&self.id)
            }
            Request::Publish(stamp) => {
                self.broadcast(stamp);
                frame::receipt(&self.id)
            }
            Request::Other => frame::NOT_FOUND.into(),
        };
        send_all(&self.peers[key].socket, answer.as_bytes());
    }

    /// The thing itself: one frame, one `send` a socket.
    fn broadcast(&mut self, stamp: Stamp) {
        self.count += 1;
        self.id = format!("{}-{}.loop", clock::now() / 1_000_000, self.count);
        let frame = frame::event(&self.id, stamp, self.frame_bytes);
        for (_, peer) in self.peers.iter().filter(|(_, peer)| peer.asking.is_none()) {
            send_all(&peer.socket, frame.as_bytes());
        }
    }
}

fn watch(poll: &Poll, descriptor: RawFd, token: Token) -> io::Result<()> {
    poll.registry().register(&mut SourceFd(&descriptor), token, Interest::READABLE)
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
