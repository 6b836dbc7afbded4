//! Makes a token, for trying out.

use std::time::{Duration, SystemTime};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Map, Number, Value};
use thiserror::Error;

use super::algorithm::Algorithm;
use super::keys::{Key, KeyError};
use super::secret::Secret;
use crate::event::Name;
use crate::identity::Stamp;

/// What a token shall say.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The user's id.
    pub user: Name,
    /// The name that others see.
    pub name: Option<String>,
    /// What he may do; none to leave the claim out.
    pub roles: Vec<String>,
    /// The channels that he is narrowed to.
    pub channels: Option<Vec<String>>,
    /// The chat rooms that he is narrowed to.
    pub rooms: Option<Vec<String>>,
    /// The conversations that he is narrowed to.
    pub conversations: Option<Vec<String>>,
    /// How long it counts.
    pub lifetime: Duration,
    /// Who issues it.
    pub issuer: Option<String>,
    /// Whom it is for.
    pub audience: Option<String>,
    /// The id of the key.
    pub key_id: Option<String>,
    /// The token's own id, to revoke it by.
    pub id: Option<String>,
}

/// Why there is no token.
#[derive(Debug, Error)]
pub enum MintError {
    /// The server would not take the secret either.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A fault of the library.
    #[error("the token cannot be signed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// Makes a token with a secret that the server would take.
pub fn mint(
    wanted: &Wanted,
    secret: &Secret,
    algorithm: Algorithm,
    now: SystemTime,
) -> Result<String, MintError> {
    Key::from_secret(secret, algorithm, None, None)?;
    let header = Header { kid: wanted.key_id.clone(), ..Header::new(algorithm.jose()) };
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    Ok(jsonwebtoken::encode(&header, &claims(wanted, Stamp::of(now)), &key)?)
}

fn claims(wanted: &Wanted, now: Stamp) -> Map<String, Value> {
    let Wanted { user, name, roles, channels, rooms, conversations, .. } = wanted;
    let roles = Some(roles).filter(|roles| !roles.is_empty());
    let claims = [
        ("iss", wanted.issuer.clone().map(Value::from)),
        ("aud", wanted.audience.clone().map(Value::from)),
        ("sub", Some(user.as_str().into())),
        ("name", name.clone().map(Value::from)),
        ("roles", roles.cloned().map(Value::from)),
        ("channels", channels.clone().map(Value::from)),
        ("rooms", rooms.clone().map(Value::from)),
        ("conversations", conversations.clone().map(Value::from)),
        ("jti", wanted.id.clone().map(Value::from)),
        ("iat", seconds(now)),
        ("exp", seconds(now.after(wanted.lifetime))),
    ];
    let given = claims.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    given.collect()
}

/// A `NumericDate`, with a fraction only where there is one: not every reader takes it.
fn seconds(Stamp(milliseconds): Stamp) -> Option<Value> {
    match milliseconds % 1000 {
        0 => Some((milliseconds / 1000).into()),
        _ => Number::from_f64(milliseconds as f64 / 1000.0).map(Value::Number),
    }
}
