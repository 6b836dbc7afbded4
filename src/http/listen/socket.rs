//! How listening sockets are made, and what is asked of the system for them.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use crate::reactor::UNACKNOWLEDGED;

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

/// Options are set here once: what is accepted inherits them.
pub(super) fn set_tcp_options(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_TRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

/// Begins to listen on an address.
pub(super) fn tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    set_tcp_options(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Begins to listen on a path.
pub(super) fn unix(path: &Path) -> io::Result<Socket> {
    remove_left_over(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Where a unix socket can be reached.
pub(super) fn path_of(address: &SockAddr) -> Option<PathBuf> {
    let named = address.as_pathname().map(Path::to_owned);
    named.or_else(|| {
        let name = [b"@", address.as_abstract_namespace()?].concat();
        Some(OsStr::from_bytes(&name).into())
    })
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
