//! Who is there: one user, everyone in a room, or the members of a conversation.

use hyper::StatusCode;

use super::problem::Problem;
use super::query::Query;
use super::router::Presence;
use super::{Answer, Server, json};
use crate::event::{Name, Payload};
use crate::hub::online::UserPresence;
use crate::identity::Identity;
use crate::topic::Topic;

/// How many users are told when nobody says how many, and at most.
const USERS: usize = 100;
const MOST_USERS: usize = 1_000;

/// The part of a list that is asked for.
struct Page {
    after: Option<Name>,
    limit: usize,
}

impl Page {
    fn read(query: &Query) -> Result<Page, Problem> {
        let limit = query.number("limit", 1..=MOST_USERS)?.unwrap_or(USERS);
        Ok(Page { after: query.name("after")?, limit })
    }

    /// How many have to be found to know whether there are more.
    fn most(&self) -> usize {
        self.limit + 1
    }
}

impl Server {
    /// Tells it to those who may know.
    pub(super) fn presence(
        &self,
        presence: &Presence,
        query: &Query,
        caller: &Identity,
    ) -> Result<Answer, Problem> {
        let answer = match presence {
            Presence::User(user) => self.user_presence(user, caller)?,
            Presence::Room(room) => {
                let page = Page::read(query)?;
                self.may_see(caller, &Topic::room(room))?;
                let users = self.hub.users_in_room(room, page.after.as_ref(), page.most());
                let users = users.into_iter().map(|(user, username)| (user, Some(username)));
                place("roomId", room, users.collect(), &page)
            }
            Presence::Conversation(id) => {
                let page = Page::read(query)?;
                self.may_see(caller, &Topic::conversation(id))?;
                let users = self.hub.members_online(id, page.after.as_ref(), page.most());
                place("conversationId", id, users.map(|user| (user, None)).collect(), &page)
            }
        };
        Ok(json(StatusCode::OK, &answer))
    }

    fn may_see(&self, caller: &Identity, topic: &Topic) -> Result<(), Problem> {
        let may_listen = || self.hub.reader(caller, &caller.user).may_listen(topic);
        match caller.roles.may_publish() || may_listen() {
            true => Ok(()),
            false => Err(Problem::forbidden("This is not open to you.")),
        }
    }

    fn user_presence(&self, user: &Name, caller: &Identity) -> Result<Payload, Problem> {
        if !caller.roles.may_publish() && caller.user != *user {
            return Err(Problem::forbidden("Only publishers and admins may ask about others."));
        }
        let UserPresence { online, connections } = self.hub.presence_of(user);
        Ok(Payload::object()
            .truth("success", true)
            .text("userId", Some(user.as_str()))
            .truth("online", online)
            .number("connections", connections as u64)
            .finish())
    }
}

/// Who is at a place. A name is known where others see it.
fn place(
    kind: &'static str,
    id: &Name,
    mut users: Vec<(Name, Option<Box<str>>)>,
    page: &Page,
) -> Payload {
    let is_last = users.len() <= page.limit;
    users.truncate(page.limit);
    let next = users.last().filter(|_| !is_last).map(|(user, _)| user.as_str());
    let shown = users.iter().map(|(user, username)| {
        let object = Payload::object().text("userId", Some(user.as_str()));
        match username {
            Some(username) => object.text("username", Some(username)).finish(),
            None => object.finish(),
        }
    });
    Payload::object()
        .truth("success", true)
        .text(kind, Some(id.as_str()))
        .list("users", shown)
        .text("next", next)
        .finish()
}
