//! Peers on other addresses of this machine.

use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Socket, Type};

use super::{Peer, Server};

/// One that connects to the server from `127.0.0.{last}`.
pub(crate) fn peer_from(last: u8, server: &Server) -> Peer {
    connect_from(last, server.address())
}

/// One that connects to whoever listens there.
pub(crate) fn connect_from(last: u8, address: SocketAddr) -> Peer {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
    let own = SocketAddr::from((IpAddr::from([127, 0, 0, last]), 0));
    socket.bind(&own.into()).expect("an address of this machine");
    Peer::from_socket(socket, &address.into())
}
