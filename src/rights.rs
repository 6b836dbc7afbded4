//! Who may listen to what: the one place where an [`Identity`] and the [`Members`] meet a [`Topic`].

use std::sync::Arc;

use crate::event::Name;
use crate::identity::{Allowed, Grants, Identity};
use crate::members::Members;
use crate::topic::{Kind, Topic};

/// What somebody may read, now and whenever it is asked: lists of members change.
#[derive(Clone)]
pub struct Reader {
    user: Name,
    /// Admins may.
    everything: bool,
    /// `None` when his credential narrows nothing.
    grants: Option<Box<Grants>>,
    members: Arc<Members>,
    /// How far the lists of members had come when he began to ask.
    seen: u64,
    /// His stream is on every conversation that he is in, whichever they are.
    follows_conversations: bool,
}

impl Reader {
    /// Somebody who reads as `user`, by the credential of `identity`.
    pub fn new(identity: &Identity, user: &Name, members: &Arc<Members>) -> Reader {
        let narrowed = identity.grants != Grants::default();
        Reader {
            user: user.clone(),
            everything: identity.roles.is_admin(),
            grants: narrowed.then(|| Box::new(identity.grants.clone())),
            members: Arc::clone(members),
            seen: members.version(),
            follows_conversations: false,
        }
    }

    /// The same whose stream is on every conversation that he is in.
    #[must_use]
    pub fn following_conversations(self) -> Reader {
        Reader { follows_conversations: true, ..self }
    }

    /// The same whose stream is on what the stream of `old` is on.
    #[must_use]
    pub fn in_place_of(self, old: &Reader) -> Reader {
        Reader { follows_conversations: old.follows_conversations, ..self }
    }

    /// Whether he may listen to a topic.
    pub fn may_listen(&self, topic: &Topic) -> bool {
        self.everything
            || match topic.kind() {
                Kind::OfUser(user) => self.user.as_str() == user,
                Kind::Channel(channel) => match &self.grants {
                    Some(grants) => grants.may_hear(channel),
                    None => Grants::default().may_hear(channel),
                },
                Kind::Room(room) => self.may_read(Some(room)),
                Kind::Conversation(conversation) => {
                    self.is_granted(conversation) && self.members.may_join(conversation, &self.user)
                }
                Kind::Public => true,
            }
    }

    /// Whether he may read an event of this room, if it is of one.
    pub fn may_read(&self, room: Option<&str>) -> bool {
        let Some(room) = room else { return true };
        let granted = || self.grants.as_ref().is_none_or(|grants| grants.rooms.allows(room));
        self.everything || granted() && self.members.may_enter(room, &self.user)
    }

    fn is_granted(&self, conversation: &str) -> bool {
        self.everything
            || self.grants.as_ref().is_none_or(|grants| grants.conversations.allows(conversation))
    }

    /// What a stream on these topics is on besides, as things are now.
    pub fn besides(&self, topics: &[Topic]) -> Vec<Topic> {
        let mut besides = Vec::new();
        if self.follows_conversations {
            let of_user = self.members.conversations_of(&self.user);
            let granted = of_user.iter().filter(|one| self.is_granted(one.as_str()));
            besides.extend(granted.map(Topic::conversation));
        }
        if topics.contains(&Topic::rooms()) && self.is_narrowed_to_rooms() {
            besides.push(Topic::narrowed_rooms());
        }
        besides
    }

    fn is_narrowed_to_rooms(&self) -> bool {
        let narrowed = |grants: &Grants| grants.rooms != Allowed::Open;
        !self.everything && self.grants.as_deref().is_some_and(narrowed)
    }

    /// Whether a stream on these topics has to ask again while it lives: they have more in them than
    /// he may read, or come and go with the lists of members.
    pub fn stays_with(&self, topics: &[Topic]) -> bool {
        let of_rooms =
            |topic: &Topic| *topic == Topic::rooms() || matches!(topic.kind(), Kind::Room(_));
        self.follows_conversations || !self.everything && topics.iter().any(of_rooms)
    }

    /// Whether lists of members have changed since he began to ask.
    pub fn is_outdated(&self) -> bool {
        self.members.version() != self.seen
    }

    /// What a stream on these topics is on from now on; `None` when he has no right to one of them.
    pub fn review(&self, topics: &[Topic]) -> Option<Vec<Topic>> {
        let mut reviewed = Vec::with_capacity(topics.len());
        for topic in topics {
            match topic.kind() {
                Kind::Conversation(_) => {}
                Kind::Public if *topic == Topic::narrowed_rooms() => {}
                Kind::OfUser(_) | Kind::Channel(_) | Kind::Room(_) | Kind::Public => {
                    if !self.may_listen(topic) {
                        return None;
                    }
                    reviewed.push(topic.clone());
                }
            }
        }
        reviewed.extend(self.besides(topics));
        Some(reviewed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Pattern, Roles};
    use crate::members::{Change, Group};

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn ann() -> Identity {
        Identity::of(name("ann"))
    }

    fn admin() -> Identity {
        Identity { roles: Roles::from_names(["admin"]), ..ann() }
    }

    fn only(patterns: &[&str]) -> Allowed {
        let pattern = |text: &&str| Pattern::parse(text).expect("a pattern");
        Allowed::Only(patterns.iter().map(pattern).collect())
    }

    fn in_rooms(patterns: &[&str]) -> Identity {
        Identity { grants: Grants { rooms: only(patterns), ..Grants::default() }, ..ann() }
    }

    fn reader(identity: &Identity, members: &Arc<Members>) -> Reader {
        Reader::new(identity, &name("ann"), members)
    }

    fn change(members: &Members, group: &Group, change: &Change) {
        members.apply(group, &members.outcome(group, change));
    }

    #[test]
    fn each_kind_of_topic_has_its_right() {
        let members = Arc::<Members>::default();
        change(&members, &Group::Room(name("team-2")), &Change::Replace(vec![name("bob")]));
        let open = [
            Topic::notifications(),
            Topic::notifications_of(&name("ann")),
            Topic::user(&name("ann")),
            Topic::everyone(),
            Topic::realtime(),
            Topic::entity(&name("user"), &name("bob")),
            Topic::rooms(),
            Topic::room(&name("team-1")),
            Topic::channel(&name("orders")),
        ];
        let shut = [
            Topic::notifications_of(&name("bob")),
            Topic::user(&name("ann ")),
            Topic::room(&name("other")),
            Topic::room(&name("team-2")),
            Topic::channel(&name("private-orders")),
            Topic::conversation(&name("c")),
        ];
        let (ann, admin) = (in_rooms(&["team-*"]), admin());
        for topic in &open {
            assert!(reader(&ann, &members).may_listen(topic), "{topic:?}");
        }
        for topic in &shut {
            assert!(!reader(&ann, &members).may_listen(topic), "{topic:?}");
            assert!(reader(&admin, &members).may_listen(topic), "{topic:?}");
        }
    }

    #[test]
    fn a_list_closes_its_room_at_once() {
        let members = Arc::<Members>::default();
        let (reader, room) = (reader(&ann(), &members), Group::Room(name("r")));
        let topics = [Topic::room(&name("r"))];
        assert_eq!(reader.review(&topics), Some(topics.to_vec()));
        assert!(reader.stays_with(&topics) && !reader.is_outdated());
        change(&members, &room, &Change::Replace(vec![]));
        assert!(reader.is_outdated() && !reader.may_read(Some("r")) && reader.may_read(Some("q")));
        assert_eq!(reader.review(&topics), None);
        change(&members, &room, &Change::Add(name("ann")));
        assert_eq!(reader.review(&topics), Some(topics.to_vec()));
    }

    #[test]
    fn conversations_come_and_go_as_far_as_the_credential_goes() {
        let members = Arc::<Members>::default();
        let conversations = only(&["c", "team-*"]);
        let grants = Grants { conversations, ..Grants::default() };
        let narrowed = reader(&Identity { grants, ..ann() }, &members).following_conversations();
        let of_admin = reader(&admin(), &members).following_conversations();
        let own = [Topic::user(&name("ann")), Topic::everyone()];
        assert_eq!(narrowed.review(&own), Some(own.to_vec()));
        for talk in ["c", "d", "team-1"] {
            change(&members, &Group::Conversation(name(talk)), &Change::Add(name("ann")));
        }
        let with = |talks: &[&str]| {
            let talks = talks.iter().map(|talk| Topic::conversation(&name(talk)));
            own.iter().cloned().chain(talks).collect::<Vec<_>>()
        };
        assert_eq!(narrowed.review(&own), Some(with(&["c", "team-1"])));
        assert_eq!(of_admin.review(&own), Some(with(&["c", "d", "team-1"])), "those he is in");
        change(&members, &Group::Conversation(name("c")), &Change::Delete);
        assert_eq!(narrowed.review(&with(&["c", "team-1"])), Some(with(&["team-1"])));
        assert_eq!(reader(&ann(), &members).besides(&own), [], "of a stream on none");
    }

    #[test]
    fn streams_on_all_rooms_are_marked_when_a_credential_narrows_them() {
        let members = Arc::<Members>::default();
        let (plain, narrowed) = (ann(), in_rooms(&["a"]));
        let of = |identity: &Identity, topics: &[Topic]| reader(identity, &members).review(topics);
        let (all, marked) = ([Topic::rooms()], [Topic::rooms(), Topic::narrowed_rooms()]);
        assert_eq!(of(&narrowed, &all), Some(marked.to_vec()));
        assert_eq!(of(&narrowed, &marked), Some(marked.to_vec()));
        assert_eq!(of(&plain, &marked), Some(all.to_vec()));
        assert_eq!(of(&narrowed, &[Topic::room(&name("a"))]), Some(vec![Topic::room(&name("a"))]));
    }

    #[test]
    fn only_what_can_change_is_asked_again() {
        let members = Arc::<Members>::default();
        let (ann, admin) = (reader(&ann(), &members), reader(&admin(), &members));
        let (rooms, own) = ([Topic::rooms()], [Topic::user(&name("ann")), Topic::everyone()]);
        assert!(ann.stays_with(&rooms) && !ann.stays_with(&own) && !admin.stays_with(&rooms));
        assert!(ann.following_conversations().stays_with(&own));
        assert!(admin.following_conversations().stays_with(&own));
    }
}
