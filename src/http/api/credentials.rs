//! `/tickets` and `/auth`: credentials traded, renewed and withdrawn.

use super::Fields;
use crate::event::Name;
use crate::http::auth::secret::Secret;
use crate::http::problem::Problem;
use crate::http::router::Stream;
use crate::hub::Revocation;
use crate::identity::{Credential, Identity};
use crate::reactor::ConnectionId;

/// `POST /tickets`: the path that the ticket is for, if only one.
pub fn ticket(fields: &Fields<'_>) -> Result<Option<&'static str>, Problem> {
    let Some(path) = fields.optional_text("path")? else { return Ok(None) };
    let known = Stream::ALL.into_iter().map(Stream::path).find(|known| *known == path);
    known.map(Some).ok_or_else(|| Problem::field("path", "must be the path of a stream"))
}

/// What a page signs in with.
pub enum SignIn {
    /// A credential.
    Token(Secret),
    /// A name, and the roles that go with it.
    Name(Name, Vec<Name>),
}

/// `POST /session`.
pub fn sign_in(fields: &Fields<'_>) -> Result<SignIn, Problem> {
    match (fields.given("token"), fields.given("name")) {
        (true, false) => Ok(SignIn::Token(Secret::new(fields.text("token")?))),
        (false, true) => {
            let (name, roles) = (fields.name("name")?, fields.optional_names("roles")?);
            match name.as_str().contains(':') {
                true => Err(Problem::field("name", "must be without a colon")),
                false => Ok(SignIn::Name(name, roles.unwrap_or_default())),
            }
        }
        _ => Err(Problem::field("token, name", "one of them must be given, and only one")),
    }
}

/// `POST /auth/renew`: the stream; `None` for what is none.
pub fn renewal(fields: &Fields<'_>) -> Result<Option<ConnectionId>, Problem> {
    fields.require(&["connectionId"])?;
    Ok(ConnectionId::parse(&fields.text("connectionId")?))
}

/// `POST /auth/revoke`: what to withdraw.
pub fn revocation(fields: &Fields<'_>, caller: &Identity) -> Result<Revocation, Problem> {
    let revocation = match (fields.given("sub"), fields.given("jti")) {
        (true, false) => Revocation::Subject(fields.name("sub")?),
        (false, true) => Revocation::Token(fields.text("jti")?.into()),
        _ => return Err(Problem::field("sub, jti", "one of them must be given, and only one")),
    };
    if matches!(&revocation, Revocation::Token(id) if id.len() > Credential::MAX_ID_BYTES) {
        return Err(Problem::field("jti", "must be at most 256 bytes long"));
    }
    match caller.roles.is_admin() {
        true => Ok(revocation),
        false => Err(Problem::forbidden("Only admins may withdraw credentials.")),
    }
}
