//! `?client=NAME`: a stream whose place its own successor may take.
//!
//! A client that vanished without a word still has a place until the kernel notices. When it comes
//! back under the same name, the old stream's permit moves to the new one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Refused;
use super::admission::{Full, Permit, Seated};
use crate::event::Name;
use crate::reactor::{CloseReason, ConnectionId, Key, ShardNumber};

/// A user and one of his clients.
pub type ClientName = (Name, Name);

/// Streams by client.
#[derive(Default)]
pub struct Clients {
    claims: Mutex<HashMap<ClientName, Arc<Claim>>>,
}

/// The stream that has a client's place now.
struct Claim {
    shard: ShardNumber,
    state: Mutex<State>,
}

enum State {
    /// On its way to its shard.
    Coming(Permit),
    /// In its shard.
    Seated(Permit, Key),
    /// Another stream has taken its place.
    Taken,
}

impl State {
    /// The permit, and where its stream is.
    fn take(&mut self) -> Option<(Permit, Option<Key>)> {
        match std::mem::replace(self, State::Taken) {
            State::Coming(permit) => Some((permit, None)),
            State::Seated(permit, key) => Some((permit, Some(key))),
            State::Taken => None,
        }
    }
}

/// A client's place with a new stream in it.
pub struct Taken {
    /// The new stream's hold on it.
    pub place: ClaimedPlace,
    /// The new stream's number.
    pub id: ConnectionId,
    /// The stream that lost it, when it is in a shard already.
    pub ousted: Option<Seated>,
}

impl Clients {
    /// Takes a client's place, from the stream that has it or else by `admit`, and lets the new
    /// stream `begin` in it. If that is refused, the stream that has it stays.
    pub fn take_place(
        self: &Arc<Self>,
        client: ClientName,
        shard: ShardNumber,
        admit: impl FnOnce() -> Result<Permit, Full>,
        begin: impl Fn(&Permit) -> Result<ConnectionId, Refused>,
    ) -> Result<Taken, Refused> {
        let mut claims = self.claims.lock();
        // All under the lock: who takes the place from this stream must find it begun.
        let before = claims.get(&client).map(|claim| claim.hand_over(&begin)).transpose()?;
        let (permit, id, ousted) = match before.flatten() {
            Some(handed_over) => handed_over,
            None => {
                let permit = admit()?;
                let id = begin(&permit)?;
                (permit, id, None)
            }
        };
        let claim = Arc::new(Claim { shard, state: Mutex::new(State::Coming(permit)) });
        claims.insert(client.clone(), Arc::clone(&claim));
        Ok(Taken { place: ClaimedPlace { clients: Arc::clone(self), client, claim }, id, ousted })
    }
}

impl Claim {
    /// Lets another stream begin with the permit, if this one still has it.
    fn hand_over(
        &self,
        begin: impl Fn(&Permit) -> Result<ConnectionId, Refused>,
    ) -> Result<Option<(Permit, ConnectionId, Option<Seated>)>, Refused> {
        let mut state = self.state.lock();
        let id = match &*state {
            State::Coming(permit) | State::Seated(permit, _) => begin(permit)?,
            State::Taken => return Ok(None),
        };
        let taken = state.take();
        Ok(taken.map(|(permit, key)| (permit, id, key.map(|key| (self.shard, key)))))
    }
}

/// A stream's hold on its client's place.
pub struct ClaimedPlace {
    clients: Arc<Clients>,
    client: ClientName,
    claim: Arc<Claim>,
}

impl ClaimedPlace {
    /// The stream is in its shard, or its place is taken already.
    pub fn seated(&self, key: Key) -> Result<(), CloseReason> {
        let mut state = self.claim.state.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Coming(permit) | State::Seated(permit, _) => {
                let seated = permit.seated(key);
                *state = State::Seated(permit, key);
                seated
            }
            State::Taken => Err(CloseReason::Replaced),
        }
    }
}

impl Drop for ClaimedPlace {
    fn drop(&mut self) {
        let mut claims = self.clients.claims.lock();
        if let Entry::Occupied(entry) = claims.entry(self.client.clone())
            && Arc::ptr_eq(entry.get(), &self.claim)
        {
            entry.remove();
        }
        // Given back under the lock: a successor finds the claim, or the place free.
        let taken = self.claim.state.lock().take();
        drop(taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::admission::{Admission, Holder, Limits, Origin};

    const ORIGIN: Origin = Origin { address: None, path: 0 };

    #[test]
    fn a_successor_takes_the_place_and_it_is_given_back_once() {
        let name = |text: &str| Name::new(text).expect("a name");
        let admission = Admission::new(Limits { per_holder: 1, total: 10 }, Arc::default());
        let admit = || admission.admit(&Holder::User(name("u")), &ORIGIN);
        let clients = Arc::new(Clients::default());
        let tab = (name("u"), name("tab"));
        let begin =
            |permit: &Permit| permit.begin(0, &ORIGIN, None, || true).ok_or(Refused::Withdrawn);
        let take = |client: &ClientName| {
            let taken = clients.take_place(client.clone(), 0, admit, begin)?;
            assert_eq!(taken.ousted, None);
            Ok::<_, Refused>(taken.place)
        };
        let Ok(first) = take(&tab) else { panic!("no room for the first") };
        assert!(take(&(name("u"), name("other"))).is_err());
        let Ok(second) = take(&tab) else { panic!("the place was not taken over") };
        assert_eq!(admission.streams(), 1);
        drop(first);
        assert_eq!(admission.streams(), 1);
        let Ok(third) = take(&tab) else { panic!("the place was not taken over") };
        drop(second);
        assert_eq!(admission.streams(), 1);
        drop(third);
        assert_eq!(admission.streams(), 0);
    }

    #[test]
    fn a_client_is_never_refused_for_its_own_place() {
        let name = |text: &str| Name::new(text).expect("a name");
        let admission = Admission::new(Limits { per_holder: 1, total: 1 }, Arc::default());
        let clients = Arc::new(Clients::default());
        let come_and_go = || {
            for _ in 0..50_000 {
                let admit = || admission.admit(&Holder::User(name("u")), &ORIGIN);
                let begin = |permit: &Permit| {
                    permit.begin(0, &ORIGIN, None, || true).ok_or(Refused::Withdrawn)
                };
                let taken = clients.take_place((name("u"), name("tab")), 0, admit, begin);
                assert_eq!(taken.err(), None);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(come_and_go);
            scope.spawn(come_and_go);
        });
        assert_eq!(admission.streams(), 0);
    }

    #[test]
    fn who_may_not_begin_ousts_nobody() {
        let name = |text: &str| Name::new(text).expect("a name");
        let admission = Admission::new(Limits { per_holder: 1, total: 10 }, Arc::default());
        let clients = Arc::new(Clients::default());
        let take = |counts: bool| {
            let admit = || admission.admit(&Holder::User(name("u")), &ORIGIN);
            let begin = |permit: &Permit| {
                permit.begin(0, &ORIGIN, None, || counts).ok_or(Refused::Withdrawn)
            };
            clients.take_place((name("u"), name("tab")), 0, admit, begin)
        };
        assert_eq!(take(false).err(), Some(Refused::Withdrawn));
        assert_eq!(admission.streams(), 0);
        let Ok(Taken { place, id, .. }) = take(true) else { panic!("no room") };
        assert_eq!(take(false).err(), Some(Refused::Withdrawn));
        let key = Key::of(3, id.number());
        assert_eq!(place.seated(key), Ok(()), "it still has its place");
        assert_eq!(take(false).err(), Some(Refused::Withdrawn));
        assert_eq!(admission.find(id).map(|found| found.seated), Some((0, key)));
        let Ok(next) = take(true) else { panic!("the place was not taken over") };
        assert_eq!((next.ousted, admission.find(id)), (Some((0, key)), None));
    }
}
