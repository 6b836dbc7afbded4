//! Which streams there are, and how many there may be: per user or address, and in all.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::Arc;

use parking_lot::Mutex;
use slab::Slab;
use thiserror::Error;

use super::revocations::Revocation;
use crate::event::Name;
use crate::identity::{Identity, Stamp};
use crate::interner::Interner;
use crate::reactor::{CloseReason, ConnectionId, Key, ShardNumber};
use crate::room::Room;

/// Whom a stream counts for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A user, wherever he connects from.
    User(Name),
    /// An address, for those who did not say who they are.
    Address(IpAddr),
    /// Nobody: an anonymous peer on a unix socket. Only the limit on all streams holds.
    Nobody,
}

/// The most streams.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of one user or address.
    pub per_holder: usize,
    /// In all.
    pub total: usize,
}

/// Why a stream is not admitted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Full {
    /// This user or address has as many as it may.
    #[error("there are {0} streams of this user already, which is the limit")]
    Holder(usize),
    /// The server has as many as it may.
    #[error("the server has as many streams as it may")]
    Total,
}

/// The streams that have a place.
pub struct Admission {
    limits: Limits,
    /// Makes the digests of a [`Standing`]; its key keeps anyone from choosing two that are alike.
    digests: RandomState,
    streams: Mutex<Streams>,
}

struct Streams {
    entries: Slab<Entry>,
    /// A holder's count is how often it is held.
    holders: Interner<Holder>,
    /// The upper half of the next number.
    next: u32,
}

// Paid for with each stream.
const _: () = assert!(size_of::<Entry>() <= 40);

struct Entry {
    holder: u32,
    /// The upper half of the stream's number; the lower half is the entry's place.
    number: u32,
    /// A [`Standing`], whose parts take 4 bytes less here than it does.
    user: Option<NonZeroU64>,
    token: Option<NonZeroU64>,
    issued: u32,
    whereabouts: Whereabouts,
}

impl Entry {
    fn new(holder: u32) -> Entry {
        let whereabouts = Whereabouts::Coming { shard: 0 };
        Entry { holder, number: 0, user: None, token: None, issued: 0, whereabouts }
    }

    fn stands_on(&mut self, Standing { user, token, issued }: Standing) {
        (self.user, self.token, self.issued) = (user, token, issued);
    }

    /// Whether the stream here is the one with this number, and no later one.
    fn has(&self, id: ConnectionId) -> bool {
        self.number == (id.0 >> 32) as u32
    }
}

/// Where a stream with this number has its entry.
fn place_of(id: ConnectionId) -> usize {
    id.0 as u32 as usize
}

/// Where a stream is. There are 256 shards at most.
#[derive(Clone, Copy)]
enum Whereabouts {
    /// On its way to its shard.
    Coming { shard: u16 },
    /// The same, to be ended when it gets there.
    Withdrawn { shard: u16 },
    /// In its shard.
    Seated { shard: u16, key: Key },
}

/// Whose credential a stream rests on, as digests: what it takes to find it when that is withdrawn.
#[derive(Clone, Copy, Default)]
struct Standing {
    /// `None` when nothing can withdraw it.
    user: Option<NonZeroU64>,
    token: Option<NonZeroU64>,
    /// In seconds since 1970, rounded down: rather one too many is ended.
    issued: u32,
}

/// Where to reach a stream.
pub type Seated = (ShardNumber, Key);

impl Admission {
    /// Nobody is there yet.
    pub fn new(limits: Limits) -> Arc<Admission> {
        // Not from zero, so that a number seen before a restart is not seen again after it.
        let room = Room::new(limits.total, 1).of_all;
        let streams = Streams {
            entries: Slab::with_capacity(room),
            holders: Interner::with_room_for(room),
            next: rand::random(),
        };
        let digests = RandomState::new();
        Arc::new(Admission { limits, digests, streams: Mutex::new(streams) })
    }

    /// Takes a place.
    pub fn admit(self: &Arc<Self>, holder: &Holder) -> Result<Permit, Full> {
        let Limits { per_holder, total } = self.limits;
        let mut streams = self.streams.lock();
        let Streams { entries, holders, .. } = &mut *streams;
        let has = holders.find(holder).map_or(0, |id| holders.holders(id));
        if *holder != Holder::Nobody && has as usize >= per_holder {
            return Err(Full::Holder(per_holder));
        }
        if entries.len() >= total {
            return Err(Full::Total);
        }
        let entry = Entry::new(holders.hold(holder));
        let place = entries.insert(entry) as u32;
        Ok(Permit { admission: Arc::clone(self), place })
    }

    /// How many streams are admitted now.
    pub fn streams(&self) -> usize {
        self.streams.lock().entries.len()
    }

    /// Puts a stream that is seated under a new credential, and tells where it is and whom it counts
    /// for; `None` if there is no such stream of this user's credentials.
    pub fn renew(&self, id: ConnectionId, identity: &Identity) -> Option<(Seated, Holder)> {
        let standing = self.standing(identity);
        let mut streams = self.streams.lock();
        let Streams { entries, holders, .. } = &mut *streams;
        let entry = entries.get_mut(place_of(id))?;
        let is_his = entry.has(id) && entry.user.is_some() && entry.user == standing.user;
        match entry.whereabouts {
            Whereabouts::Seated { shard, key } if is_his => {
                entry.stands_on(standing);
                Some(((shard.into(), key), holders.get(entry.holder)?.clone()))
            }
            Whereabouts::Seated { .. }
            | Whereabouts::Coming { .. }
            | Whereabouts::Withdrawn { .. } => None,
        }
    }

    /// Finds the streams that rest on what was withdrawn: those that are seated, to be closed by
    /// the caller; those on their way end when they get there.
    pub fn withdraw(&self, revocation: &Revocation, until: Stamp) -> Vec<Seated> {
        let digest = match revocation {
            Revocation::Subject(user) => self.digest(user.as_str()),
            Revocation::Token(id) => self.digest(id),
        };
        let rests_on_it = |entry: &Entry| match revocation {
            Revocation::Subject(_) => {
                entry.user == digest && u64::from(entry.issued) * 1_000 <= until.0
            }
            Revocation::Token(_) => entry.token == digest,
        };
        let mut seated = Vec::new();
        for (_, entry) in &mut self.streams.lock().entries {
            if !rests_on_it(entry) {
                continue;
            }
            match entry.whereabouts {
                Whereabouts::Coming { shard } => {
                    entry.whereabouts = Whereabouts::Withdrawn { shard };
                }
                Whereabouts::Withdrawn { .. } => {}
                Whereabouts::Seated { shard, key } => seated.push((shard.into(), key)),
            }
        }
        seated
    }

    /// Where the streams are that are seated, and whom each counts for; those of one holder if one is
    /// asked for.
    pub fn seated(&self, of: Option<&Holder>) -> Vec<(Seated, Holder)> {
        let streams = self.streams.lock();
        let wanted = of.map(|holder| streams.holders.find(holder));
        let entries = streams.entries.iter().map(|(_, entry)| entry);
        let entries = entries.filter(|entry| wanted.is_none_or(|id| id == Some(entry.holder)));
        let seated = |entry: &Entry| match entry.whereabouts {
            Whereabouts::Seated { shard, key } => {
                Some(((shard.into(), key), streams.holders.get(entry.holder)?.clone()))
            }
            Whereabouts::Coming { .. } | Whereabouts::Withdrawn { .. } => None,
        };
        entries.filter_map(seated).collect()
    }

    /// Where a stream is, if it is seated.
    pub fn find(&self, id: ConnectionId) -> Option<Seated> {
        let streams = self.streams.lock();
        let entry = streams.entries.get(place_of(id))?;
        match entry.whereabouts {
            Whereabouts::Seated { shard, key } if entry.has(id) => Some((shard.into(), key)),
            Whereabouts::Seated { .. }
            | Whereabouts::Coming { .. }
            | Whereabouts::Withdrawn { .. } => None,
        }
    }

    fn standing(&self, identity: &Identity) -> Standing {
        let Some(credential) = &identity.credential else { return Standing::default() };
        Standing {
            user: self.digest(identity.user.as_str()),
            token: credential.id.as_deref().and_then(|id| self.digest(id)),
            issued: u32::try_from(credential.issued.0 / 1_000).unwrap_or(u32::MAX),
        }
    }

    fn digest(&self, text: &str) -> Option<NonZeroU64> {
        NonZeroU64::new(self.digests.hash_one(text) | 1)
    }
}

/// A place; its drop is the only way to give it back.
pub struct Permit {
    admission: Arc<Admission>,
    place: u32,
}

impl Permit {
    /// A new stream has the place, and goes to a shard. Tells its number.
    pub fn begin(&self, shard: ShardNumber, identity: Option<&Identity>) -> ConnectionId {
        let standing = identity.map(|identity| self.admission.standing(identity));
        let mut streams = self.admission.streams.lock();
        streams.next = streams.next.wrapping_add(1);
        let number = streams.next;
        let entry = &mut streams.entries[self.place as usize];
        entry.number = number;
        entry.stands_on(standing.unwrap_or_default());
        entry.whereabouts = Whereabouts::Coming { shard: shard as u16 };
        ConnectionId(u64::from(number) << 32 | u64::from(self.place))
    }

    /// The stream is in its shard; tells whether its credential was withdrawn on the way.
    pub fn seated(&self, key: Key) -> Result<(), CloseReason> {
        let entry = &mut self.admission.streams.lock().entries[self.place as usize];
        let (shard, result) = match entry.whereabouts {
            Whereabouts::Withdrawn { shard } => (shard, Err(CloseReason::Revoked)),
            Whereabouts::Coming { shard } | Whereabouts::Seated { shard, .. } => (shard, Ok(())),
        };
        entry.whereabouts = Whereabouts::Seated { shard, key };
        result
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut streams = self.admission.streams.lock();
        let entry = streams.entries.remove(self.place as usize);
        streams.holders.release(entry.holder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Credential;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn user(text: &str) -> Holder {
        Holder::User(name(text))
    }

    fn token_of(user: &str, id: &str, issued: u64) -> Identity {
        let credential = Credential { id: Some(id.into()), issued: Stamp(issued), expires: None };
        Identity { credential: Some(credential), ..Identity::of(name(user)) }
    }

    #[test]
    fn places_are_counted_per_holder_and_in_all_and_given_back() {
        let admission = Admission::new(Limits { per_holder: 2, total: 3 });
        let first = admission.admit(&user("a"));
        let second = admission.admit(&user("a")).expect("room for two");
        assert_eq!(admission.admit(&user("a")).err(), Some(Full::Holder(2)));
        let third = admission.admit(&user("b")).expect("room for three");
        assert_eq!(admission.admit(&user("c")).err(), Some(Full::Total));
        drop((first, second));
        assert_eq!(admission.streams(), 1);
        assert!(admission.admit(&user("a")).is_ok());
        drop(third);
        assert_eq!(admission.streams(), 0);
    }

    #[test]
    fn nobody_is_not_a_user() {
        let admission = Admission::new(Limits { per_holder: 1, total: 3 });
        let places: Vec<_> = (0..3).map(|_| admission.admit(&Holder::Nobody)).collect();
        assert!(places.iter().all(Result::is_ok));
        assert_eq!(admission.admit(&Holder::Nobody).err(), Some(Full::Total));
    }

    #[test]
    fn streams_are_found_by_user_and_by_token_and_by_nothing_else() {
        let admission = Admission::new(Limits { per_holder: 9, total: 9 });
        let key = |slot| Key::of(slot, 0);
        let open = |slot, identity: Option<&Identity>| {
            let permit = admission.admit(&Holder::Nobody).expect("room");
            permit.begin(1, identity);
            assert_eq!(permit.seated(key(slot)), Ok(()));
            permit
        };
        let _streams = [
            open(0, Some(&token_of("a", "t", 5_000))),
            open(1, Some(&token_of("a", "u", 9_000))),
            open(2, Some(&token_of("b", "t", 5_000))),
            open(3, Some(&Identity::of(name("a")))),
            open(4, None),
        ];
        let found = |revocation, until| {
            let found = admission.withdraw(&revocation, Stamp(until));
            (0..5).filter(|slot| found.contains(&(1, key(*slot)))).collect::<Vec<_>>()
        };
        assert_eq!(found(Revocation::Subject(name("a")), 8_999), [0]);
        assert_eq!(found(Revocation::Subject(name("a")), 9_000), [0, 1]);
        assert_eq!(found(Revocation::Token("t".into()), 0), [0, 2]);
        assert!(found(Revocation::Token("a".into()), 9_000).is_empty());
    }

    #[test]
    fn what_is_withdrawn_on_its_way_ends_when_it_is_there() {
        let admission = Admission::new(Limits { per_holder: 9, total: 9 });
        let permit = admission.admit(&user("a")).expect("room");
        permit.begin(0, Some(&token_of("a", "t", 0)));
        assert!(admission.withdraw(&Revocation::Token("t".into()), Stamp(0)).is_empty());
        assert_eq!(permit.seated(Key::of(0, 0)), Err(CloseReason::Revoked));
    }

    #[test]
    fn only_its_own_user_renews_a_stream() {
        let admission = Admission::new(Limits { per_holder: 9, total: 9 });
        let permit = admission.admit(&user("a")).expect("room");
        let old = permit.begin(0, Some(&token_of("a", "t", 0)));
        let key = Key::of(7, 1);
        assert_eq!(admission.renew(old, &token_of("a", "u", 1)), None, "not seated yet");
        assert_eq!(permit.seated(key), Ok(()));
        assert_eq!(admission.renew(old, &token_of("b", "u", 1)), None);
        assert_eq!(admission.renew(ConnectionId(old.0 ^ 1 << 32), &token_of("a", "u", 1)), None);
        assert_eq!(admission.renew(ConnectionId(old.0 ^ 1), &token_of("a", "u", 1)), None);
        let renewed = admission.renew(old, &token_of("a", "u", 1));
        assert_eq!(renewed, Some(((0, key), user("a"))));
        assert!(admission.withdraw(&Revocation::Token("t".into()), Stamp(9)).is_empty());
        assert_eq!(admission.withdraw(&Revocation::Token("u".into()), Stamp(9)), [(0, key)]);
        let new = permit.begin(0, None);
        assert_ne!(old, new);
        assert_eq!(permit.seated(key), Ok(()));
        assert_eq!(admission.renew(old, &token_of("a", "u", 1)), None, "another has its place");
        assert_eq!(admission.renew(new, &Identity::of(name("a"))), None, "nothing to renew");
    }
}
