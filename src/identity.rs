//! Who somebody is, and what he may do.
//!
//! Where this comes from (a token, a ticket, a proxy's word) is for [`crate::http::auth`] to know;
//! from there on only this counts.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::event::{Name, NameError};

/// Somebody who has said who he is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's id.
    pub user: Name,
    /// The name that others see.
    pub username: String,
    /// What he may do beyond his own affairs.
    pub roles: Roles,
    /// What he may listen to, where that is narrowed.
    pub grants: Grants,
    /// What his word rests on; `None` when nothing can end or withdraw it.
    pub credential: Option<Credential>,
}

/// What can end or withdraw an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The token's own id (`jti`), if it has one.
    pub id: Option<Box<str>>,
    /// When it was issued; the beginning of time if it does not say.
    pub issued: Stamp,
    /// From when on it counts no more; `None` if it has no end of its own.
    pub expires: Option<Stamp>,
}

impl Credential {
    /// The longest id, in bytes; revocations keep it.
    pub const MAX_ID_BYTES: usize = 256;
}

/// Milliseconds since 1970 by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

impl Stamp {
    /// A moment of the wall clock; what is before 1970 counts as 1970.
    pub fn of(time: SystemTime) -> Stamp {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Stamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The moment.
    pub fn time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0)
    }

    /// So much later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Stamp {
        Stamp(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long it is from `earlier` to this; zero if it is not later.
    pub fn since(self, earlier: Stamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// What a user may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    publisher: bool,
    admin: bool,
}

impl Roles {
    /// Reads a list of names; those that mean nothing here are left to other programs.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Roles {
        names.into_iter().fold(Roles::default(), |roles, name| match name {
            "publisher" => Roles { publisher: true, ..roles },
            "admin" => Roles { admin: true, ..roles },
            _ => roles,
        })
    }

    /// The names of the roles that count here.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let named = [("publisher", self.publisher), ("admin", self.admin)];
        named.into_iter().filter_map(|(name, has)| has.then_some(name))
    }

    /// May send to anyone.
    pub fn may_publish(self) -> bool {
        self.publisher || self.admin
    }

    /// May do everything.
    pub fn is_admin(self) -> bool {
        self.admin
    }
}

/// What a credential narrows its user to, one list a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Channels.
    pub channels: Allowed,
    /// Chat rooms.
    pub rooms: Allowed,
    /// Conversations.
    pub conversations: Allowed,
}

/// An allow-list, if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Allowed {
    /// Nothing is said: what is open to everyone.
    #[default]
    Open,
    /// These alone.
    Only(Box<[Pattern]>),
}

/// One name, or all that begin alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This name.
    Exact(Name),
    /// Every name that begins with this text, which may be empty.
    Prefix(Box<str>),
}

impl Pattern {
    /// Reads a name, or a prefix with a `*` behind it.
    pub fn parse(text: &str) -> Result<Pattern, NameError> {
        match text.strip_suffix('*') {
            Some("") => Ok(Pattern::Prefix("".into())),
            Some(prefix) => Name::new(prefix).map(|name| Pattern::Prefix(name.as_str().into())),
            None => Name::new(text).map(Pattern::Exact),
        }
    }

    /// Whether it is about this name. Names are compared byte by byte: what only looks alike is
    /// another.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Pattern::Exact(exact) => exact.as_str() == name,
            Pattern::Prefix(prefix) => name.starts_with(&**prefix),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Exact(name) => name.fmt(f),
            Pattern::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

impl Allowed {
    /// Whether the list, if there is one, has this name.
    pub fn allows(&self, name: &str) -> bool {
        match self {
            Allowed::Open => true,
            Allowed::Only(patterns) => patterns.iter().any(|pattern| pattern.matches(name)),
        }
    }
}

impl Grants {
    /// Whether these let one listen to a channel.
    pub fn may_hear(&self, channel: &str) -> bool {
        match &self.channels {
            Allowed::Open => !channel.starts_with(PRIVATE),
            only => only.allows(channel),
        }
    }
}

/// What channels begin with that nobody hears without a grant.
const PRIVATE: &str = "private-";

impl Identity {
    /// A user without roles, known by his id alone.
    pub fn of(user: Name) -> Identity {
        Identity {
            username: user.to_string(),
            user,
            roles: Roles::default(),
            grants: Grants::default(),
            credential: None,
        }
    }

    /// When his credential ends, if it does.
    pub fn expires(&self) -> Option<Stamp> {
        self.credential.as_ref()?.expires
    }

    /// Whether it has ended.
    pub fn has_expired(&self, now: Stamp) -> bool {
        self.expires().is_some_and(|expires| expires <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(patterns: &[&str]) -> Allowed {
        let parse = |text: &&str| Pattern::parse(text).expect("a pattern");
        Allowed::Only(patterns.iter().map(parse).collect())
    }

    #[test]
    fn private_channels_need_a_grant() {
        let hears = |channels: Allowed, channel: &str| {
            Grants { channels, ..Grants::default() }.may_hear(channel)
        };
        assert!(hears(Allowed::Open, "orders") && !hears(Allowed::Open, "private-orders"));
        // Looks like it and is another name.
        assert!(hears(Allowed::Open, "Private-orders"));
        assert!(hears(Allowed::Open, "private\u{2010}x"));
        let granted = || only(&["private-orders", "team-*"]);
        assert!(hears(granted(), "private-orders") && hears(granted(), "team-"));
        for other in ["orders", "private-orders2", "private-order", "tEam-1", "team", "*", ""] {
            assert!(!hears(granted(), other), "{other}");
        }
        assert!(!hears(only(&[]), "orders"));
    }

    #[test]
    fn a_star_alone_is_everything_and_inside_a_name_is_a_star() {
        assert!(only(&["*"]).allows("private-x") && only(&["*"]).allows(""));
        assert!(only(&["a*b"]).allows("a*b") && !only(&["a*b"]).allows("aXb"));
        assert!(Pattern::parse("").is_err() && Pattern::parse("a\n*").is_err());
    }

    #[test]
    fn roles_are_names_among_others() {
        let roles = Roles::from_names(["user", "admin"]);
        assert!(roles.is_admin() && roles.may_publish());
        assert_eq!(roles.names().collect::<Vec<_>>(), ["admin"]);
        assert!(
            !Roles::from_names(["Admin", "administrator", " admin", "not admin"]).may_publish()
        );
    }
}
