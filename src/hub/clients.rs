//! `?client=NAME`: a stream whose place its own successor may take.
//!
//! A client that vanished without a word still has a place until the kernel notices. When it comes
//! back under the same name, the old stream's permit moves to the new one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;

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
    /// stream `begin` in it.
    pub fn take_place(
        self: &Arc<Self>,
        client: ClientName,
        shard: ShardNumber,
        admit: impl FnOnce() -> Result<Permit, Full>,
        begin: impl FnOnce(&Permit) -> ConnectionId,
    ) -> Result<Taken, Full> {
        let mut claims = self.claims.lock();
        let before = claims.get(&client).and_then(|claim| claim.take());
        let (permit, ousted) = match before {
            Some((permit, ousted)) => (permit, ousted),
            None => (admit()?, None),
        };
        // Under the lock: who takes the place from this stream must find it begun.
        let id = begin(&permit);
        let claim = Arc::new(Claim { shard, state: Mutex::new(State::Coming(permit)) });
        claims.insert(client.clone(), Arc::clone(&claim));
        Ok(Taken { place: ClaimedPlace { clients: Arc::clone(self), client, claim }, id, ousted })
    }
}

impl Claim {
    /// The permit, if this stream still has it.
    fn take(&self) -> Option<(Permit, Option<Seated>)> {
        match std::mem::replace(&mut *self.state.lock(), State::Taken) {
            State::Coming(permit) => Some((permit, None)),
            State::Seated(permit, key) => Some((permit, Some((self.shard, key)))),
            State::Taken => None,
        }
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
        // Dropped after the locks: a permit's end takes another.
        drop(claims);
        drop(self.claim.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::admission::{Admission, Holder, Limits};

    #[test]
    fn a_successor_takes_the_place_and_it_is_given_back_once() {
        let name = |text: &str| Name::new(text).expect("a name");
        let admission = Admission::new(Limits { per_holder: 1, total: 10 });
        let admit = || admission.admit(&Holder::User(name("u")));
        let clients = Arc::new(Clients::default());
        let tab = (name("u"), name("tab"));
        let begin = |permit: &Permit| permit.begin(0, None);
        let take = |client: &ClientName| {
            let taken = clients.take_place(client.clone(), 0, admit, begin)?;
            assert_eq!(taken.ousted, None);
            Ok::<_, Full>(taken.place)
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
}
