//! Listening sockets, and taking connections from them.

mod socket;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Context};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{SockRef, Socket, Type};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::reactor::Peer;
use crate::vital;

/// How long to take no connection when there are no descriptors: trying at once would only spin, and
/// fill the log.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Connections taken from one listener before the next has its turn.
const TURN: usize = 256;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address and a port; port 0 is any free one.
    Tcp(SocketAddr),
    /// The path of a unix socket. An inherited one that is abstract is shown with an `@` before its
    /// name; to bind, `@` is a character of a path as any other.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "http://{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a socket that somebody else opened is not listened on.
#[derive(Debug, Error)]
pub enum InheritError {
    /// Not what it should be.
    #[error("not a TCP or unix stream socket that listens")]
    NotListening,
    /// The system does not do what is needed with it.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A listening socket.
pub struct Listener {
    socket: Listening,
    /// Where it can be reached.
    address: Address,
    /// Whether it is somebody else's, who keeps it open for the next process.
    inherited: bool,
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Begins to listen.
    pub fn bind(address: &Address) -> io::Result<Listener> {
        match address {
            Address::Tcp(wanted) => {
                let socket = TcpListener::from_std(socket::tcp(*wanted)?.into());
                let address = Address::Tcp(socket.local_addr()?);
                Ok(Listener { socket: Listening::Tcp(socket), address, inherited: false })
            }
            Address::Unix(path) => {
                let socket = Listening::Unix(UnixListener::from_std(socket::unix(path)?.into()));
                Ok(Listener { socket, address: address.clone(), inherited: false })
            }
        }
    }

    /// Takes over a socket that somebody else opened and keeps: the length of its queue is his
    /// choice, and its path stays.
    pub fn inherit(socket: OwnedFd) -> Result<Listener, InheritError> {
        let socket = Socket::from(socket);
        if !socket.is_listener()? || socket.r#type()? != Type::STREAM {
            return Err(InheritError::NotListening);
        }
        socket.set_nonblocking(true)?;
        let at = socket.local_addr()?;
        let (socket, address) = if let Some(address) = at.as_socket() {
            socket::set_tcp_options(&socket)?;
            (Listening::Tcp(TcpListener::from_std(socket.into())), Address::Tcp(address))
        } else if let Some(path) = socket::path_of(&at) {
            (Listening::Unix(UnixListener::from_std(socket.into())), Address::Unix(path))
        } else {
            return Err(InheritError::NotListening);
        };
        Ok(Listener { socket, address, inherited: true })
    }

    /// Where it can be reached.
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn accept(&self) -> io::Result<Newcomer> {
        match &self.socket {
            Listening::Tcp(socket) => {
                socket.accept().map(|(stream, peer)| Newcomer::Tcp(stream.into(), peer.ip()))
            }
            Listening::Unix(socket) => {
                socket.accept().map(|(stream, _)| Newcomer::Unix(stream.into()))
            }
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            Listening::Tcp(socket) => socket,
            Listening::Unix(socket) => socket,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let (Address::Unix(path), false) = (&self.address, self.inherited) {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Takes connections from listeners, in a thread of its own.
pub struct Acceptor {
    thread: JoinHandle<()>,
    ended: Arc<AtomicBool>,
    bell: Waker,
}

impl Acceptor {
    /// Gives each connection to `greet`.
    ///
    /// Among thousands of tasks that want to answer, one that takes connections would have its turn
    /// too late, and the kernel's queue would overflow; a thread gets its turn from the kernel.
    pub fn start(
        mut listeners: Vec<Listener>,
        greet: impl Fn(Newcomer) + Send + 'static,
    ) -> io::Result<Acceptor> {
        let poll = Poll::new()?;
        let bell = Waker::new(poll.registry(), Token(listeners.len()))?;
        for (number, listener) in listeners.iter_mut().enumerate() {
            poll.registry().register(listener.source(), Token(number), Interest::READABLE)?;
        }
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let thread =
            vital::spawn("rill-accept", move || accept_all(poll, &listeners, &end, greet))?;
        Ok(Acceptor { thread, ended, bell })
    }

    /// Takes no more connections and closes the listeners.
    pub fn stop(self) {
        self.ended.store(true, Ordering::Release);
        // If the bell is broken, the thread ends with the process.
        if self.bell.wake().is_ok() && self.thread.join().is_err() {
            tracing::error!("the thread that takes connections had failed before it was stopped");
        }
    }
}

fn accept_all(
    mut poll: Poll,
    listeners: &[Listener],
    ended: &AtomicBool,
    greet: impl Fn(Newcomer),
) {
    let mut events = Events::with_capacity(listeners.len() + 1);
    let mut waiting = vec![false; listeners.len()];
    while !ended.load(Ordering::Acquire) {
        // A listener that still has connections is not told of again.
        let wait = waiting.contains(&true).then_some(Duration::ZERO);
        if let Err(error) = poll.poll(&mut events, wait)
            && error.kind() != io::ErrorKind::Interrupted
        {
            panic!("no connections can be taken any more: {error}");
        }
        for event in &events {
            if let Some(waiting) = waiting.get_mut(event.token().0) {
                *waiting = true;
            }
        }
        for (listener, waiting) in listeners.iter().zip(&mut waiting) {
            *waiting = *waiting && accept_some(listener, &greet);
        }
    }
}

/// Takes the next few connections, so that each listener has its turn; tells whether there may be
/// more. Without descriptors they stay with the kernel until there are some.
fn accept_some(listener: &Listener, greet: &impl Fn(Newcomer)) -> bool {
    for _ in 0..TURN {
        match listener.accept() {
            Ok(newcomer) => greet(newcomer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            // The peer was gone before it was taken.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken for a moment");
                thread::sleep(BACK_OFF);
                return true;
            }
        }
    }
    true
}

/// A connection that was just taken, and that nobody waits on yet.
pub enum Newcomer {
    /// From this address.
    Tcp(std::net::TcpStream, IpAddr),
    /// From this machine.
    Unix(std::os::unix::net::UnixStream),
}

impl Newcomer {
    /// The peer's address; none on a unix socket.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Newcomer::Tcp(_, address) => Some(address.to_canonical()),
            Newcomer::Unix(_) => None,
        }
    }

    /// The socket, for the runtime that this is called on.
    pub fn into_socket(self) -> io::Result<Accepted> {
        match self {
            Newcomer::Tcp(stream, _) => TcpStream::from_std(stream).map(Accepted::Tcp),
            Newcomer::Unix(stream) => UnixStream::from_std(stream).map(Accepted::Unix),
        }
    }
}

/// A connection before anything is known of it.
pub enum Accepted {
    /// From anywhere.
    Tcp(TcpStream),
    /// From this machine.
    Unix(UnixStream),
}

impl From<TcpStream> for Accepted {
    fn from(stream: TcpStream) -> Accepted {
        Accepted::Tcp(stream)
    }
}

impl From<UnixStream> for Accepted {
    fn from(stream: UnixStream) -> Accepted {
        Accepted::Unix(stream)
    }
}

impl Accepted {
    /// Sets what a socket would have from a listener of ours, and tells the peer's address.
    pub(super) fn prepare(&self) -> io::Result<Option<IpAddr>> {
        match self {
            Accepted::Tcp(stream) => {
                socket::set_tcp_options(&SockRef::from(stream))?;
                Ok(Some(stream.peer_addr()?.ip().to_canonical()))
            }
            Accepted::Unix(_) => Ok(None),
        }
    }

    /// The same socket, for a shard.
    pub fn into_peer(self) -> io::Result<Peer> {
        Ok(match self {
            Accepted::Tcp(stream) => Peer::Tcp(mio::net::TcpStream::from_std(stream.into_std()?)),
            Accepted::Unix(stream) => {
                Peer::Unix(mio::net::UnixStream::from_std(stream.into_std()?))
            }
        })
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> task::Poll<io::Result<()>> {
        match self.get_mut() {
            Accepted::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Accepted::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> task::Poll<io::Result<usize>> {
        match self.get_mut() {
            Accepted::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Accepted::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> task::Poll<io::Result<()>> {
        // Sockets keep nothing back.
        task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> task::Poll<io::Result<()>> {
        match self.get_mut() {
            Accepted::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Accepted::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::UNACKNOWLEDGED;

    #[tokio::test]
    async fn a_programs_sockets_get_what_ours_have() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).await.expect("a connection");
        let (socket, _) = listener.accept().await.expect("a connection");
        let accepted = Accepted::from(socket);
        assert_eq!(accepted.prepare().expect("an address"), Some(address.ip()));
        let Accepted::Tcp(socket) = &accepted else { panic!("it is TCP") };
        let socket = SockRef::from(socket);
        assert!(socket.tcp_nodelay().expect("an option") && socket.keepalive().expect("one"));
        assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(UNACKNOWLEDGED));
        drop(client);
    }
}
