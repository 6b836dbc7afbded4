//! Who may listen to what: the one place where an [`Identity`] meets a [`Topic`].

use crate::identity::{Allowed, Identity, Pattern};
use crate::topic::{Kind, Topic};

/// Whether a stream of this identity may listen to a topic.
pub fn may_listen(identity: &Identity, topic: &Topic) -> bool {
    match topic.kind() {
        Kind::OfUser(user) => identity.roles.is_admin() || identity.user.as_str() == user,
        Kind::Channel(channel) => identity.may_hear(channel),
        Kind::Room(room) => identity.may_enter(room),
        Kind::Public => true,
    }
}

/// What a stream listens to that is on every room which is open to an identity, present and future.
/// A credential that names each of its rooms needs no more than those.
pub fn rooms_of(identity: &Identity) -> Vec<Topic> {
    let named = |pattern: &Pattern| match pattern {
        Pattern::Exact(room) => Some(Topic::room(room)),
        Pattern::Prefix(_) => None,
    };
    match &identity.grants.rooms {
        Allowed::Only(patterns) if !identity.roles.is_admin() => {
            let marked = [Some(Topic::named_rooms())].into_iter().chain(patterns.iter().map(named));
            marked.collect::<Option<_>>().unwrap_or_else(|| vec![Topic::rooms()])
        }
        Allowed::Only(_) | Allowed::Open => vec![Topic::rooms()],
    }
}

/// What a stream on these topics listens to under another identity; `None` when that one has no
/// right to one of them.
pub fn renewed(identity: &Identity, topics: &[Topic]) -> Option<Vec<Topic>> {
    if topics.iter().any(Topic::is_rooms) {
        return Some(rooms_of(identity));
    }
    topics.iter().all(|topic| may_listen(identity, topic)).then(|| topics.to_vec())
}

/// What a stream may read of its topics, where they have more in them than it may.
///
/// A stream on every open room listens to one topic for all of them; a credential for the rooms
/// `team-*` narrows that, also to rooms that there will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    rooms: Allowed,
}

impl Filter {
    /// What narrows a stream of this identity; `None` when nothing does, as nearly always.
    pub fn of(identity: &Identity, topics: &[Topic]) -> Option<Filter> {
        let narrows = !identity.roles.is_admin() && topics.contains(&Topic::rooms());
        match &identity.grants.rooms {
            Allowed::Only(_) if narrows => Some(Filter { rooms: identity.grants.rooms.clone() }),
            Allowed::Only(_) | Allowed::Open => None,
        }
    }

    /// Whether an event of this room, if it is of one, may be read.
    pub fn passes(&self, room: Option<&str>) -> bool {
        room.is_none_or(|room| self.rooms.allows(room))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Name;
    use crate::identity::{Grants, Roles};

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn ann(rooms: &[&str]) -> Identity {
        let pattern = |text: &&str| Pattern::parse(text).expect("a pattern");
        let rooms = Allowed::Only(rooms.iter().map(pattern).collect());
        let grants = Grants { rooms, ..Grants::default() };
        Identity { grants, ..Identity::of(name("ann")) }
    }

    #[test]
    fn each_kind_of_topic_has_its_right() {
        let ann = ann(&["team-*"]);
        let admin = Identity { roles: Roles::from_names(["admin"]), ..ann.clone() };
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
            Topic::channel(&name("private-orders")),
        ];
        for topic in &open {
            assert!(may_listen(&ann, topic), "{topic:?}");
        }
        for topic in &shut {
            assert!(!may_listen(&ann, topic) && may_listen(&admin, topic), "{topic:?}");
        }
    }

    #[test]
    fn a_stream_on_all_rooms_follows_its_credential_and_others_end() {
        let [a, b] = ["a", "b"].map(|room| Topic::room(&name(room)));
        let on_a = rooms_of(&ann(&["a"]));
        assert_eq!(on_a, [Topic::named_rooms(), a.clone()]);
        assert_eq!(
            renewed(&ann(&["a", "b"]), &on_a),
            Some(vec![Topic::named_rooms(), a.clone(), b])
        );
        assert_eq!(renewed(&ann(&["a", "b*"]), &on_a), Some(vec![Topic::rooms()]));
        assert_eq!(renewed(&Identity::of(name("ann")), &on_a), Some(vec![Topic::rooms()]));
        assert_eq!(renewed(&ann(&["b"]), std::slice::from_ref(&a)), None);
        assert_eq!(renewed(&ann(&["a"]), std::slice::from_ref(&a)), Some(vec![a]));
    }

    #[test]
    fn a_stream_on_all_rooms_is_narrowed_and_others_are_not() {
        let all = [Topic::rooms()];
        let filter = Filter::of(&ann(&["team-*", "lobby"]), &all).expect("a filter");
        assert!(filter.passes(Some("team-7")) && filter.passes(Some("lobby")));
        assert!(!filter.passes(Some("lobby2")) && filter.passes(None));
        assert_eq!(Filter::of(&ann(&["lobby"]), &[Topic::room(&name("lobby"))]), None);
        assert_eq!(Filter::of(&Identity::of(name("ann")), &all), None);
    }
}
