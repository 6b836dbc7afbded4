//! Who is asking.
//!
//! [`Presented`] finds a credential in a request; [`Authority`] looks into it. What it is, a demo
//! token or a JSON Web Token, matters to nobody else.

pub mod algorithm;
mod claims;
mod demo;
pub(crate) mod guessable;
pub mod jwks;
pub mod jwt;
pub mod keys;
pub mod mint;
pub mod presented;
pub mod secret;
#[cfg(test)]
mod tests;

use std::time::SystemTime;

use super::problem::Problem;
use super::query::Query;
use crate::event::Name;
use crate::identity::Identity;

use jwt::{Refused, Rules};
use keys::Keys;
pub use presented::{Place, Presented};
use secret::Secret;

/// What an operator decides about identities.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Take the reference's demo tokens, which anyone can make.
    pub demo_tokens: bool,
    /// Believe `?userId=` of a request without credential: a proxy has authenticated the user.
    pub trust_user_id: bool,
    /// Take tokens out of URLs, which end up in logs.
    pub query_tokens: bool,
    /// The name of the session cookie.
    pub cookie: String,
    /// What tokens are held to.
    pub rules: Rules,
}

/// Tells whose a token is.
pub struct Authority {
    settings: Settings,
    keys: Keys,
}

impl Authority {
    /// One that believes these keys.
    pub fn new(settings: Settings, keys: Keys) -> Authority {
        keys.try_out();
        Authority { settings, keys }
    }

    /// What it was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who manages a server that is for development, where nobody has to say who he is.
    pub fn manager(&self) -> Option<Identity> {
        self.settings.demo_tokens.then(demo::manager)
    }

    /// A token for whoever signs in by name, on a server that is for development.
    pub fn demo_token(&self, user: &Name, roles: &[Name]) -> Option<Secret> {
        self.settings.demo_tokens.then(|| demo::token(user, roles))
    }

    /// Whose a token is. The reason why it is nobody's is for the log alone.
    pub fn read(&self, token: &Secret, place: Place, now: SystemTime) -> Result<Identity, Why> {
        if place == Place::Query && !self.settings.query_tokens {
            return Err(Why::InUrl);
        }
        let demo = self.settings.demo_tokens.then(|| demo::read(token.expose())).flatten();
        match demo {
            Some(identity) => Ok(identity),
            None => Ok(jwt::verify(token.expose(), &self.keys, &self.settings.rules, now)?),
        }
    }
}

/// Why a credential is not valid. Its sender is never told.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Why {
    /// It stands where tokens are not taken from.
    #[error("it is in the URL, and auth.query_tokens is off")]
    InUrl,
    /// It is a token that is not valid.
    #[error(transparent)]
    Token(#[from] Refused),
    /// It is no ticket, or one that opens nothing any more.
    #[error("there is no such ticket, or it was used, or it is over")]
    Ticket,
    /// It was valid.
    #[error("it was revoked")]
    Revoked,
}

/// Whose stream it is: the caller's own, or with `?userId=` another's for an admin. `None` for an
/// anonymous one.
pub fn stream_owner(
    trust_user_id: bool,
    caller: Option<&Identity>,
    query: &Query,
) -> Result<Option<Identity>, Problem> {
    let forbidden = || Err(Problem::forbidden("userId: is not you"));
    match (query.name("userId")?, caller) {
        (None, caller) => Ok(caller.cloned()),
        (Some(user), Some(caller)) if user == caller.user => Ok(Some(caller.clone())),
        (Some(user), Some(caller)) if caller.roles.is_admin() => Ok(Some(Identity::of(user))),
        (Some(_), Some(_)) => forbidden(),
        (Some(user), None) if trust_user_id => Ok(Some(Identity::of(user))),
        (Some(_), None) => forbidden(),
    }
}
