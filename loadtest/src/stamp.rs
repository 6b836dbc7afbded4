//! The mark that a publisher puts into each message, and that every receiver finds again.
//!
//! `~b2.17.81234567~` is event 17 of publisher lane 2 for everybody, meant to be sent at that
//! nanosecond of the shared clock; `~u9.3.81234567~` is event 3 for user 9. None of its characters
//! needs an escape in JSON, a URL or a header, so that it survives whatever a server wraps around a
//! message, and `~` is rare enough to be found by one scan.

use std::fmt;

use memchr::memchr;

use crate::digits;

/// Whose count [`Stamp::k`] belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// A publisher lane's broadcasts, or any private numbering of a lane.
    Lane(u32),
    /// What is sent to this user alone.
    User(u32),
}

/// One event's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The numbering.
    pub(crate) scope: Scope,
    /// Counts up from 0 without holes within the scope.
    pub(crate) k: u32,
    /// The intended time of sending, see [`crate::clock`].
    pub(crate) t: u64,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (letter, number) = match self.scope {
            Scope::Lane(lane) => ('b', lane),
            Scope::User(user) => ('u', user),
        };
        write!(f, "~{letter}{number}.{}.{}~", self.k, self.t)
    }
}

impl Stamp {
    /// The first stamp in an event's data.
    #[inline]
    pub(crate) fn find(data: &[u8]) -> Option<Stamp> {
        let mut rest = data;
        loop {
            rest = &rest[memchr(b'~', rest)? + 1..];
            if let Some(stamp) = Stamp::parse(rest) {
                return Some(stamp);
            }
        }
    }

    /// What follows the first `~`.
    #[inline]
    fn parse(text: &[u8]) -> Option<Stamp> {
        let (&letter, text) = text.split_first()?;
        let (number, text) = digits::until(text, b'.')?;
        let (k, text) = digits::until(text, b'.')?;
        let (t, _) = digits::until(text, b'~')?;
        let number = u32::try_from(number).ok()?;
        let scope = match letter {
            b'b' => Scope::Lane(number),
            b'u' => Scope::User(number),
            _ => return None,
        };
        Some(Stamp { scope, k: u32::try_from(k).ok()?, t })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_inside_escaped_json() {
        for scope in [Scope::Lane(0), Scope::User(u32::MAX)] {
            let stamp = Stamp { scope, k: 17, t: 1 << 62 };
            let data = format!(r#"{{"title":"a ~ b ~b1.x","message":"{{\"load\":\"{stamp}\"}}"}}"#);
            assert_eq!(Stamp::find(data.as_bytes()), Some(stamp));
        }
    }

    #[test]
    fn is_not_made_up() {
        for data in [
            "",
            "~",
            "~b",
            "~b1.2.3",
            "~b1..3~",
            "~x1.2.3~",
            "~b1.2~",
            "~b99999999999.1.1~",
            "~b1.1.99999999999999999999~",
        ] {
            assert_eq!(Stamp::find(data.as_bytes()), None, "{data}");
        }
    }
}
