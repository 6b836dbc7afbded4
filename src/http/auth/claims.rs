//! What a token says about its user (RFC 7519 section 4.1, and the product's own claims).

use std::time::SystemTime;

use serde::de::DeserializeOwned;

use super::jwt::{Refused, Rules};
use crate::event::{Name, unprintable};
use crate::identity::{Allowed, Credential, Grants, Identity, Pattern, Roles, Stamp};
use crate::json::Object;

/// The last day that RFC 3339 can write, in seconds since 1970; later ends cannot be told to a
/// client. What goes beyond it is most likely in milliseconds.
const LAST_DAY: f64 = 253_402_214_400.0;
/// The longest name that is shown to others, in bytes.
const MAX_USERNAME: usize = 256;

/// The claims of a token whose signature is good.
pub(super) struct Claims<'a>(Object<'a>);

impl<'a> Claims<'a> {
    /// Reads the object. Repeated members are refused: readers differ in which one they take.
    pub(super) fn read(json: &'a [u8]) -> Result<Claims<'a>, Refused> {
        Object::parse(json).map(Claims).map_err(|_| Refused::Claims)
    }

    /// Who says that he has issued it.
    pub(super) fn issuer(&self) -> Result<Option<String>, Refused> {
        self.get("iss")
    }

    /// The user, if the token counts now and here.
    pub(super) fn identity(&self, rules: &Rules, now: SystemTime) -> Result<Identity, Refused> {
        let credential = self.credential(rules, now)?;
        self.check_audience(rules)?;
        let user: String = self.get("sub")?.ok_or(Refused::Missing("sub"))?;
        let user = Name::new(&user).map_err(|_| Refused::Claim("sub"))?;
        let username = self.username(&user)?;
        // The address is for nobody to see, and still has to be one text.
        self.get::<String>("email")?;
        let (roles, grants) = (self.roles()?, self.grants()?);
        Ok(Identity { user, username, roles, grants, credential: Some(credential) })
    }

    /// When it counts, and what it can be withdrawn by.
    fn credential(&self, rules: &Rules, now: SystemTime) -> Result<Credential, Refused> {
        let now = Stamp::of(now);
        let latest = now.after(rules.leeway);
        let expires = self.time("exp")?.ok_or(Refused::Missing("exp"))?.after(rules.leeway);
        if now >= expires {
            return Err(Refused::Expired);
        }
        if self.time("nbf")?.is_some_and(|begin| begin > latest) {
            return Err(Refused::NotYet);
        }
        let issued = self.time("iat")?.unwrap_or(Stamp(0));
        if issued > latest {
            return Err(Refused::IssuedLater);
        }
        Ok(Credential { id: self.token_id()?, issued, expires: Some(expires) })
    }

    fn token_id(&self) -> Result<Option<Box<str>>, Refused> {
        match self.get::<Box<str>>("jti")? {
            Some(id) if id.is_empty() || id.len() > Credential::MAX_ID_BYTES => {
                Err(Refused::Claim("jti"))
            }
            id => Ok(id),
        }
    }

    fn check_audience(&self, rules: &Rules) -> Result<(), Refused> {
        let is_ours = |name: &String| rules.audience.contains(name);
        match self.one_or_many("aud")? {
            None if rules.audience.is_empty() => Ok(()),
            Some(_) if rules.audience.is_empty() => Err(Refused::AudienceNotSet),
            Some(names) if names.iter().any(is_ours) => Ok(()),
            _ => Err(Refused::Audience),
        }
    }

    fn username(&self, user: &Name) -> Result<String, Refused> {
        match self.get::<String>("name")? {
            None => Ok(user.to_string()),
            Some(name) if name.is_empty() => Ok(user.to_string()),
            Some(name) if name.len() > MAX_USERNAME || name.chars().any(unprintable) => {
                Err(Refused::Claim("name"))
            }
            Some(name) => Ok(name),
        }
    }

    /// A list, or one text as a proxy or OAuth's `scope` would have it.
    fn roles(&self) -> Result<Roles, Refused> {
        match self.0.get("roles") {
            Some(roles) if roles.get().starts_with('"') => {
                let names = self.get::<String>("roles")?.unwrap_or_default();
                Ok(Roles::from_names(names.split([',', ' '])))
            }
            // What is in a list is a whole name: "not admin" is another role than "admin".
            _ => {
                let names = self.get::<Vec<String>>("roles")?.unwrap_or_default();
                Ok(Roles::from_names(names.iter().map(String::as_str)))
            }
        }
    }

    fn grants(&self) -> Result<Grants, Refused> {
        Ok(Grants {
            channels: self.allowed("channels")?,
            rooms: self.allowed("rooms")?,
            conversations: self.allowed("conversations")?,
        })
    }

    fn allowed(&self, claim: &'static str) -> Result<Allowed, Refused> {
        let Some(names) = self.get::<Vec<String>>(claim)? else { return Ok(Allowed::Open) };
        let patterns = names.iter().map(|name| Pattern::parse(name)).collect::<Result<_, _>>();
        patterns.map(Allowed::Only).map_err(|_| Refused::Claim(claim))
    }

    /// A `NumericDate`: seconds since 1970, maybe with a fraction.
    fn time(&self, claim: &'static str) -> Result<Option<Stamp>, Refused> {
        match self.get::<f64>(claim)? {
            Some(seconds) if !(0.0..LAST_DAY).contains(&seconds) => Err(Refused::Claim(claim)),
            // In bounds, so nothing is lost but what is less than a millisecond.
            seconds => Ok(seconds.map(|seconds| Stamp((seconds * 1000.0).round() as u64))),
        }
    }

    fn one_or_many(&self, claim: &'static str) -> Result<Option<Vec<String>>, Refused> {
        match self.0.get(claim) {
            Some(value) if value.get().starts_with('"') => {
                Ok(self.get(claim)?.map(|name| vec![name]))
            }
            _ => self.get(claim),
        }
    }

    /// A claim of one type, if it is there; `null` is of no type.
    fn get<T: DeserializeOwned>(&self, claim: &'static str) -> Result<Option<T>, Refused> {
        let value = self.0.get(claim).map(|value| serde_json::from_str(value.get()));
        value.transpose().map_err(|_| Refused::Claim(claim))
    }
}
