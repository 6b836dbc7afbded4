//! Why a configuration is refused, in words for the operator.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::notation::size_text;
use super::refusal::Refusal;
use crate::http::rates::Rate;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file that `--config` names cannot be read.
    #[error("{}: cannot be read: {reason}", .file.display())]
    Unreadable {
        /// As named.
        file: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// The file is not TOML.
    #[error("{at}: {message}")]
    Syntax {
        /// Where it stops being TOML.
        at: Position,
        /// What the TOML parser said.
        message: String,
    },
    /// The file sets something that does not exist.
    #[error("{at}: unknown key `{key}`{}", did_you_mean(.suggestion))]
    UnknownKey {
        /// Where the key stands.
        at: Position,
        /// With its tables, `a.b`.
        key: String,
        /// A key that looks like it.
        suggestion: Option<String>,
    },
    /// A program sets something that does not exist.
    #[error("unknown key `{key}`{}", did_you_mean(.suggestion))]
    UnknownSetting {
        /// As given.
        key: String,
        /// A key that looks like it.
        suggestion: Option<String>,
    },
    /// A `RILL_...` variable that sets nothing.
    #[error("unknown variable `{name}`{}", did_you_mean(.suggestion))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// A variable that looks like it.
        suggestion: Option<String>,
    },
    /// A `RILL_...` variable that is not text.
    #[error("{name}: the value is not UTF-8")]
    VariableNotUtf8 {
        /// The variable.
        name: String,
    },
    /// `RILL_LOG` and `RILL_LOG_STORE` mean the same setting.
    #[error("RILL_LOG and RILL_LOG_STORE differ: they are one setting, so set only one of them")]
    LogStoreTwice,
    /// A value that its setting cannot take.
    #[error("{origin}: {refusal}")]
    BadValue {
        /// Where the value comes from.
        origin: Origin,
        /// What is wrong with it.
        refusal: Box<Refusal>,
    },
    /// Nothing says how credentials are checked.
    #[error(
        "nobody could publish: there is no key to check credentials with. For a first try run with \
         --dev; else set auth.secret_file (openssl rand -base64 48 > FILE), [[auth.keys]], \
         auth.jwks_file or auth.jwks_url"
    )]
    NoKey,
    /// Two places for one secret.
    #[error("{table}.secret and {table}.secret_file are both set: set only one of them")]
    SecretTwice {
        /// The table that they are in.
        table: &'static str,
    },
    /// Receivers could not tell events from anybody's.
    #[error(
        "webhooks.url needs webhooks.secret_file \
         (echo whsec_$(openssl rand -base64 32) > FILE) or webhooks.secret"
    )]
    WebhooksUnsigned,
    /// Tokens without `kid` could be meant for more than one key.
    #[error("[[auth.keys]]: a key that is not the only one needs a kid")]
    KeyWithoutKid,
    /// Browsers do not take the two together, for it would open the cookie to every page.
    #[error(
        "cors.credentials needs origins by name: list them in cors.origins, which is [\"*\"] now"
    )]
    CredentialsForAll,
    /// Some bodies that are allowed could never be sent.
    #[error(
        "rates.bytes {rate} is less than http.body_limit {}: such a body could never be published",
        size_text(*.body_limit as u64)
    )]
    RateBelowBody {
        /// Bytes in a time.
        rate: Rate,
        /// The largest body.
        body_limit: usize,
    },
    /// `dev` gives rights to everyone who can connect.
    #[error("--dev listens on loopback alone, and {address} is not loopback")]
    DevBeyondLoopback {
        /// The first address that others can reach.
        address: SocketAddr,
    },
    /// More streams than the system lets the process open.
    #[error(
        "--max-connections {max_connections} is more than fits: the hard descriptor limit is \
         {hard_limit}, which less 256 for other use leaves {room} streams"
    )]
    Descriptors {
        /// Streams asked for.
        max_connections: usize,
        /// Descriptors that the system allows.
        hard_limit: u64,
        /// Streams that would fit.
        room: u64,
    },
}

/// A place in a file; displayed as `FILE:LINE:COLUMN`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Position {
    /// As named on the command line.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// The table of settings, by key.
    Default(&'static str),
    /// The file.
    File {
        /// Where the value stands.
        at: Position,
        /// The key that it is for.
        key: String,
    },
    /// The program that embeds the hub, by key.
    Program(&'static str),
    /// A variable, by name.
    Variable(String),
    /// A flag, with its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default(key) => write!(f, "default of {key}"),
            Origin::Program(key) => f.write_str(key),
            Origin::File { at, key } => write!(f, "{at}: {key}"),
            Origin::Variable(name) | Origin::Flag(name) => f.write_str(name),
        }
    }
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    match suggestion {
        Some(suggestion) => format!(", did you mean `{suggestion}`?"),
        None => String::new(),
    }
}

/// The candidate that `given` was probably meant to be.
///
/// A key in the wrong table counts, and so do as many slips as leave two thirds of it right, up to
/// three: more would guess at what was never meant.
pub(super) fn nearest(given: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let slips = |candidate: &str| match last_part(candidate) == last_part(given) {
        true => 0,
        false => distance(given, candidate),
    };
    candidates
        .map(|candidate| (slips(&candidate), candidate))
        .filter(|(slips, _)| *slips <= 3 && slips * 3 <= given.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

fn last_part(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// How many characters must be put in, left out or replaced to get from `a` to `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
}
