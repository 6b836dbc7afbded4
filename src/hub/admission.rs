//! Which streams there are, and how many there may be: per user or address, and in all.

mod dismissal;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use roaring::RoaringBitmap;
use slab::Slab;
use thiserror::Error;

pub use dismissal::{Dismissal, SentAway};

use super::online::{Moment, Online, UserPresence};
use crate::event::Name;
use crate::identity::Identity;
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

/// Where a stream comes from and was asked for; many have it in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The client's address, where it has one.
    pub address: Option<IpAddr>,
    /// Its path, as a number of the front's own: a byte, where a text would take sixteen.
    pub path: u8,
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
    online: Arc<Online>,
    /// Held while [`Online`] hears of somebody, so that it does in order.
    streams: Mutex<Streams>,
}

struct Streams {
    entries: Slab<Entry>,
    /// A holder's count is how often it is held.
    holders: Interner<Holder>,
    origins: Interner<Origin>,
    /// The users among the holders that have been seen in a shard: a stream that is refused after it
    /// got its place brings nobody online.
    online: RoaringBitmap,
    /// The upper half of the next number.
    next: u32,
}

// Paid for with each stream.
const _: () = assert!(size_of::<Entry>() <= 40);

struct Entry {
    holder: u32,
    origin: u32,
    /// The upper half of the stream's number; the lower half is the entry's place.
    number: u32,
    /// A [`Standing`], whose parts take 4 bytes less here than it does.
    user: Option<NonZeroU64>,
    token: Option<NonZeroU64>,
    issued: u32,
    whereabouts: Whereabouts,
}

impl Entry {
    fn new(holder: u32, origin: u32) -> Entry {
        let whereabouts = Whereabouts::Reserved;
        Entry { holder, origin, number: 0, user: None, token: None, issued: 0, whereabouts }
    }

    fn stands_on(&mut self, Standing { user, token, issued }: Standing) {
        (self.user, self.token, self.issued) = (user, token, issued);
    }

    /// Whether the stream here is the one with this number, and no later one.
    fn has(&self, id: ConnectionId) -> bool {
        self.number == id.number()
    }

    /// Where it is, once it is in its shard.
    fn seated(&self) -> Option<Seated> {
        match self.whereabouts {
            Whereabouts::Seated { shard, slot } => Some((shard.into(), Key::of(slot, self.number))),
            Whereabouts::Reserved | Whereabouts::Coming { .. } | Whereabouts::Dismissed { .. } => {
                None
            }
        }
    }
}

/// Where the stream of an entry is. There are 256 shards at most.
///
/// ```text
///  Reserved ──▶ Coming ──▶ Seated
///                  │          ▲
///                  └▶ Dismissed
/// ```
#[derive(Clone, Copy)]
enum Whereabouts {
    /// None has begun yet.
    Reserved,
    /// On its way to its shard.
    Coming { shard: u8 },
    /// The same, to be ended when it gets there.
    Dismissed { shard: u8, why: Dismissal },
    /// In its shard.
    Seated { shard: u8, slot: u32 },
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

/// A stream that is in its shard.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub id: ConnectionId,
    /// Whom it counts for.
    pub holder: Holder,
    /// Where it comes from.
    pub origin: Origin,
    /// Where it is.
    pub seated: Seated,
}

impl Admission {
    /// Nobody is there yet.
    pub fn new(limits: Limits, online: Arc<Online>) -> Arc<Admission> {
        // Not from zero, so that a number seen before a restart is not seen again after it.
        let room = Room::new(limits.total, 1).of_all;
        let streams = Streams {
            entries: Slab::with_capacity(room),
            holders: Interner::with_room_for(room),
            origins: Interner::with_room_for(room),
            online: RoaringBitmap::new(),
            next: rand::random(),
        };
        let digests = RandomState::new();
        Arc::new(Admission { limits, digests, online, streams: Mutex::new(streams) })
    }

    /// Takes a place.
    pub fn admit(self: &Arc<Self>, holder: &Holder, origin: &Origin) -> Result<Permit, Full> {
        let Limits { per_holder, total } = self.limits;
        let mut streams = self.streams.lock();
        let Streams { entries, holders, origins, .. } = &mut *streams;
        let has = holders.find(holder).map_or(0, |id| holders.holders(id));
        if *holder != Holder::Nobody && has as usize >= per_holder {
            return Err(Full::Holder(per_holder));
        }
        if entries.len() >= total {
            return Err(Full::Total);
        }
        let entry = Entry::new(holders.hold(holder), origins.hold(origin));
        let place = entries.insert(entry) as u32;
        Ok(Permit { admission: Arc::clone(self), place })
    }

    /// How many streams are admitted now.
    pub fn streams(&self) -> usize {
        self.streams.lock().entries.len()
    }

    /// Whether a user is there now.
    pub fn presence_of(&self, user: &Name, now: Instant) -> UserPresence {
        let streams = self.streams.lock();
        let holder = streams.holders.find(&Holder::User(user.clone()));
        match holder.filter(|holder| streams.online.contains(*holder)) {
            Some(holder) => {
                let connections = streams.holders.holders(holder) as usize;
                UserPresence { online: true, connections }
            }
            None => UserPresence { online: self.online.is_away(user, now), connections: 0 },
        }
    }

    /// Puts a stream that is seated under a new credential, and tells where it is and whom it counts
    /// for; `None` if there is no such stream of this user's credentials.
    pub fn renew(&self, id: ConnectionId, identity: &Identity) -> Option<(Seated, Holder)> {
        let standing = self.standing(identity);
        let mut streams = self.streams.lock();
        let Streams { entries, holders, .. } = &mut *streams;
        let entry = entries.get_mut(id.place() as usize)?;
        let is_his = entry.has(id) && entry.user.is_some() && entry.user == standing.user;
        let seated = entry.seated().filter(|_| is_his)?;
        entry.stands_on(standing);
        Some((seated, holders.get(entry.holder)?.clone()))
    }

    /// The streams that are seated, in the order of their places, from behind that of `after` on; those
    /// of one holder if one is asked for. A stream keeps its place, so that whoever goes on after the
    /// last one meets each that stays, and none twice.
    pub fn list(
        &self,
        of: Option<&Holder>,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Vec<Listed> {
        let streams = self.streams.lock();
        let wanted = of.map(|holder| streams.holders.find(holder));
        let behind = |place: usize| after.is_none_or(|id| place > id.place() as usize);
        let entries = streams.entries.iter().skip_while(|(place, _)| !behind(*place));
        let entries = entries.filter(|(_, entry)| wanted.is_none_or(|id| id == Some(entry.holder)));
        entries.filter_map(|(place, entry)| streams.listed(place, entry)).take(limit).collect()
    }

    /// A stream, if it is seated.
    pub fn find(&self, id: ConnectionId) -> Option<Listed> {
        let streams = self.streams.lock();
        let entry = streams.entries.get(id.place() as usize).filter(|entry| entry.has(id))?;
        streams.listed(id.place() as usize, entry)
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

impl Streams {
    fn listed(&self, place: usize, entry: &Entry) -> Option<Listed> {
        Some(Listed {
            id: ConnectionId::of(entry.number, place as u32),
            holder: self.holders.get(entry.holder)?.clone(),
            origin: *self.origins.get(entry.origin)?,
            seated: entry.seated()?,
        })
    }
}

/// A place; its drop is the only way to give it back.
pub struct Permit {
    admission: Arc<Admission>,
    place: u32,
}

impl Permit {
    /// A new stream has the place, and goes to a shard, if its credential `counts`. Tells its number;
    /// if there is none, everything is as before.
    ///
    /// That is asked under the lock under which streams are found: whoever withdraws a credential
    /// does so first and then looks for its streams, and so either this sees it or he sees the stream.
    pub fn begin(
        &self,
        shard: ShardNumber,
        origin: &Origin,
        identity: Option<&Identity>,
        counts: impl FnOnce() -> bool,
    ) -> Option<ConnectionId> {
        let standing = identity.map(|identity| self.admission.standing(identity));
        let mut streams = self.admission.streams.lock();
        if !counts() {
            return None;
        }
        let Streams { entries, origins, next, .. } = &mut *streams;
        *next = next.wrapping_add(1);
        let entry = &mut entries[self.place as usize];
        let origin = origins.hold(origin);
        origins.release(std::mem::replace(&mut entry.origin, origin));
        entry.number = *next;
        entry.stands_on(standing.unwrap_or_default());
        entry.whereabouts = Whereabouts::Coming { shard: shard as u8 };
        Some(ConnectionId::of(*next, self.place))
    }

    /// The stream is in its shard; tells whether it was sent away on the way.
    pub fn seated(&self, key: Key) -> Result<(), CloseReason> {
        let mut streams = self.admission.streams.lock();
        let Streams { entries, holders, online, .. } = &mut *streams;
        let entry = &mut entries[self.place as usize];
        let (shard, result) = match entry.whereabouts {
            // It has no shard before it has begun.
            Whereabouts::Reserved => return Err(CloseReason::Fault),
            Whereabouts::Dismissed { shard, why } => (shard, Err(why.into())),
            Whereabouts::Coming { shard } | Whereabouts::Seated { shard, .. } => (shard, Ok(())),
        };
        entry.whereabouts = Whereabouts::Seated { shard, slot: key.slot() };
        if result.is_ok()
            && let Some(Holder::User(user)) = holders.get(entry.holder)
            && online.insert(entry.holder)
        {
            self.admission.online.arrived(user, Moment::now());
        }
        result
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut streams = self.admission.streams.lock();
        let Streams { entries, holders, origins, online, .. } = &mut *streams;
        let Entry { holder, origin, .. } = entries.remove(self.place as usize);
        if holders.holders(holder) == 1
            && online.remove(holder)
            && let Some(Holder::User(user)) = holders.get(holder)
        {
            self.admission.online.left(user.clone(), Moment::now());
        }
        holders.release(holder);
        origins.release(origin);
    }
}

#[cfg(test)]
mod tests;
