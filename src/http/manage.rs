//! What the manager does with streams: counts them, lists them, and sends them away.

use hyper::StatusCode;

use super::connections::{Listing, one, page};
use super::problem::Problem;
use super::query::Query;
use super::router::Manage;
use super::{Answer, Server, json};
use crate::event::Payload;
use crate::hub::Stats;
use crate::identity::Identity;

impl Server {
    /// Does it, for admins.
    pub(super) async fn manage(
        &self,
        manage: Manage,
        query: &Query,
        caller: &Identity,
    ) -> Result<Answer, Problem> {
        let stop = query.truth("stop")?.unwrap_or(false);
        let listing = Listing::read(query)?;
        if !caller.roles.is_admin() {
            return Err(Problem::forbidden("Only admins may do this."));
        }
        let answer = match manage {
            Manage::Stats => stats(self.hub.stats()),
            Manage::Connections(user) => {
                let Listing { of, after, limit } = listing;
                page(self.hub.connections(user.or(of), after, limit).await)
            }
            Manage::Connection(id) => {
                let id = id.ok_or_else(no_connection)?;
                one(&self.hub.connection(id).await.ok_or_else(no_connection)?)
            }
            Manage::DisconnectAll => disconnected(self.hub.disconnect_all(stop)),
            Manage::DisconnectUser(user) => disconnected(self.hub.disconnect_user(user)),
            Manage::DisconnectOne(id) => {
                let found = id.is_some_and(|id| self.hub.disconnect(id));
                disconnected(found.then_some(1).ok_or_else(no_connection)?)
            }
        };
        Ok(json(StatusCode::OK, &answer))
    }
}

fn no_connection() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "There is no such connection.")
}

fn disconnected(streams: usize) -> Payload {
    Payload::object().truth("success", true).number("disconnected", streams as u64).finish()
}

fn stats(stats: Stats) -> Payload {
    let Stats { connections, anonymous, by_user } = stats;
    let of_users = by_user.iter().map(|(user, count)| (user.as_str(), *count as u64));
    Payload::object()
        .truth("success", true)
        .number("connections", connections as u64)
        .number("users", by_user.len() as u64)
        .number("anonymous", anonymous as u64)
        .counts("byUser", of_users)
        .finish()
}
