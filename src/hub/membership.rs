//! Lists of members changed: kept in the log first, and then true for every stream.

use std::sync::Arc;

use tokio::task::JoinError;

use super::{Hub, Refused};
use crate::event::Name;
use crate::identity::Identity;
use crate::log::{self, Kind, Row};
use crate::members::{Change, Group, Members, Outcome};
use crate::rights::Reader;
use crate::topic::Topic;

impl Hub {
    /// Who belongs where.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Somebody who reads as `user`, by the credential of `identity`.
    pub fn reader(&self, identity: &Identity, user: &Name) -> Reader {
        Reader::new(identity, user, &self.members)
    }

    /// Whether somebody is on a list, and may read by his credential what is said there.
    pub fn is_member(&self, group: &Group, identity: &Identity) -> bool {
        let topic = match group {
            Group::Room(room) => Topic::room(room),
            Group::Conversation(conversation) => Topic::conversation(conversation),
        };
        self.members.has(group, &identity.user)
            && self.reader(identity, &identity.user).may_listen(&topic)
    }

    /// Changes a list. When this returns, the change is kept, and every stream gets what it may read
    /// by the new list, and nothing else. It is carried out from this call on, also if the future is
    /// dropped.
    pub async fn change_members(
        self: &Arc<Self>,
        group: Group,
        change: Change,
    ) -> Result<(), Refused> {
        if self.is_draining() {
            return Err(Refused::Draining);
        }
        let hub = Arc::clone(self);
        let changed = tokio::spawn(async move { hub.change_list(&group, &change).await });
        match changed.await.map_err(JoinError::try_into_panic) {
            Ok(changed) => changed,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime ends.
            Err(Err(_)) => Err(Refused::Draining),
        }
    }

    async fn change_list(&self, group: &Group, change: &Change) -> Result<(), Refused> {
        // One after the other, so that what is kept is what holds.
        let _in_order = self.changing_members.lock().await;
        let outcome = self.members.outcome(group, change);
        let rows = rows(group, &outcome);
        if rows.is_empty() {
            return Ok(());
        }
        self.log.keep(rows).await?;
        self.members.apply(group, &outcome);
        let concerned = self.topics.hold_known(&concerned(group, &outcome));
        self.reactor.review(concerned).await;
        Ok(())
    }
}

/// The topics of the streams that a change concerns.
fn concerned(group: &Group, outcome: &Outcome) -> Vec<Topic> {
    match group {
        // Streams on all rooms ask anew with each event.
        Group::Room(room) => vec![Topic::room(room)],
        Group::Conversation(_) => {
            outcome.joined.iter().chain(&outcome.left).map(Topic::user).collect()
        }
    }
}

/// What the log has kept.
pub(super) fn read(rows: Vec<Row>) -> Members {
    let members = Members::default();
    for (key, _) in rows {
        match read_key(&key) {
            Some((group, member)) => {
                let joined = member.into_iter().collect();
                members.apply(&group, &Outcome { listed: true, joined, ..Outcome::default() });
            }
            None => tracing::error!("a member in the log cannot be read"),
        }
    }
    members
}

/// A row for the list, and one for each on it.
fn rows(group: &Group, outcome: &Outcome) -> Vec<log::Change> {
    let row = |member: Option<&Name>, there: bool| log::Change {
        kind: Kind::Member,
        key: key(group, member),
        value: there.then(Vec::new),
    };
    let list = (outcome.listed != outcome.was_listed).then(|| row(None, outcome.listed));
    let joined = outcome.joined.iter().map(|member| row(Some(member), true));
    let left = outcome.left.iter().map(|member| row(Some(member), false));
    list.into_iter().chain(joined).chain(left).collect()
}

const ROOM: &str = "room";
const CONVERSATION: &str = "conversation";

/// Joined by NUL, which no name can hold.
fn key(group: &Group, member: Option<&Name>) -> String {
    let (kind, name) = match group {
        Group::Room(name) => (ROOM, name),
        Group::Conversation(name) => (CONVERSATION, name),
    };
    match member {
        Some(member) => format!("{kind}\0{name}\0{member}"),
        None => format!("{kind}\0{name}"),
    }
}

fn read_key(key: &str) -> Option<(Group, Option<Name>)> {
    let mut parts = key.split('\0');
    let (kind, name) = (parts.next()?, Name::new(parts.next()?).ok()?);
    let group = match kind {
        ROOM => Group::Room(name),
        CONVERSATION => Group::Conversation(name),
        _ => return None,
    };
    let member = parts.next().map(Name::new).transpose().ok()?;
    Some((group, member))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    #[test]
    fn lists_are_known_again_from_their_rows() {
        let members = Members::default();
        let (room, talk) = (Group::Room(name("r")), Group::Conversation(name("a/b")));
        let mut kept = std::collections::BTreeMap::new();
        for (group, change) in [
            (&room, Change::Replace(vec![name("ann"), name("bob")])),
            (&talk, Change::Add(name("ann"))),
            (&talk, Change::Remove(name("ann"))),
            (&room, Change::Remove(name("bob"))),
            (&room, Change::Add(name("ann"))),
        ] {
            let outcome = members.outcome(group, &change);
            for row in rows(group, &outcome) {
                match row.value {
                    Some(value) => kept.insert(row.key, value),
                    None => kept.remove(&row.key),
                };
            }
            members.apply(group, &outcome);
        }
        let again = read(kept.into_iter().collect());
        for group in [&room, &talk] {
            assert_eq!(again.list(group), members.list(group));
        }
        assert_eq!(again.list(&room), [name("ann")]);
        let ann = name("ann");
        assert!(!again.may_join("a/b", &ann) && !again.may_enter("r", &name("bob")));
        assert!(again.is_closed("r") && !again.is_closed("a/b"));
    }
}
