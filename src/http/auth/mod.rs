//! Who is asking.

mod demo;

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use super::problem::Problem;
use super::query::Query;
use crate::event::Name;

/// What an operator decides about identities.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Take the reference's demo tokens, which anyone can make.
    pub demo_tokens: bool,
    /// Believe `?userId=` of a request without credential: a proxy has authenticated the user.
    pub trust_user_id: bool,
}

/// Somebody who has said who he is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's id.
    pub user: Name,
    /// The name that others see.
    pub username: String,
    /// What he may do beyond his own affairs.
    pub roles: Roles,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    publisher: bool,
    admin: bool,
}

impl Roles {
    /// Reads a list of names; those that mean nothing here are left to other programs.
    fn from_names<'a>(names: impl Iterator<Item = &'a str>) -> Roles {
        names.fold(Roles::default(), |roles, name| match name.trim() {
            "publisher" => Roles { publisher: true, ..roles },
            "admin" => Roles { admin: true, ..roles },
            _ => roles,
        })
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

impl Identity {
    /// A user without roles, known by his id alone.
    fn of(user: Name) -> Identity {
        Identity { username: user.to_string(), user, roles: Roles::default() }
    }
}

/// Who sends a request; `None` without a credential.
pub fn identify(
    settings: &Settings,
    headers: &HeaderMap,
    query: &Query,
) -> Result<Option<Identity>, Problem> {
    let Some(token) = token(headers, query)? else { return Ok(None) };
    let identity = if settings.demo_tokens { demo::read(&token) } else { None };
    identity.map(Some).ok_or_else(|| Problem::unauthorized(true))
}

/// Whose stream it is: the caller's own, or with `?userId=` another's for an admin. `None` for an
/// anonymous one.
pub fn stream_owner(
    settings: &Settings,
    caller: Option<Identity>,
    query: &Query,
) -> Result<Option<Identity>, Problem> {
    let forbidden = || Err(Problem::forbidden("userId: is not you"));
    match (query.name("userId")?, caller) {
        (None, caller) => Ok(caller),
        (Some(user), Some(caller)) if user == caller.user => Ok(Some(caller)),
        (Some(user), Some(caller)) if caller.roles.is_admin() => Ok(Some(Identity::of(user))),
        (Some(_), Some(_)) => forbidden(),
        (Some(user), None) if settings.trust_user_id => Ok(Some(Identity::of(user))),
        (Some(_), None) => forbidden(),
    }
}

/// The one token of a request, wherever it stands.
fn token(headers: &HeaderMap, query: &Query) -> Result<Option<String>, Problem> {
    let mut tokens: Vec<String> = Vec::new();
    tokens.extend(query.one("token")?.map(str::to_owned));
    for value in headers.get_all(AUTHORIZATION) {
        tokens.extend(bearer(value.as_bytes()).map(lossy));
    }
    tokens.extend(headers.get_all("x-auth-token").iter().map(|value| lossy(value.as_bytes())));
    tokens.dedup();
    match tokens.len() {
        0 | 1 => Ok(tokens.pop()),
        _ => Err(Problem::bad_request("The request has two different credentials.")),
    }
}

/// The token of `Authorization: Bearer`. Other schemes are for others, a proxy's for instance.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Bytes that are no text are no valid token either.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
