//! The members of rooms and conversations: asked for, put on a list, taken off it.

use hyper::body::Incoming;
use hyper::{Request, StatusCode};

use super::api::{Fields, membership};
use super::problem::Problem;
use super::router::{Action, Membership};
use super::{Answer, Server, json};
use crate::event::Name;
use crate::identity::Identity;
use crate::json::Object;
use crate::members::Change;

impl Server {
    /// Does what is asked, and tells who is on the list then.
    pub(super) async fn membership(
        &self,
        membership: Membership,
        request: Request<Incoming>,
        caller: &Identity,
    ) -> Result<Answer, Problem> {
        let Membership { group, user, action } = membership;
        let members = self.hub.members();
        if action != Action::Read {
            self.doors.rates.publish(&caller.user)?;
        }
        let change = match (action, user) {
            (Action::Read, None) => {
                membership::may_read(caller, self.hub.is_member(&group, caller))?;
                return Ok(answer(&members.list(&group)));
            }
            (Action::Read, Some(user)) => {
                membership::may_read(caller, self.hub.is_member(&group, caller))?;
                let none = || Problem::new(StatusCode::NOT_FOUND, "There is no such member.");
                return members.has(&group, &user).then(|| answer(&[user])).ok_or_else(none);
            }
            (Action::Put, None) => Change::Replace(self.list(request, caller).await?),
            (Action::Put, Some(user)) => Change::Add(user),
            (Action::Delete, None) => Change::Delete,
            (Action::Delete, Some(user)) => Change::Remove(user),
        };
        membership::may_change(caller)?;
        self.hub.change_members(group.clone(), change).await?;
        Ok(answer(&members.list(&group)))
    }

    async fn list(
        &self,
        request: Request<Incoming>,
        caller: &Identity,
    ) -> Result<Vec<Name>, Problem> {
        let body = self.body(caller, request).await?;
        let object = Object::parse(&body.bytes)?;
        membership::list(&Fields(&object))
    }
}

fn answer(members: &[Name]) -> Answer {
    json(StatusCode::OK, &membership::answer(members))
}
