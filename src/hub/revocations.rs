//! Credentials that were withdrawn before their time.

use std::collections::{HashMap, HashSet};

use parking_lot::RwLock;

use crate::event::Name;
use crate::identity::{Identity, Stamp};
use crate::log::{Change, Kind, Row};

/// What is withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Every token of a user that was issued until now.
    Subject(Name),
    /// The token with this id.
    Token(Box<str>),
}

/// All that was withdrawn, kept in the log as well.
pub struct Revocations {
    withdrawn: RwLock<Withdrawn>,
}

#[derive(Default)]
struct Withdrawn {
    /// Tokens issued up to then count no more.
    users: HashMap<Name, Stamp>,
    tokens: HashSet<Box<str>>,
}

impl Withdrawn {
    fn add(&mut self, revocation: Revocation, until: Stamp) {
        match revocation {
            Revocation::Subject(user) => {
                let known = self.users.entry(user).or_insert(until);
                *known = until.max(*known);
            }
            Revocation::Token(id) => {
                self.tokens.insert(id);
            }
        }
    }
}

impl Revocations {
    /// What the log has kept.
    pub fn read(rows: Vec<Row>) -> Revocations {
        let mut withdrawn = Withdrawn::default();
        for (key, value) in rows {
            match read_row(&key, &value) {
                Some((revocation, until)) => withdrawn.add(revocation, until),
                None => tracing::error!("a revocation in the log cannot be read"),
            }
        }
        Revocations { withdrawn: RwLock::new(withdrawn) }
    }

    /// Withdraws from now on, and tells what the log has to keep of it.
    pub fn add(&self, revocation: Revocation, until: Stamp) -> Change {
        let key = match &revocation {
            Revocation::Subject(user) => format!("{SUBJECT}{user}"),
            Revocation::Token(id) => format!("{TOKEN}{id}"),
        };
        self.withdrawn.write().add(revocation, until);
        Change { kind: Kind::Revoked, key, value: Some(until.0.to_le_bytes().to_vec()) }
    }

    /// Whether the credential of an identity was withdrawn.
    pub fn cover(&self, identity: &Identity) -> bool {
        let Some(credential) = &identity.credential else { return false };
        let withdrawn = self.withdrawn.read();
        let by_user = withdrawn.users.get(&identity.user);
        by_user.is_some_and(|until| credential.issued <= *until)
            || credential.id.as_ref().is_some_and(|id| withdrawn.tokens.contains(id))
    }
}

const SUBJECT: &str = "sub:";
const TOKEN: &str = "jti:";

fn read_row(key: &str, value: &[u8]) -> Option<(Revocation, Stamp)> {
    let until = Stamp(u64::from_le_bytes(value.try_into().ok()?));
    let revocation = match key.strip_prefix(SUBJECT) {
        Some(user) => Revocation::Subject(Name::new(user).ok()?),
        None => Revocation::Token(key.strip_prefix(TOKEN)?.into()),
    };
    Some((revocation, until))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Credential;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn token(user: &str, id: Option<&str>, issued: u64) -> Identity {
        let expires = None;
        let credential = Credential { id: id.map(Box::from), issued: Stamp(issued), expires };
        Identity { credential: Some(credential), ..Identity::of(name(user)) }
    }

    #[test]
    fn what_was_withdrawn_is_known_again_from_its_rows() {
        let revocations = Revocations::read(Vec::new());
        let changes = [
            revocations.add(Revocation::Subject(name("ann")), Stamp(100)),
            revocations.add(Revocation::Token("sub:bob".into()), Stamp(200)),
        ];
        let rows = changes.map(|change| (change.key, change.value.expect("a value")));
        for revocations in [revocations, Revocations::read(rows.into())] {
            assert!(revocations.cover(&token("ann", None, 100)));
            assert!(!revocations.cover(&token("ann", None, 101)));
            assert!(!revocations.cover(&token("bob", Some("t"), 0)));
            assert!(revocations.cover(&token("bob", Some("sub:bob"), 999)));
            assert!(!revocations.cover(&Identity::of(name("ann"))), "not by a token");
        }
    }

    #[test]
    fn an_earlier_time_takes_nothing_back() {
        let revocations = Revocations::read(Vec::new());
        revocations.add(Revocation::Subject(name("ann")), Stamp(100));
        revocations.add(Revocation::Subject(name("ann")), Stamp(50));
        assert!(revocations.cover(&token("ann", None, 70)));
    }
}
