//! Why a value is refused, in words for the operator.

use super::keys::KeyRefusal;
use crate::http::auth::algorithm::Algorithm;
use crate::http::{cors, hosts, proxies, rates};

/// What is wrong with a value. Shown after the name of what it was given for.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A kind of TOML value that no setting takes.
    #[error("a {0} does not fit here")]
    Misfit(&'static str),
    /// One value where a table of settings is meant.
    #[error("this is a table of settings, written as [{0}]")]
    NotATable(String),
    /// A list where one value is meant.
    #[error("takes one value, not a list")]
    NotOne,
    /// A list of something else than strings.
    #[error("every item of the list must be a string in quotes")]
    NotStrings,
    /// A bare number or truth value where text is meant.
    #[error("{0} must be a string in quotes")]
    NotText(String),
    /// Neither `true` nor `false`.
    #[error("{0} is neither true nor false")]
    NotASwitch(String),
    /// Not a whole number.
    #[error("{0} is not a whole number")]
    NotACount(String),
    /// Not a size.
    #[error("{0} is not a size; write it like 65536, 256KiB, 10MB or 1GiB")]
    NotASize(String),
    /// Not a duration.
    #[error("{0} is not a duration; write it like 500ms, 30s, 5m or 24h")]
    NotADuration(String),
    /// Less or more than makes sense.
    #[error("{value} is out of range, allowed is {least} to {most}")]
    OutOfRange {
        /// As given.
        value: String,
        /// The smallest one allowed.
        least: String,
        /// The largest one allowed.
        most: String,
    },
    /// None of the names that are possible.
    #[error("{value} is not possible, possible are: {}", .possible.join(", "))]
    NotPossible {
        /// As given.
        value: String,
        /// Every name there is.
        possible: Vec<String>,
    },
    /// Not an address.
    #[error(
        "{0} is not an address to listen on; write it like 127.0.0.1:3000, [::1]:3000, \
         localhost:3000 or unix:/run/rill.sock"
    )]
    NotAnAddress(String),
    /// More than the system takes as the path of a socket.
    #[error("{0} is longer than the 107 bytes that the path of a socket may have")]
    SocketPathTooLong(String),
    /// An empty list of addresses.
    #[error("at least one address is needed")]
    NoAddress,
    /// Not a host.
    #[error("{0} {1}")]
    NotAHost(String, hosts::NotAHost),
    /// Not a proxy.
    #[error("{0} {1}")]
    NotAProxy(String, proxies::NotAProxy),
    /// Not an origin.
    #[error("{0} {1}")]
    NotAnOrigin(String, cors::NotAnOrigin),
    /// `*` with others.
    #[error("\"*\" stands for every origin and must stand alone")]
    AnyAmongOrigins,
    /// Neither `off` nor a rate.
    #[error("{0} {1}, or off")]
    NotARate(String, rates::NotARate),
    /// A secret that is not text. It is not shown.
    #[error("must be one string in quotes")]
    NotASecret,
    /// An algorithm that does not go with `auth.secret`.
    #[error(
        "{0} does not work with a secret, possible are: HS256, HS384, HS512; for a public key \
         write [[auth.keys]] with public_key_file"
    )]
    NotForASecret(Algorithm),
    /// Something else than tables of keys.
    #[error("keys are tables of the file, each under its own [[auth.keys]]")]
    NotKeyTables,
    /// A key that makes no sense.
    #[error(transparent)]
    Key(#[from] KeyRefusal),
    /// Not a URL that keys may come from.
    #[error(
        "{0} is no URL for keys; write it like https://issuer.example/jwks.json, without user and \
         password, and with http:// on loopback alone"
    )]
    NotAKeysUrl(String),
    /// Not a URL that can be posted to.
    #[error(
        "{0} is no URL to post to; write it like https://app.example/hooks/rill, without user and \
         password"
    )]
    NotAUrl(String),
    /// Not a name that a cookie can have.
    #[error("{0} is no name of a cookie; write it like rill_session or __Host-session")]
    NotACookieName(String),
    /// A list with an empty text in it.
    #[error("an item of the list is empty")]
    EmptyItem,
    /// Empty, or with a NUL inside.
    #[error("{0} is not a path")]
    NotAPath(String),
    /// Not a filter for log lines.
    #[error("{0} is not a log level; write it like info, or info,rill=debug")]
    NotALogLevel(String),
}
