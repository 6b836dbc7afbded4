//! The peer's socket, as far as a shard knows it.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;

/// How long the kernel waits for a peer that acknowledges nothing. With a heartbeat every 30 s, a peer
/// that vanished without a word is found within 60 s.
pub const UNACKNOWLEDGED: Duration = Duration::from_secs(25);
/// The same while old events are replayed, for which `max_lag` does not count.
const UNACKNOWLEDGED_REPLAYING: Duration = Duration::from_secs(55);

/// How a peer does, which tells how long the kernel shall wait for it. It takes a window that stays
/// shut for a peer that has vanished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It has everything.
    Level,
    /// It does not take what it missed as fast as it is written.
    Replaying,
    /// It is behind, and ended by `max_lag` if it stays so.
    Behind,
}

/// What a shard does with a socket. None of it waits.
pub trait Socket {
    /// Reads some bytes; 0 is the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes some bytes of the first slices.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Says that nothing follows.
    fn finish(&mut self) -> io::Result<()>;
    /// Tells how the peer does from now on.
    fn set_pace(&mut self, pace: Pace);
}

/// A stream's socket after it has left hyper.
pub enum Peer {
    /// A browser or curl.
    Tcp(TcpStream),
    /// A proxy on the same machine.
    Unix(UnixStream),
}

impl Peer {
    /// Asks to be told of what the peer sends, and of space to write if `writable`.
    pub fn watch(&mut self, registry: &Registry, token: Token, writable: bool) -> io::Result<()> {
        registry.reregister(self.source(), token, interest(writable))
    }

    /// The same, the first time.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.source(), token, interest(false))
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Peer::Tcp(stream) => stream,
            Peer::Unix(stream) => stream,
        }
    }
}

/// Writability is asked for only while it is waited for: a unix socket reports it each time that
/// the peer reads.
fn interest(writable: bool) -> Interest {
    if writable { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
}

impl Socket for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Peer::Tcp(stream) => stream.read(buffer),
            Peer::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Peer::Tcp(stream), [only]) => stream.write(only),
            (Peer::Tcp(stream), several) => stream.write_vectored(several),
            (Peer::Unix(stream), [only]) => stream.write(only),
            (Peer::Unix(stream), several) => stream.write_vectored(several),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Peer::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Peer::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    fn set_pace(&mut self, pace: Pace) {
        if let Peer::Tcp(stream) = self {
            let timeout = match pace {
                Pace::Level => Some(UNACKNOWLEDGED),
                Pace::Replaying => Some(UNACKNOWLEDGED_REPLAYING),
                Pace::Behind => None,
            };
            // Without it the peer is only found later, by the limits on lag and idling.
            let _ = SockRef::from(&*stream).set_tcp_user_timeout(timeout);
        }
    }
}
