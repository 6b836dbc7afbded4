//! Listening sockets, and taking connections from them.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Context};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::reactor::{Peer, UNACKNOWLEDGED};
use crate::vital;

/// Connections that the kernel keeps until they are taken. The usual 128 overflow when clients come
/// back together, and each overflow costs a client seconds.
const BACKLOG: i32 = 4096;
/// A peer that nothing was written to for this long is asked whether it is there, and given up when
/// it does not answer the first time. That is for servers whose heartbeat comes later: a heartbeat
/// finds a vanished peer by itself. Earlier questions would do harm: the kernel asks thousands of
/// peers in one instant, loses most of that on a loopback device, and ends streams that are well.
const KEEPALIVE: Duration = Duration::from_secs(45);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_TRIES: u32 = 2;
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
    /// The path of a unix socket.
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

/// A listening socket.
pub struct Listener {
    socket: Listening,
    /// Where it can be reached; a unix socket's path is removed in the end.
    address: Address,
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
                let socket = TcpListener::from_std(tcp(*wanted)?.into());
                let address = Address::Tcp(socket.local_addr()?);
                Ok(Listener { socket: Listening::Tcp(socket), address })
            }
            Address::Unix(path) => {
                let socket = UnixListener::from_std(unix(path)?.into());
                Ok(Listener { socket: Listening::Unix(socket), address: address.clone() })
            }
        }
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
        if let Address::Unix(path) = &self.address {
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

/// Options are set here once: what is accepted inherits them.
fn tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_TRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn unix(path: &Path) -> io::Result<Socket> {
    remove_left_over(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// A process that was killed leaves its socket behind. One that somebody listens on is not touched,
/// nor is anything else.
fn remove_left_over(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// A connection before anything is known of it.
pub enum Accepted {
    /// From anywhere.
    Tcp(TcpStream),
    /// From this machine.
    Unix(UnixStream),
}

impl Accepted {
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
