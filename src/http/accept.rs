//! A connection from the moment it is accepted to its end, or to where a stream takes its socket.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::drive::{Outcome, Serve, Timeouts, drive};
use super::front::{Front, Orders};
use super::listen::{Accepted, Listener, Newcomer};
use super::proxies::protocol::read_proxy_header;
use super::stream::Departure;
use super::{Server, Settings, Visitor};

impl Server {
    /// Takes connections and drives each in a task of the runtime that this is called on.
    pub fn listen(self: &Arc<Self>, listeners: Vec<Listener>) -> io::Result<Front> {
        let (server, runtime) = (Arc::clone(self), Handle::current());
        Front::open(listeners, move |newcomer, orders| {
            runtime.spawn(Arc::clone(&server).connection(newcomer, orders));
        })
    }

    async fn connection(self: Arc<Self>, newcomer: Newcomer, mut orders: Orders) {
        let peer = newcomer.address();
        let mut socket = match newcomer.into_socket() {
            Ok(socket) => socket,
            Err(error) => return tracing::error!(%error, "a connection cannot be driven"),
        };
        if let Some(peer) = self.introduced(&mut socket, peer, &mut orders).await {
            let visitor = Visitor { server: &self, peer, refusing: &orders.refusing };
            self.drive(socket, &visitor, orders.end).await;
        }
    }

    /// The address of the client, whom a proxy may have to introduce; `None` when it did not, and the
    /// connection is over.
    pub(super) async fn introduced(
        &self,
        socket: &mut Accepted,
        peer: Option<IpAddr>,
        orders: &mut Orders,
    ) -> Option<Option<IpAddr>> {
        if !self.doors.proxies.introduces(peer) {
            return Some(peer);
        }
        let introduced = timeout(self.settings.head_timeout, read_proxy_header(socket));
        let introduced = tokio::select! {
            introduced = introduced => introduced,
            _ = orders.end.wait_for(|ended| *ended) => return None,
        };
        match introduced {
            Ok(Ok(client)) => return Some(client),
            Ok(Err(error)) => tracing::debug!(%error, "a proxy introduced nobody"),
            Err(_) => tracing::debug!("a proxy introduced nobody in time"),
        }
        None
    }

    /// Lets a service have the requests of a connection, up to its end or to the stream that takes it
    /// over.
    pub(super) async fn drive<S: Serve<Seat = Departure>>(
        &self,
        socket: Accepted,
        service: &S,
        end: watch::Receiver<bool>,
    ) {
        let Settings { head_timeout: head, keep_alive, .. } = self.settings;
        match drive(socket, &Timeouts { head, keep_alive }, service, end).await {
            Outcome::HandedOff { socket, seat: Departure { admitted, framing, opening } } => {
                match socket.into_peer() {
                    Ok(peer) => self.hub.seat(admitted, peer, framing, opening),
                    Err(error) => tracing::error!(%error, "a stream cannot leave the front"),
                }
            }
            Outcome::Ended(ending) => tracing::trace!(?ending, "connection ended"),
        }
    }
}
