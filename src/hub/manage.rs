//! Streams counted and sent away.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Hub;
use super::admission::{Dismissal, Holder, Listed, SentAway};
use crate::event::Name;
use crate::reactor::{CloseReason, ConnectionId};

/// How long those who were sent away stay away.
const STAY_AWAY: Duration = Duration::from_secs(60);

/// The streams that are there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// All of them.
    pub connections: usize,
    /// Of nobody in particular.
    pub anonymous: usize,
    /// Of users, in the order of their names.
    pub by_user: BTreeMap<String, usize>,
}

/// Who was sent away and shall stay away, and until when.
#[derive(Default)]
pub(super) struct Away(Mutex<HashMap<Holder, Instant>>);

impl Away {
    fn send(&self, holder: Holder, until: Instant) {
        // Without an address nobody can be told from the next.
        if holder != Holder::Nobody {
            self.0.lock().insert(holder, until);
        }
    }

    /// Whether somebody shall stay away.
    pub(super) fn holds(&self, holder: &Holder, now: Instant) -> bool {
        self.0.lock().get(holder).is_some_and(|until| now < *until)
    }

    /// Forgets whoever may come again.
    pub(super) fn forget(&self, now: Instant) {
        self.0.lock().retain(|_, until| now < *until);
    }
}

impl Hub {
    /// Counts the streams.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for Listed { holder, .. } in self.admission.list(None, None, usize::MAX) {
            stats.connections += 1;
            match holder {
                Holder::User(user) => *stats.by_user.entry(user.to_string()).or_default() += 1,
                Holder::Address(_) | Holder::Nobody => stats.anonymous += 1,
            }
        }
        stats
    }

    /// Ends all streams, and tells how many. With `stop`, whoever had one is answered for a minute
    /// that there is nothing for him.
    pub fn disconnect_all(&self, stop: bool) -> usize {
        let until = Instant::now() + STAY_AWAY;
        let streams = self.admission.send_away(None);
        if stop {
            streams.iter().for_each(|stream| self.away.send(stream.holder.clone(), until));
        }
        self.dismiss(&streams, Dismissal::Disconnected { all: true })
    }

    /// Ends the streams of a user, and tells how many.
    pub fn disconnect_user(&self, user: Name) -> usize {
        let streams = self.admission.send_away(Some(&Holder::User(user)));
        self.dismiss(&streams, Dismissal::Disconnected { all: false })
    }

    /// Ends a stream; `false` when there is none with this number.
    pub fn disconnect(&self, id: ConnectionId) -> bool {
        let Some(Listed { seated: (shard, key), .. }) = self.admission.find(id) else {
            return false;
        };
        self.reactor.close(shard, key, CloseReason::ServerDisconnect { all: false });
        true
    }

    /// Ends streams that were sent away, and tells how many they are.
    pub(super) fn dismiss(&self, streams: &[SentAway], why: Dismissal) -> usize {
        for (shard, key) in streams.iter().filter_map(|stream| stream.seated) {
            self.reactor.close(shard, key, why.into());
        }
        streams.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_sent_away_may_come_again_after_a_minute() {
        let (away, now) = (Away::default(), Instant::now());
        let [ann, bob] = ["ann", "bob"].map(|user| Holder::User(Name::new(user).expect("a name")));
        away.send(ann.clone(), now + STAY_AWAY);
        away.send(Holder::Nobody, now + STAY_AWAY);
        assert!(!away.holds(&bob, now) && !away.holds(&Holder::Nobody, now));
        let last = now + Duration::from_millis(59_999);
        away.forget(last);
        assert!(away.holds(&ann, last));
        assert!(!away.holds(&ann, now + Duration::from_secs(60)));
        away.forget(now + Duration::from_secs(60));
        assert!(away.0.lock().is_empty());
    }
}
