//! The streams one by one, and how each is doing.

use std::net::IpAddr;

use super::Hub;
use super::admission::{Holder, Listed};
use crate::event::Name;
use crate::reactor::{ConnectionId, Report};

/// A stream.
pub struct Connection {
    /// Its number.
    pub id: ConnectionId,
    /// Whose it is, if he is known.
    pub user: Option<Name>,
    /// Where its client is, if that can be told.
    pub address: Option<IpAddr>,
    /// Its path, as [`super::admission::Origin`] has it.
    pub path: u8,
    /// How it is doing.
    pub report: Report,
}

/// A page of them.
pub struct Connections {
    /// In the order of their places.
    pub page: Vec<Connection>,
    /// The stream after which to go on, if there may be more.
    pub next: Option<ConnectionId>,
}

impl Hub {
    /// Up to `limit` streams whose places are behind that of `after`; those of one user if one is
    /// asked for.
    pub async fn connections(
        &self,
        of: Option<Name>,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Connections {
        let of = of.map(Holder::User);
        let mut listed = self.admission.list(of.as_ref(), after, limit + 1);
        let more = listed.len() > limit;
        listed.truncate(limit);
        // Also when that one ends meanwhile: what counts is its place.
        let next = listed.last().filter(|_| more).map(|last| last.id);
        Connections { page: self.report(listed).await, next }
    }

    /// One stream, if there is one with this number.
    pub async fn connection(&self, id: ConnectionId) -> Option<Connection> {
        let listed = self.admission.find(id)?;
        self.report(vec![listed]).await.pop()
    }

    /// Asks the shards; who has ended meanwhile is left out.
    async fn report(&self, listed: Vec<Listed>) -> Vec<Connection> {
        let seats: Vec<_> = listed.iter().map(|stream| stream.seated).collect();
        let reports = self.reactor.report(&seats).await;
        let connection = |(Listed { id, holder, origin, .. }, report): (Listed, Option<Report>)| {
            let user = match holder {
                Holder::User(user) => Some(user),
                Holder::Address(_) | Holder::Nobody => None,
            };
            Some(Connection {
                id,
                user,
                address: origin.address,
                path: origin.path,
                report: report?,
            })
        };
        listed.into_iter().zip(reports).filter_map(connection).collect()
    }
}
