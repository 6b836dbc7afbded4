//! The reference's demo token: base64 of `id:username:email:roles`. Anyone can make one, so it is
//! taken under `--dev` alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::secret::Secret;
use crate::event::Name;
use crate::identity::{Credential, Identity, Roles, Stamp};

/// The identity in a token; `None` when it is none.
pub(super) fn read(token: &str) -> Option<Identity> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let mut parts = text.splitn(4, ':');
    let user = Name::new(parts.next()?).ok()?;
    let username = Name::new(parts.next()?).ok()?.to_string();
    let _email = parts.next()?;
    let roles = Roles::from_names(parts.next()?.split(',').map(str::trim));
    // It does not say when it was made, so whoever revokes its user's tokens means all of them.
    let credential = Credential { id: None, issued: Stamp(0), expires: None };
    Some(Identity { username, roles, credential: Some(credential), ..Identity::of(user) })
}

/// The token of a user with these roles. What has a colon in it would be read as more than a name.
pub(super) fn token(user: &Name, roles: &[Name]) -> Secret {
    let roles: Vec<&str> = roles.iter().map(Name::as_str).collect();
    Secret::new(STANDARD.encode(format!("{user}:{user}::{}", roles.join(","))))
}

/// Whoever may do everything, without a token.
pub(super) fn manager() -> Identity {
    let user = Name::MANAGER;
    Identity { roles: Roles::from_names(["admin"]), ..Identity::of(user) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_the_reference() {
        let identity = read("dGVzdDEyMzp0ZXN0dXNlcjp0ZXN0QGV4YW1wbGUuY29tOnVzZXIsYWRtaW4=");
        let identity = identity.expect("the demo token");
        assert_eq!((identity.user.as_str(), identity.username.as_str()), ("test123", "testuser"));
        assert!(identity.roles.is_admin() && identity.roles.may_publish());
    }

    #[test]
    fn the_token_of_a_name() {
        let name = |text| Name::new(text).expect("a name");
        let token = token(&name("Zo\u{eb} 1"), &[name("user"), name("publisher")]);
        let identity = read(token.expose()).expect("a demo token");
        assert_eq!(
            (identity.user.as_str(), identity.username.as_str()),
            ("Zo\u{eb} 1", "Zo\u{eb} 1")
        );
        assert!(identity.roles.may_publish() && !identity.roles.is_admin());
    }

    #[test]
    fn what_is_no_token() {
        for text in ["", "a", "a:b", "a:b:c", ":b:c:d", "a::c:d", "a\n:b:c:d"] {
            assert_eq!(read(&STANDARD.encode(text)), None, "{text:?}");
        }
        assert_eq!(read("not base64!"), None);
        assert!(read(&STANDARD.encode("a:b::")).is_some_and(|who| !who.roles.may_publish()));
    }
}
