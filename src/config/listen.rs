//! An address to listen on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::notation::quoted;
use super::refusal::Refusal;
use super::value::path;

/// Longest path of a unix socket: `sun_path` has 108 bytes and ends with a NUL.
const SOCKET_PATH_MAX: usize = 107;

/// An address to listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Listen {
    /// `127.0.0.1:3000`, `[::1]:3000`, or `localhost:3000`, which means 127.0.0.1.
    Tcp(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Listen {
    type Err = Refusal;

    /// Names but `localhost` are refused: a listener must not depend on what DNS says at start.
    fn from_str(text: &str) -> Result<Listen, Refusal> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket_path(path).map(Listen::Unix);
        }
        let address = match text.strip_prefix("localhost:") {
            Some(port) => {
                port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
            }
            None => text.parse().ok(),
        };
        address.map(Listen::Tcp).ok_or_else(|| Refusal::NotAnAddress(quoted(text)))
    }
}

fn socket_path(text: &str) -> Result<PathBuf, Refusal> {
    if text.len() > SOCKET_PATH_MAX {
        return Err(Refusal::SocketPathTooLong(quoted(text)));
    }
    path(text)
}
