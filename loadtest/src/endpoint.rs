//! Where a server listens, and the sockets that go there. Loopback and unix sockets only: this is a
//! load generator.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use socket2::{Domain, SockAddr, Socket, Type};

/// A port allows 28,000 connections from one source address here (ephemeral ports 32768 to 60999);
/// sockets that were closed less than a minute ago still hold some of them, and the search for a
/// free one gets slow long before that.
const STREAMS_PER_SOURCE: usize = 4_000;

/// Room for all streams that come at once: the usual 128 makes them wait for seconds.
const BACKLOG: i32 = 4096;

/// One listener of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `http://127.0.0.1:3000`.
    Tcp(SocketAddr),
    /// `https://127.0.0.1:8443`.
    Tls(SocketAddr),
    /// `unix:/run/rill.sock`.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => write!(f, "http://{address}"),
            Endpoint::Tls(address) => write!(f, "https://{address}"),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Endpoint, &'static str> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Endpoint::Unix(path.into()));
        }
        let (kind, authority): (fn(SocketAddr) -> Endpoint, _) = match text.split_once("://") {
            None => (Endpoint::Tcp, text),
            Some(("http", authority)) => (Endpoint::Tcp, authority),
            Some(("https", authority)) => (Endpoint::Tls, authority),
            Some(_) => return Err("not http:// or https://"),
        };
        let address: SocketAddr = authority
            .trim_end_matches('/')
            .replace("localhost", "127.0.0.1")
            .parse()
            .map_err(|_| "not http://ADDRESS:PORT")?;
        if address.ip().is_loopback() { Ok(kind(address)) } else { Err("not a loopback address") }
    }
}

impl Endpoint {
    /// Listens there, without blocking; also says where that is, since port 0 is any.
    pub(crate) fn listen(&self) -> io::Result<(Socket, Endpoint)> {
        let (socket, address) = self.socket()?;
        socket.bind(&address)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let bound = socket.local_addr()?.as_socket();
        Ok((socket, bound.map_or_else(|| self.clone(), Endpoint::Tcp)))
    }

    /// Starts to connect, without blocking. `index` chooses the source address among those that
    /// `total` streams need. A full backlog of a unix listener is `WouldBlock`: nothing is in
    /// progress then.
    pub(crate) fn connect(&self, index: usize, total: usize) -> io::Result<Socket> {
        let (socket, address) = self.socket()?;
        socket.set_nonblocking(true)?;
        if address.is_ipv4() && total > STREAMS_PER_SOURCE {
            bind(&socket, source(index))?;
        }
        match socket.connect(&address) {
            Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(error),
            _ => Ok(socket),
        }
    }

    /// A blocking connection whose reads and writes give up after `timeout`.
    pub(crate) fn connect_blocking(&self, timeout: Duration) -> io::Result<Socket> {
        self.connect_blocking_from(None, timeout)
    }

    /// The same over IPv4 from this address.
    pub(crate) fn connect_blocking_from(
        &self,
        source: Option<Ipv4Addr>,
        timeout: Duration,
    ) -> io::Result<Socket> {
        let (socket, address) = self.socket()?;
        if let Some(source) = source.filter(|_| address.is_ipv4()) {
            bind(&socket, source)?;
        }
        socket.set_read_timeout(Some(timeout))?;
        socket.set_write_timeout(Some(timeout))?;
        socket.connect(&address)?;
        Ok(socket)
    }

    fn socket(&self) -> io::Result<(Socket, SockAddr)> {
        match self {
            Endpoint::Tcp(address) | Endpoint::Tls(address) => {
                let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
                socket.set_tcp_nodelay(true)?;
                Ok((socket, (*address).into()))
            }
            Endpoint::Unix(path) => {
                Ok((Socket::new(Domain::UNIX, Type::STREAM, None)?, SockAddr::unix(path)?))
            }
        }
    }

    /// What to put into `Host`.
    pub(crate) fn host(&self) -> String {
        match self {
            Endpoint::Tcp(address) | Endpoint::Tls(address) => address.to_string(),
            Endpoint::Unix(_) => "localhost".into(),
        }
    }
}

/// The port is chosen at connect, where only the pair of both ends has to be unique: bind would
/// search for one that is free altogether, for milliseconds a socket once many are in TIME_WAIT.
fn bind(socket: &Socket, source: Ipv4Addr) -> io::Result<()> {
    setsockopt(socket, IpBindAddressNoPort, &true)?;
    socket.bind(&SocketAddr::new(source.into(), 0).into())
}

/// 127.0.0.2 and up.
fn source(index: usize) -> Ipv4Addr {
    let number = 2 + (index / STREAMS_PER_SOURCE) as u32;
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 0, 0, 0).to_bits() + number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_an_endpoint() {
        assert_eq!(
            "http://localhost:80/".parse(),
            Ok(Endpoint::Tcp("127.0.0.1:80".parse().unwrap()))
        );
        assert_eq!("unix:/x".parse(), Ok(Endpoint::Unix("/x".into())));
        assert_eq!(
            "https://127.0.0.1:443".parse(),
            Ok(Endpoint::Tls("127.0.0.1:443".parse().unwrap()))
        );
        assert!("http://10.0.0.1:80".parse::<Endpoint>().is_err());
        assert!("ftp://127.0.0.1:80".parse::<Endpoint>().is_err());
        assert!("127.0.0.1".parse::<Endpoint>().is_err());
    }
}
