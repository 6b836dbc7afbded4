//! What the manager does with streams: counts them, and sends them away.

use hyper::StatusCode;

use super::problem::Problem;
use super::query::Query;
use super::router::Manage;
use super::{Answer, Server, json};
use crate::event::Payload;
use crate::hub::Stats;
use crate::identity::Identity;

impl Server {
    /// Does it, for admins.
    pub(super) fn manage(
        &self,
        manage: Manage,
        query: &Query,
        caller: &Identity,
    ) -> Result<Answer, Problem> {
        let stop = query.truth("stop")?.unwrap_or(false);
        if !caller.roles.is_admin() {
            return Err(Problem::forbidden("Only admins may do this."));
        }
        let disconnected = match manage {
            Manage::Stats => return Ok(json(StatusCode::OK, &stats(self.hub.stats()))),
            Manage::DisconnectAll => self.hub.disconnect_all(stop),
            Manage::DisconnectUser(user) => self.hub.disconnect_user(user),
            Manage::DisconnectOne(id) => {
                let found = id.is_some_and(|id| self.hub.disconnect(id));
                let gone = || Problem::new(StatusCode::NOT_FOUND, "There is no such connection.");
                found.then_some(1).ok_or_else(gone)?
            }
        };
        let answer = Payload::object()
            .truth("success", true)
            .number("disconnected", disconnected as u64)
            .finish();
        Ok(json(StatusCode::OK, &answer))
    }
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
