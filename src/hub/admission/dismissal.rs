//! Streams that are sent away, also those that are only on their way.

use super::{Admission, Entry, Holder, Seated, Streams, Whereabouts};
use crate::hub::Revocation;
use crate::identity::Stamp;
use crate::reactor::CloseReason;

/// Why a stream is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dismissal {
    /// Its credential was withdrawn.
    Revoked,
    /// An admin wants it.
    Disconnected {
        /// As he does of all others.
        all: bool,
    },
}

impl From<Dismissal> for CloseReason {
    fn from(why: Dismissal) -> CloseReason {
        match why {
            Dismissal::Revoked => CloseReason::Revoked,
            Dismissal::Disconnected { all } => CloseReason::ServerDisconnect { all },
        }
    }
}

/// A stream that is sent away.
#[derive(Debug, PartialEq, Eq)]
pub struct SentAway {
    /// Whom it counts for.
    pub holder: Holder,
    /// Where it is, for the caller to close it. One that is only on its way ends when it gets there.
    pub seated: Option<Seated>,
}

impl Admission {
    /// Sends away the streams that rest on what was withdrawn.
    pub fn withdraw(&self, revocation: &Revocation, until: Stamp) -> Vec<SentAway> {
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
        self.streams.lock().dismiss(Dismissal::Revoked, rests_on_it)
    }

    /// Sends away all streams, or those of one holder.
    pub fn send_away(&self, of: Option<&Holder>) -> Vec<SentAway> {
        let mut streams = self.streams.lock();
        let wanted = of.map(|holder| streams.holders.find(holder));
        let is_wanted = |entry: &Entry| wanted.is_none_or(|id| id == Some(entry.holder));
        streams.dismiss(Dismissal::Disconnected { all: of.is_none() }, is_wanted)
    }
}

impl Streams {
    fn dismiss(&mut self, why: Dismissal, concerned: impl Fn(&Entry) -> bool) -> Vec<SentAway> {
        let Streams { entries, holders, .. } = self;
        let entries = entries.iter_mut().map(|(_, entry)| entry);
        let sent_away = |entry: &mut Entry| {
            match entry.whereabouts {
                Whereabouts::Coming { shard } => {
                    entry.whereabouts = Whereabouts::Dismissed { shard, why };
                }
                Whereabouts::Seated { .. } => {}
                // What has not begun comes after this; what was sent away is so for its first reason.
                Whereabouts::Reserved | Whereabouts::Dismissed { .. } => return None,
            }
            let holder = holders.get(entry.holder)?.clone();
            Some(SentAway { holder, seated: entry.seated() })
        };
        entries.filter(|entry| concerned(entry)).filter_map(sent_away).collect()
    }
}
