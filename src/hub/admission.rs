//! How many streams there may be: per user or address, and in all.

use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use thiserror::Error;

use crate::event::Name;
use crate::interner::Interner;

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

/// Counts the streams.
pub struct Admission {
    limits: Limits,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    total: usize,
    /// A holder's count is how often it is held.
    holders: Interner<Holder>,
}

impl Admission {
    /// Nobody is there yet.
    pub fn new(limits: Limits) -> Arc<Admission> {
        Arc::new(Admission { limits, counts: Mutex::default() })
    }

    /// Takes a place.
    pub fn admit(self: &Arc<Self>, holder: &Holder) -> Result<Permit, Full> {
        let Limits { per_holder, total } = self.limits;
        let mut counts = self.counts.lock();
        let has = counts.holders.find(holder).map_or(0, |id| counts.holders.holders(id));
        if *holder != Holder::Nobody && has as usize >= per_holder {
            return Err(Full::Holder(per_holder));
        }
        if counts.total >= total {
            return Err(Full::Total);
        }
        counts.total += 1;
        let holder = counts.holders.hold(holder);
        Ok(Permit { admission: Arc::clone(self), holder })
    }

    /// How many streams are admitted now.
    pub fn streams(&self) -> usize {
        self.counts.lock().total
    }
}

/// A place; its drop is the only way to give it back.
pub struct Permit {
    admission: Arc<Admission>,
    holder: u32,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts.lock();
        counts.total -= 1;
        counts.holders.release(self.holder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Holder {
        Holder::User(Name::new(name).expect("a name"))
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
}
