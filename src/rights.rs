//! Who may listen to what: the one place where an [`Identity`] meets a [`Topic`].

use crate::identity::{Allowed, Identity};
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
        let narrowed = matches!(identity.grants.rooms, Allowed::Only(_));
        let rooms = || identity.grants.rooms.clone();
        (narrowed && !identity.roles.is_admin() && topics.contains(&Topic::rooms()))
            .then(|| Filter { rooms: rooms() })
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
    use crate::identity::{Grants, Pattern, Roles};

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
    fn a_stream_on_all_rooms_is_narrowed_and_others_are_not() {
        let all = [Topic::rooms()];
        let filter = Filter::of(&ann(&["team-*", "lobby"]), &all).expect("a filter");
        assert!(filter.passes(Some("team-7")) && filter.passes(Some("lobby")));
        assert!(!filter.passes(Some("lobby2")) && filter.passes(None));
        assert_eq!(Filter::of(&ann(&["lobby"]), &[Topic::room(&name("lobby"))]), None);
        assert_eq!(Filter::of(&Identity::of(name("ann")), &all), None);
    }
}
