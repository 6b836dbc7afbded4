//! A value as it is written, and what it may mean.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use super::auth::KeyConfig;
use super::notation::{bytes, duration_text, quoted, size_text, whole_number};
use super::refusal::Refusal;

/// A value as it stands in its source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    /// A string of the file, or any variable or flag.
    Text(String),
    /// A number or a truth value of the file, without quotes.
    Bare(String),
    /// A list of the file, or a repeated flag.
    List(Vec<String>),
    /// The tables `[[auth.keys]]` of the file, read there because it knows their places.
    Keys(Vec<KeyConfig>),
}

impl Value {
    /// The one value, quoted or not.
    fn one(&self) -> Result<&str, Refusal> {
        match self {
            Value::Text(text) | Value::Bare(text) => Ok(text),
            Value::List(_) | Value::Keys(_) => Err(Refusal::NotOne),
        }
    }

    /// The one string.
    pub(super) fn text(&self) -> Result<&str, Refusal> {
        match self {
            Value::Text(text) => Ok(text),
            Value::Bare(text) => Err(Refusal::NotText(text.clone())),
            Value::List(_) | Value::Keys(_) => Err(Refusal::NotOne),
        }
    }

    /// The strings of a list, which as text is separated by commas.
    pub(super) fn items(&self) -> Result<Vec<&str>, Refusal> {
        match self {
            Value::List(items) => Ok(items.iter().map(String::as_str).collect()),
            Value::Text(text) if text.trim().is_empty() => Ok(Vec::new()),
            Value::Text(text) => Ok(text.split(',').map(str::trim).collect()),
            Value::Bare(text) => Err(Refusal::NotText(text.clone())),
            Value::Keys(_) => Err(Refusal::NotStrings),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(&quoted(text)),
            Value::Bare(text) => f.write_str(text),
            Value::List(_) | Value::Keys(_) => f.write_str("the list"),
        }
    }
}

pub(super) fn switch(value: &Value) -> Result<bool, Refusal> {
    match value.one()? {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Refusal::NotASwitch(value.to_string())),
    }
}

pub(super) fn count(value: &Value, allowed: RangeInclusive<u64>) -> Result<u64, Refusal> {
    let number = whole_number(value.one()?).ok_or_else(|| Refusal::NotACount(value.to_string()))?;
    within(number, value, allowed, |number| number.to_string())
}

pub(super) fn cores(value: &Value, allowed: RangeInclusive<u64>) -> Result<u64, Refusal> {
    if value.one()? != "auto" {
        return count(value, allowed);
    }
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    Ok(cores.clamp(*allowed.start(), *allowed.end()))
}

pub(super) fn size(value: &Value, allowed: RangeInclusive<u64>) -> Result<u64, Refusal> {
    let bytes = bytes(value.one()?).ok_or_else(|| Refusal::NotASize(value.to_string()))?;
    within(bytes, value, allowed, |bytes| size_text(*bytes))
}

pub(super) fn duration(
    value: &Value,
    allowed: RangeInclusive<Duration>,
) -> Result<Duration, Refusal> {
    let duration = humantime::parse_duration(value.one()?)
        .map_err(|_| Refusal::NotADuration(value.to_string()))?;
    within(duration, value, allowed, |duration| duration_text(*duration))
}

fn within<T: PartialOrd>(
    parsed: T,
    value: &Value,
    allowed: RangeInclusive<T>,
    shown: impl Fn(&T) -> String,
) -> Result<T, Refusal> {
    if allowed.contains(&parsed) {
        return Ok(parsed);
    }
    Err(Refusal::OutOfRange {
        value: value.to_string(),
        least: shown(allowed.start()),
        most: shown(allowed.end()),
    })
}

/// `text` as a path that the system can take.
pub(super) fn path(text: &str) -> Result<PathBuf, Refusal> {
    if text.is_empty() || text.contains('\0') {
        return Err(Refusal::NotAPath(quoted(text)));
    }
    Ok(Path::new(text).to_owned())
}

/// A `token` of RFC 9110 section 5.6.2, as RFC 6265 wants it.
pub(super) fn cookie_name(text: &str) -> Result<String, Refusal> {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(in_token) {
        return Ok(text.to_owned());
    }
    Err(Refusal::NotACookieName(quoted(text)))
}

/// A bare word must be a level. `EnvFilter` would take any other for the name of a module, and a
/// slip like `inof` would silence the log.
/// Only ASCII is handed to it, because it panics on some text that is not.
pub(super) fn log_level(text: &str) -> Result<String, Refusal> {
    let is_word = |part: &&str| part.chars().all(|c| c.is_alphanumeric() || c == '_');
    let words_are_levels = text
        .split(',')
        .filter(is_word)
        .all(|word| !word.is_empty() && word.parse::<LevelFilter>().is_ok());
    if text.is_ascii() && words_are_levels && EnvFilter::builder().parse(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err(Refusal::NotALogLevel(quoted(text)))
}
