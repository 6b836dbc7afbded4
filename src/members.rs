//! Who belongs to which chat room and conversation.
//!
//! A room without a list is open, a conversation without one is shut; with one, both are for those on
//! it. The lists are kept in the log, and whole in memory, because every connect and every replayed
//! message asks.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::event::Name;

/// What may have a list of members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// A chat room.
    Room(Name),
    /// A conversation.
    Conversation(Name),
}

/// A change of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These and no others are on it from now on.
    Replace(Vec<Name>),
    /// One more is on it.
    Add(Name),
    /// One less is on it.
    Remove(Name),
    /// There is no list any more.
    Delete,
}

/// What a change comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// There is a list afterwards.
    pub listed: bool,
    /// There was one before.
    pub was_listed: bool,
    /// Who was not on it and is now.
    pub joined: Vec<Name>,
    /// Who was on it and is not now.
    pub left: Vec<Name>,
}

/// All lists.
#[derive(Default)]
pub struct Members {
    lists: RwLock<Lists>,
    /// Counts the changes, so that a stream can tell whether it was admitted before the last.
    version: AtomicU64,
}

/// Members by the name of what they are members of.
type Listed = HashMap<Name, BTreeSet<Name>>;

#[derive(Default)]
struct Lists {
    of_room: Listed,
    of_conversation: Listed,
    /// The conversations of a user; rooms are never asked for so. Most have few: a tree would take
    /// several times the memory.
    conversations_of: HashMap<Name, Vec<Name>>,
}

impl Lists {
    fn of(&self, group: &Group) -> Option<&BTreeSet<Name>> {
        match group {
            Group::Room(room) => self.of_room.get(room),
            Group::Conversation(conversation) => self.of_conversation.get(conversation),
        }
    }

    /// Gives a group its list, an empty one if it had none.
    fn open(&mut self, group: &Group) -> &mut BTreeSet<Name> {
        match group {
            Group::Room(room) => self.of_room.entry(room.clone()).or_default(),
            Group::Conversation(conversation) => {
                self.of_conversation.entry(conversation.clone()).or_default()
            }
        }
    }

    fn remove(&mut self, group: &Group) {
        match group {
            Group::Room(room) => self.of_room.remove(room),
            Group::Conversation(conversation) => self.of_conversation.remove(conversation),
        };
    }
}

impl Members {
    /// How many changes there were.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Who is on a list, in the order of their names; nobody if there is none.
    pub fn list(&self, group: &Group) -> Vec<Name> {
        self.lists.read().of(group).into_iter().flatten().cloned().collect()
    }

    /// Whether somebody is on a list.
    pub fn has(&self, group: &Group, user: &Name) -> bool {
        self.lists.read().of(group).is_some_and(|members| members.contains(user))
    }

    /// Whether a room has a list.
    pub fn is_closed(&self, room: &str) -> bool {
        self.lists.read().of_room.contains_key(room)
    }

    /// Whether a room is open to a user: to everyone while it has no list.
    pub fn may_enter(&self, room: &str, user: &Name) -> bool {
        self.lists.read().of_room.get(room).is_none_or(|members| members.contains(user))
    }

    /// Whether a conversation is open to a user: to nobody while it has no list.
    pub fn may_join(&self, conversation: &str, user: &Name) -> bool {
        let lists = self.lists.read();
        lists.of_conversation.get(conversation).is_some_and(|members| members.contains(user))
    }

    /// The conversations that a user is a member of.
    pub fn conversations_of(&self, user: &Name) -> Vec<Name> {
        let lists = self.lists.read();
        lists.conversations_of.get(user).cloned().unwrap_or_default()
    }

    /// What a change would come to.
    pub fn outcome(&self, group: &Group, change: &Change) -> Outcome {
        let lists = self.lists.read();
        let before = lists.of(group);
        let is_on = |user: &&Name| before.is_some_and(|members| members.contains(*user));
        let was_listed = before.is_some();
        let (listed, joined, left) = match change {
            Change::Replace(members) => {
                let stay: BTreeSet<&Name> = members.iter().collect();
                let left = before.into_iter().flatten().filter(|user| !stay.contains(user));
                let joined = stay.iter().copied().filter(|user| !is_on(user));
                (true, joined.cloned().collect(), left.cloned().collect())
            }
            Change::Add(user) => (
                true,
                Some(user).filter(|user| !is_on(user)).cloned().into_iter().collect(),
                vec![],
            ),
            Change::Remove(user) => {
                (was_listed, vec![], Some(user).filter(is_on).cloned().into_iter().collect())
            }
            Change::Delete => (false, vec![], before.into_iter().flatten().cloned().collect()),
        };
        Outcome { listed, was_listed, joined, left }
    }

    /// Makes a list what a change came to.
    pub fn apply(&self, group: &Group, outcome: &Outcome) {
        let mut lists = self.lists.write();
        if outcome.listed {
            let members = lists.open(group);
            outcome.left.iter().for_each(|user| {
                members.remove(user);
            });
            members.extend(outcome.joined.iter().cloned());
        } else {
            lists.remove(group);
        }
        if let Group::Conversation(conversation) = group {
            for user in &outcome.joined {
                let of_user = lists.conversations_of.entry(user.clone()).or_default();
                if of_user.is_empty() {
                    of_user.reserve_exact(1);
                }
                of_user.push(conversation.clone());
            }
            for user in &outcome.left {
                if let Entry::Occupied(mut of_user) = lists.conversations_of.entry(user.clone()) {
                    of_user.get_mut().retain(|other| other != conversation);
                    if of_user.get().is_empty() {
                        of_user.remove();
                    }
                }
            }
        }
        // Before the lock is given back: whoever reads the lists anew sees the count too.
        self.version.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn names(texts: &[&str]) -> Vec<Name> {
        texts.iter().map(|text| name(text)).collect()
    }

    fn change(members: &Members, group: &Group, change: Change) -> Outcome {
        let outcome = members.outcome(group, &change);
        members.apply(group, &outcome);
        outcome
    }

    #[test]
    fn without_a_list_a_room_is_open_and_a_conversation_shut() {
        let members = Members::default();
        let (room, talk) = (Group::Room(name("r")), Group::Conversation(name("r")));
        let may = |group: &Group, user: &str| match group {
            Group::Room(room) => members.may_enter(room.as_str(), &name(user)),
            Group::Conversation(talk) => members.may_join(talk.as_str(), &name(user)),
        };
        assert!(may(&room, "ann") && !may(&talk, "ann"));
        for group in [&room, &talk] {
            change(&members, group, Change::Add(name("ann")));
            assert!(may(group, "ann"));
            assert!(!may(group, "bob"));
            change(&members, group, Change::Remove(name("ann")));
            assert!(!may(group, "ann"), "an emptied list stays shut");
            change(&members, group, Change::Delete);
        }
        assert!(may(&room, "bob") && !may(&talk, "bob"));
    }

    #[test]
    fn a_change_tells_who_comes_and_goes() {
        let members = Members::default();
        let talk = Group::Conversation(name("c"));
        let first = change(&members, &talk, Change::Replace(names(&["b", "a", "b"])));
        let joined = names(&["a", "b"]);
        assert_eq!(first, Outcome { listed: true, joined, ..Outcome::default() });
        let version = members.version();
        let second = change(&members, &talk, Change::Replace(names(&["b", "c"])));
        assert_eq!((second.joined, second.left), (names(&["c"]), names(&["a"])));
        assert!(members.version() > version);
        assert_eq!(change(&members, &talk, Change::Add(name("c"))).joined, []);
        assert_eq!(members.list(&talk), names(&["b", "c"]));
        assert_eq!(members.conversations_of(&name("c")), names(&["c"]));
        assert!(members.conversations_of(&name("a")).is_empty());
        let gone = change(&members, &talk, Change::Delete);
        assert_eq!((gone.listed, gone.was_listed, gone.left), (false, true, names(&["b", "c"])));
        assert!(members.conversations_of(&name("c")).is_empty());
        assert_eq!(members.list(&talk), []);
        let nothing = change(&members, &talk, Change::Remove(name("x")));
        assert_eq!(nothing, Outcome::default());
    }
}
