//! The way of a JSON Web Token: text, strict header, key, signature, claims.
//!
//! What is refused is refused as early as can be: nothing but the header is read before the
//! signature is known to be good, and of the header only what chooses among the keys of the
//! configuration. Keys, or places to get one from, that a token brings along are never looked at.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use super::algorithm::Algorithm;
use super::claims::Claims;
use super::keys::Keys;
use crate::identity::Identity;
use crate::json::Object;

/// The longest token, in bytes. It has to fit a request's head.
const MAX_LENGTH: usize = 8 * 1024;
/// Header members that change what a token means (RFC 7515 section 4.1.11, RFC 7797, RFC 7516).
const EXTENSIONS: [&str; 3] = ["crit", "b64", "zip"];

/// What a token must say besides having a good signature.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Who issues it, for keys without an issuer of their own.
    pub issuer: Option<String>,
    /// Whom it is for: one of these must be among those that it names.
    pub audience: Vec<String>,
    /// How far the clocks may be apart.
    pub leeway: Duration,
}

/// Why a token is not taken. It is for the operator's eyes, and has nothing of the token.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// More than can be a token.
    #[error("the token is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// Not a token at all.
    #[error("the token is not three parts with dots between them")]
    Parts,
    /// There would be several ways to write the same token.
    #[error("a part of the token is not canonical base64url without padding")]
    Encoding,
    /// Readers would differ in what it says.
    #[error("the header is not a JSON object with each member once")]
    Header,
    /// `none`, or something that is not known here.
    #[error("the algorithm is not one that is taken here")]
    Algorithm,
    /// Not a string.
    #[error("the key id (kid) is not a string")]
    KeyId,
    /// Something that is not understood here must be understood.
    #[error("the header asks for an extension (crit, b64, zip)")]
    Extension,
    /// Signed by somebody else, or with another algorithm than the key's.
    #[error("there is no key with this key id and algorithm")]
    UnknownKey,
    /// Forged, or changed since it was signed.
    #[error("the signature is not that of any fitting key")]
    Signature,
    /// Readers would differ in what they say.
    #[error("the claims are not a JSON object with each member once")]
    Claims,
    /// Without it there is no identity.
    #[error("the claim {0} is missing")]
    Missing(&'static str),
    /// Of another type, `null`, or out of bounds.
    #[error("the claim {0} is not what it should be")]
    Claim(&'static str),
    /// `exp` is over.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is still to come.
    #[error("the token is not valid yet (nbf)")]
    NotYet,
    /// `iat` is still to come.
    #[error("the token was issued in the future (iat); compare the clocks")]
    IssuedLater,
    /// `iss` is not the key's issuer.
    #[error("the token is of another issuer (iss) than its key")]
    Issuer,
    /// `aud` has none of ours.
    #[error("the token is for another audience (aud)")]
    Audience,
    /// It is for somebody, and nobody has said that this is us (RFC 7519 section 4.1.3).
    #[error("the token names an audience (aud), and auth.audience is not set")]
    AudienceNotSet,
}

/// Whose token this is.
pub fn verify(
    token: &str,
    keys: &Keys,
    rules: &Rules,
    now: SystemTime,
) -> Result<Identity, Refused> {
    if token.len() > MAX_LENGTH {
        return Err(Refused::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Refused::Parts)?;
    let (header, payload) = message.split_once('.').ok_or(Refused::Parts)?;
    if payload.contains('.') {
        return Err(Refused::Parts);
    }
    let (header, payload) = (decoded(header)?, decoded(payload)?);
    decoded(signature)?;

    let Header { id, algorithm } = Header::read(&header)?;
    let fitting = keys.fitting(id.as_deref(), algorithm);
    if fitting.is_empty() {
        return Err(Refused::UnknownKey);
    }
    let mut signers = fitting.iter().filter(|key| key.has_signed(message, signature)).peekable();
    if signers.peek().is_none() {
        return Err(Refused::Signature);
    }

    let claims = Claims::read(&payload)?;
    let issuer = claims.issuer()?;
    let may_issue =
        |wanted: Option<&str>| wanted.is_none_or(|name| issuer.as_deref() == Some(name));
    if !signers.any(|key| may_issue(key.issuer().or(rules.issuer.as_deref()))) {
        return Err(Refused::Issuer);
    }
    claims.identity(rules, now)
}

/// Takes what an encoder writes, and nothing else that decodes to the same.
fn decoded(part: &str) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Encoding)
}

/// What chooses the key.
struct Header {
    id: Option<String>,
    algorithm: Algorithm,
}

impl Header {
    fn read(json: &[u8]) -> Result<Header, Refused> {
        let members = Object::parse(json).map_err(|_| Refused::Header)?;
        if EXTENSIONS.iter().any(|name| members.get(name).is_some()) {
            return Err(Refused::Extension);
        }
        let text = |name| members.get(name).map(|value| serde_json::from_str(value.get()));
        let id = text("kid").transpose().map_err(|_| Refused::KeyId)?;
        let name: String = text("alg").and_then(Result::ok).ok_or(Refused::Algorithm)?;
        let algorithm = name.parse().map_err(|_| Refused::Algorithm)?;
        Ok(Header { id, algorithm })
    }
}
