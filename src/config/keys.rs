//! One of `[[auth.keys]]`: from its members to a key, and back.

use std::path::PathBuf;

use super::auth::{KeyConfig, KeySource, WITH_SECRET};
use super::field::Field;
use super::notation::toml_string;
use crate::http::auth::algorithm::Algorithm;

/// The setting that the tables make.
pub(super) const KEYS: &str = "auth.keys";

/// What a table may have.
pub(super) const MEMBERS: [&str; 6] =
    ["kid", "algorithm", "secret_file", "secret_env", "public_key_file", "issuer"];

/// Why one of `[[auth.keys]]` is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRefusal {
    /// No algorithm.
    #[error("a key needs an algorithm; write it like algorithm = \"ES256\"")]
    NoAlgorithm,
    /// Nowhere, or at several places.
    #[error("a key needs exactly one of secret_file, secret_env and public_key_file")]
    NotOneSource,
    /// A public key that would be used as a secret, which everybody then knows.
    #[error("{0} is checked with a secret: give secret_file or secret_env, not public_key_file")]
    NeedsSecret(Algorithm),
    /// A secret where a public key is meant.
    #[error("{0} is checked with a public key: give public_key_file, not a secret")]
    NeedsPublicKey(Algorithm),
    /// Not the name of a variable. It is not shown, because it may be the secret itself.
    #[error("secret_env is the name of the variable that holds the secret, like ISSUER_SECRET")]
    NotAVariable,
    /// A variable that would be refused as an unknown setting.
    #[error("{0} would be a setting, as all variables that begin with RILL_; name it otherwise")]
    EnvOfSettings(String),
    /// Several keys, and one of them without `kid`.
    #[error("each of several keys needs a kid")]
    NoKid,
    /// Two keys for the same tokens.
    #[error("another key for {1} has the kid {0:?} already")]
    KidTwice(String, Algorithm),
}

/// A table that is being read.
#[derive(Default)]
pub(super) struct Draft {
    kid: Option<String>,
    algorithm: Option<Algorithm>,
    secret_file: Option<PathBuf>,
    secret_env: Option<String>,
    public_key_file: Option<PathBuf>,
    issuer: Option<String>,
}

impl Draft {
    /// The field of one of [`MEMBERS`].
    pub(super) fn field(&mut self, member: &str) -> Option<Field<'_>> {
        match member {
            "kid" => Some(Field::OptionalText(&mut self.kid)),
            // Any will do: it is overwritten, or the table refused.
            "algorithm" => Some(Field::Choice(self.algorithm.get_or_insert(Algorithm::Hs256))),
            "secret_file" => Some(Field::OptionalPath(&mut self.secret_file)),
            "secret_env" => Some(Field::OptionalText(&mut self.secret_env)),
            "public_key_file" => Some(Field::OptionalPath(&mut self.public_key_file)),
            "issuer" => Some(Field::OptionalText(&mut self.issuer)),
            _ => None,
        }
    }

    /// The key, once every member is read.
    pub(super) fn finish(self) -> Result<KeyConfig, KeyRefusal> {
        let algorithm = self.algorithm.ok_or(KeyRefusal::NoAlgorithm)?;
        let source = match (self.secret_file, self.secret_env, self.public_key_file) {
            (Some(file), None, None) => KeySource::SecretFile(file),
            (None, Some(name), None) => KeySource::SecretEnv(variable(name)?),
            (None, None, Some(file)) => KeySource::PublicKeyFile(file),
            _ => return Err(KeyRefusal::NotOneSource),
        };
        match (WITH_SECRET.contains(&algorithm), matches!(source, KeySource::PublicKeyFile(_))) {
            (true, true) => Err(KeyRefusal::NeedsSecret(algorithm)),
            (false, false) => Err(KeyRefusal::NeedsPublicKey(algorithm)),
            _ => Ok(KeyConfig { kid: self.kid, algorithm, source, issuer: self.issuer }),
        }
    }
}

fn variable(name: String) -> Result<String, KeyRefusal> {
    match name {
        _ if name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') => {
            Err(KeyRefusal::NotAVariable)
        }
        _ if name.starts_with("RILL_") => Err(KeyRefusal::EnvOfSettings(name)),
        _ => Ok(name),
    }
}

/// Whether `key` can be told from those before it: a token names its `kid` and its algorithm.
pub(super) fn check(before: &[KeyConfig], key: &KeyConfig) -> Result<(), KeyRefusal> {
    let Some(first) = before.first() else { return Ok(()) };
    let (Some(_), Some(kid)) = (&first.kid, &key.kid) else { return Err(KeyRefusal::NoKid) };
    let same = |other: &KeyConfig| (&other.kid, other.algorithm) == (&key.kid, key.algorithm);
    match before.iter().any(same) {
        true => Err(KeyRefusal::KidTwice(kid.clone(), key.algorithm)),
        false => Ok(()),
    }
}

/// The keys as a list of inline tables, a line each.
pub(super) fn show(keys: &[KeyConfig]) -> String {
    if keys.is_empty() {
        return "[]".to_owned();
    }
    let lines: Vec<String> = keys.iter().map(|key| format!("  {},\n", table(key))).collect();
    format!("[\n{}]", lines.concat())
}

fn table(key: &KeyConfig) -> String {
    let (source, place) = match &key.source {
        KeySource::SecretFile(file) => ("secret_file", file.to_string_lossy()),
        KeySource::SecretEnv(name) => ("secret_env", name.into()),
        KeySource::PublicKeyFile(file) => ("public_key_file", file.to_string_lossy()),
    };
    let members = [
        ("kid", key.kid.clone()),
        ("algorithm", Some(key.algorithm.to_string())),
        (source, Some(place.into_owned())),
        ("issuer", key.issuer.clone()),
    ];
    let members: Vec<String> = members
        .into_iter()
        .filter_map(|(name, text)| Some(format!("{name} = {}", toml_string(&text?))))
        .collect();
    format!("{{ {} }}", members.join(", "))
}
