//! Those who come with bad tokens, again as soon as they are refused.

use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;

use crate::failure::Failure;
use crate::publishers::{Next, Outcome, Script};
use crate::signer::Signer;
use crate::stamp::{Scope, Stamp};
use crate::target::{Audience, Order};

/// What a long token is filled up with, in bytes: base64 makes it nearly 8 KiB, which is as long as
/// Rill looks at one.
const FILLING: usize = 5_790;

/// A token that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bad {
    /// Well made, with the signature of another key.
    Forged,
    /// The same with 8 KB.
    Long,
    /// Not a token at all.
    Garbage,
}

impl Bad {
    /// As people read it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Bad::Forged => "forged",
            Bad::Long => "forged, 8 KB",
            Bad::Garbage => "garbage",
        }
    }

    /// One that this forger makes.
    pub(crate) fn token(self, forger: &Signer) -> Result<String, Failure> {
        let filling = "x".repeat(FILLING);
        match self {
            Bad::Forged => forger.sign(br#"{"sub":"admin","roles":["admin"]}"#),
            Bad::Long => forger.sign(format!(r#"{{"sub":"admin","x":"{filling}"}}"#).as_bytes()),
            Bad::Garbage => Ok("garbage".repeat(20)),
        }
    }
}

/// What became of their tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refusals {
    /// Looked at, and refused.
    pub(crate) refused: u64,
    /// Refused because there were too many.
    pub(crate) limited: u64,
    /// The connection ended instead.
    pub(crate) unanswered: u64,
    /// Taken for good ones.
    pub(crate) taken: u64,
}

impl Refusals {
    /// All that had an answer.
    pub(crate) fn answered(&self) -> u64 {
        self.refused + self.limited + self.taken
    }

    /// Adds others.
    pub(crate) fn add(&mut self, other: &Refusals) {
        self.refused += other.refused;
        self.limited += other.limited;
        self.unanswered += other.unanswered;
        self.taken += other.taken;
    }
}

/// Publishes, each lane as soon as it is refused.
pub(crate) struct Siege<'a> {
    /// Ends it.
    over: &'a AtomicBool,
    /// What came of it so far.
    pub(crate) refusals: Refusals,
}

impl Siege<'_> {
    /// Until `over` is set.
    pub(crate) fn new(over: &AtomicBool) -> Siege<'_> {
        Siege { over, refusals: Refusals::default() }
    }
}

impl Script for Siege<'_> {
    fn next(&mut self, _lane: usize, now: u64) -> Next {
        if self.over.load(Ordering::Relaxed) {
            return Next::Done;
        }
        // Where it is taken, every stream gets what none waits for, and says so.
        let stamp = Stamp { scope: Scope::Lane(u32::MAX), k: 0, t: now };
        Next::Publish(Order { audience: Audience::Everybody, stamp })
    }

    fn ended(&mut self, _: usize, _: Order, outcome: Outcome, _now: u64) -> Result<(), Failure> {
        match outcome {
            Outcome::Refused(Failure::Refused { status: 401, .. }) => self.refusals.refused += 1,
            Outcome::Refused(Failure::Refused { status: 429, .. }) => self.refusals.limited += 1,
            Outcome::Refused(other) => return Err(other),
            Outcome::Unknown(_) => self.refusals.unanswered += 1,
            Outcome::Kept(_) => self.refusals.taken += 1,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::Jwt;

    #[test]
    fn a_long_token_is_as_long_as_is_looked_at() {
        for jwt in [Jwt::Hs256, Jwt::Es256, Jwt::Rs256] {
            let long = Bad::Long.token(&Signer::draw(jwt).unwrap()).unwrap().len();
            assert!((7_800..=8 * 1024).contains(&long), "{jwt:?}: {long}");
        }
    }

    #[test]
    fn any_other_answer_ends_the_run() {
        let over = AtomicBool::new(false);
        let mut siege = Siege::new(&over);
        let Next::Publish(order) = siege.next(0, 1) else { panic!() };
        let mut ends = |status| {
            let refused = Failure::Refused { status, body: String::new() };
            siege.ended(0, order, Outcome::Refused(refused), 2).is_err()
        };
        assert_eq!([401, 429, 404, 503].map(&mut ends), [false, false, true, true]);
        assert_eq!((siege.refusals.refused, siege.refusals.limited), (1, 1));
        over.store(true, Ordering::Relaxed);
        assert_eq!(siege.next(0, 3), Next::Done);
    }
}
