//! Where the keys are that credentials are checked with, and what else is asked of credentials.
//!
//! Nothing here has read a key: a path or a variable says where one is.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::ConfigError;
use crate::http::address::Address;
use crate::http::auth::algorithm::Algorithm;
use crate::http::auth::secret::Secret;

/// Who is believed to be whom, `auth.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthConfig {
    /// The secret itself; never together with `secret_file`.
    pub secret: Option<Secret>,
    /// The file that holds it.
    pub secret_file: Option<PathBuf>,
    /// What it is used with; one that takes a secret.
    pub algorithm: Algorithm,
    /// Further keys, no two with the same `kid` and algorithm.
    pub keys: Vec<KeyConfig>,
    /// A file with a JWK set (RFC 7517).
    pub jwks_file: Option<PathBuf>,
    /// Where to fetch one from: `https`, or `http` on loopback.
    pub jwks_url: Option<Address>,
    /// How often it is fetched.
    pub jwks_refresh: Duration,
    /// The `iss` that a token must have, unless its key says another.
    pub issuer: Option<String>,
    /// A token's `aud` must have one of these; anything when empty.
    pub audience: Vec<String>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// The name of the session cookie.
    pub cookie: String,
    /// How streams are refused for want of a right.
    pub errors: AuthErrors,
    /// Take tokens from `?token=`.
    pub query_tokens: bool,
    /// Take `?userId=` of a request without credential as its user.
    pub trust_user_id: bool,
    /// How long a ticket waits for its stream.
    pub ticket_ttl: Duration,
    /// How long before its end a stream is told that its token expires.
    pub expiry_notice: Duration,
}

/// How streams are refused to those who may not have them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum AuthErrors {
    /// As a status, 401 or 403.
    Status,
    /// As the guide has it: 200, and an event `error` in the stream.
    Stream,
}

/// One of `[[auth.keys]]`. The algorithm says whether it is a secret or a public key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyConfig {
    /// The `kid` of the tokens that it is for; only a single key may do without.
    pub kid: Option<String>,
    /// The one algorithm that it is used with.
    pub algorithm: Algorithm,
    /// Where it is.
    pub source: KeySource,
    /// The `iss` that its tokens must have, in place of the one for all.
    pub issuer: Option<String>,
}

/// Where a key is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeySource {
    /// A secret, in a file.
    SecretFile(PathBuf),
    /// A secret, in the environment variable of this name.
    SecretEnv(String),
    /// A public key, in a PEM file.
    PublicKeyFile(PathBuf),
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::SecretFile(path) | KeySource::PublicKeyFile(path) => path.display().fmt(f),
            KeySource::SecretEnv(variable) => f.write_str(variable),
        }
    }
}

/// The algorithms that sign and check with one secret; the others check with a public key.
pub(super) const WITH_SECRET: [Algorithm; 3] =
    [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];

impl AuthConfig {
    /// What concerns more than one of them. Under `dev` there are demo tokens, which need no key.
    pub(super) fn check(&self, dev: bool) -> Result<(), ConfigError> {
        if self.secret.is_some() && self.secret_file.is_some() {
            return Err(ConfigError::SecretTwice { table: "auth" });
        }
        let secret = self.secret.is_some() || self.secret_file.is_some();
        let elsewhere = secret || self.jwks_file.is_some() || self.jwks_url.is_some();
        if elsewhere && self.keys.iter().any(|key| key.kid.is_none()) {
            return Err(ConfigError::KeyWithoutKid);
        }
        if !dev && !elsewhere && self.keys.is_empty() {
            return Err(ConfigError::NoKey);
        }
        Ok(())
    }

    pub(super) fn blank() -> AuthConfig {
        AuthConfig {
            secret: None,
            secret_file: None,
            algorithm: Algorithm::Hs256,
            keys: Vec::new(),
            jwks_file: None,
            jwks_url: None,
            jwks_refresh: Duration::ZERO,
            issuer: None,
            audience: Vec::new(),
            leeway: Duration::ZERO,
            cookie: String::new(),
            errors: AuthErrors::Status,
            query_tokens: false,
            trust_user_id: false,
            ticket_ttl: Duration::ZERO,
            expiry_notice: Duration::ZERO,
        }
    }
}
