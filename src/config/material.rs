//! The keys and secrets themselves, read from where the settings say they are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::WebhooksConfig;
use super::auth::{AuthConfig, KeyConfig, KeySource};
use crate::http::auth::algorithm::Algorithm;
use crate::http::auth::jwks::Source;
use crate::http::auth::keys::{Key, KeyError};
use crate::http::auth::secret::Secret;
use crate::webhooks::{self, SecretError, SigningKey};

/// Why a key is not there, or is none. It is told to the operator, and has nothing of the key.
#[derive(Debug, Error)]
pub enum MaterialError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {reason}", .path.display())]
    Unreadable {
        /// As the settings have it.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// A variable is not there, or is not text. It is not named: a secret may stand there by mistake.
    #[error("the variable that secret_env of the key {0:?} names is not set")]
    NoVariable(String),
    /// What is there is not taken.
    #[error("{at}: {error}")]
    Refused {
        /// Where it is.
        at: String,
        /// What is wrong with it.
        error: KeyError,
    },
    /// What is there does not sign webhooks.
    #[error("{at}: {error}")]
    Webhooks {
        /// Where it is.
        at: String,
        /// What is wrong with it.
        error: SecretError,
    },
    /// There is no secret to sign with.
    #[error(
        "there is no secret to sign with; set auth.secret_file or auth.secret, or name a key of \
         [[auth.keys]] that has a secret with --kid"
    )]
    NoSecret,
}

/// A secret with what it is used for.
pub struct Signer {
    /// The secret.
    pub secret: Secret,
    /// What it is used with.
    pub algorithm: Algorithm,
    /// The `iss` that its tokens must have.
    pub issuer: Option<String>,
}

impl AuthConfig {
    /// The keys that stand in the settings.
    ///
    /// # Errors
    /// The first that is not there or not taken.
    pub fn read_keys(&self) -> Result<Vec<Key>, MaterialError> {
        let own = self.own_secret()?.map(|(secret, at)| {
            let key = Key::from_secret(&secret, self.algorithm, None, None);
            key.map_err(|error| MaterialError::Refused { at, error })
        });
        own.into_iter().chain(self.keys.iter().map(KeyConfig::read)).collect()
    }

    /// Where sets of keys are published.
    pub fn published_keys(&self) -> Vec<Source> {
        let file = self.jwks_file.clone().map(Source::File);
        let url = self.jwks_url.clone().map(Source::Url);
        file.into_iter().chain(url).collect()
    }

    /// What to sign a token with: the secret of this key, or without one the server's own.
    ///
    /// # Errors
    /// [`MaterialError::NoSecret`] when that is no secret.
    pub fn signer(&self, key_id: Option<&str>) -> Result<Signer, MaterialError> {
        let named = |key: &&KeyConfig| key_id.is_some() && key.kid.as_deref() == key_id;
        let (secret, algorithm, issuer) = match self.keys.iter().find(named) {
            Some(key) => (key.secret()?, key.algorithm, key.issuer.clone()),
            None if key_id.is_some() => return Err(MaterialError::NoSecret),
            None => (self.own_secret()?.map(|(secret, _)| secret), self.algorithm, None),
        };
        let secret = secret.ok_or(MaterialError::NoSecret)?;
        Ok(Signer { secret, algorithm, issuer: issuer.or_else(|| self.issuer.clone()) })
    }

    /// The one secret of the server, and where it is.
    fn own_secret(&self) -> Result<Option<(Secret, String)>, MaterialError> {
        one_secret("auth.secret", &self.secret, &self.secret_file)
    }
}

impl WebhooksConfig {
    /// What to post and how, if anything is to be posted.
    ///
    /// # Errors
    /// When there is no secret where one should be, or it is not taken.
    pub fn read(&self) -> Result<Option<webhooks::Settings>, MaterialError> {
        let Some(url) = self.url.clone() else { return Ok(None) };
        let secret = one_secret("webhooks.secret", &self.secret, &self.secret_file)?;
        let (secret, at) = secret.ok_or(MaterialError::NoSecret)?;
        let key = SigningKey::read(&secret);
        let key = key.map_err(|error| MaterialError::Webhooks { at, error })?;
        let WebhooksConfig { batch, batch_delay, timeout, retry_for, .. } = *self;
        Ok(Some(webhooks::Settings { url, key, batch, batch_delay, timeout, retry_for }))
    }
}

impl KeyConfig {
    fn read(&self) -> Result<Key, MaterialError> {
        let (id, issuer) = (self.kid.clone(), self.issuer.clone());
        let key = match (&self.source, self.secret()?) {
            (KeySource::PublicKeyFile(path), _) => {
                Key::from_public_pem(&read(path)?, self.algorithm, id, issuer)
            }
            (_, Some(secret)) => Key::from_secret(&secret, self.algorithm, id, issuer),
            (_, None) => return Err(MaterialError::NoSecret),
        };
        key.map_err(|error| MaterialError::Refused { at: self.source.to_string(), error })
    }

    fn secret(&self) -> Result<Option<Secret>, MaterialError> {
        match &self.source {
            KeySource::SecretFile(path) => read_secret(path).map(Some),
            KeySource::SecretEnv(variable) => {
                let kid = || self.kid.clone().unwrap_or_default();
                let unset = |_| MaterialError::NoVariable(kid());
                std::env::var(variable).map(|text| Some(Secret::new(text))).map_err(unset)
            }
            KeySource::PublicKeyFile(_) => Ok(None),
        }
    }
}

/// A secret that is set itself or by its file, and where it is.
fn one_secret(
    key: &str,
    secret: &Option<Secret>,
    file: &Option<PathBuf>,
) -> Result<Option<(Secret, String)>, MaterialError> {
    match (secret, file) {
        (Some(secret), _) => Ok(Some((secret.clone(), key.to_owned()))),
        (None, Some(path)) => Ok(Some((read_secret(path)?, path.display().to_string()))),
        (None, None) => Ok(None),
    }
}

/// A line break at the end is the editor's, not the secret's.
fn read_secret(path: &Path) -> Result<Secret, MaterialError> {
    let bytes = read(path)?;
    let text = String::from_utf8(bytes).map_err(|_| MaterialError::Unreadable {
        path: path.to_owned(),
        reason: io::Error::new(io::ErrorKind::InvalidData, "the secret is not UTF-8 text"),
    })?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

fn read(path: &Path) -> Result<Vec<u8>, MaterialError> {
    fs::read(path).map_err(|reason| MaterialError::Unreadable { path: path.to_owned(), reason })
}
