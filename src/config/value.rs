//! From a value as written to a field as used, and back.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use super::Listen;
use super::notation::{bytes, duration_text, quoted, size_text, toml_string, whole_number};

/// A value as it stands in its source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    /// A string of the file, or any variable or flag.
    Text(String),
    /// A number or a truth value of the file, without quotes.
    Bare(String),
    /// A list of the file, or a repeated flag.
    List(Vec<String>),
}

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
    /// Empty, or with a NUL inside.
    #[error("{0} is not a path")]
    NotAPath(String),
    /// Not a filter for log lines.
    #[error("{0} is not a log level; write it like info, or info,rill=debug")]
    NotALogLevel(String),
}

/// A field of the configuration, together with what may be written there.
pub(super) enum Field<'a> {
    /// `true` or `false`.
    Switch(&'a mut bool),
    /// A whole number.
    Count(&'a mut dyn Number, RangeInclusive<u64>),
    /// A whole number, or `auto` for the number of cores.
    Cores(&'a mut usize, RangeInclusive<u64>),
    /// Bytes.
    Size(&'a mut dyn Number, RangeInclusive<u64>),
    /// A span of time.
    Duration(&'a mut Duration, RangeInclusive<Duration>),
    /// One of a few names.
    Choice(&'a mut dyn Choice),
    /// A file or directory.
    Path(&'a mut PathBuf),
    /// Addresses to listen on.
    Addresses(&'a mut Vec<Listen>),
    /// A filter for log lines.
    LogLevel(&'a mut String),
}

impl Field<'_> {
    /// Fills the field with what `value` says.
    pub(super) fn read(self, value: &Value) -> Result<(), Refusal> {
        match self {
            Field::Switch(slot) => *slot = switch(value)?,
            Field::Count(slot, allowed) => slot.set(count(value, allowed)?),
            Field::Cores(slot, allowed) => slot.set(cores(value, allowed)?),
            Field::Size(slot, allowed) => slot.set(size(value, allowed)?),
            Field::Duration(slot, allowed) => *slot = duration(value, allowed)?,
            Field::Choice(slot) => slot.choose(value.text()?)?,
            Field::Path(slot) => *slot = path(value.text()?)?,
            Field::Addresses(slot) => *slot = addresses(value)?,
            Field::LogLevel(slot) => *slot = log_level(value.text()?)?,
        }
        Ok(())
    }

    /// The field as TOML that [`Field::read`] turns into the same again.
    pub(super) fn show(self) -> String {
        match self {
            Field::Switch(slot) => slot.to_string(),
            Field::Count(slot, _) => slot.get().to_string(),
            Field::Cores(slot, _) => slot.to_string(),
            Field::Size(slot, _) => toml_string(&size_text(slot.get())),
            Field::Duration(slot, _) => toml_string(&duration_text(*slot)),
            Field::Choice(slot) => toml_string(&slot.name()),
            Field::Path(slot) => toml_string(&slot.to_string_lossy()),
            Field::Addresses(slot) => toml_list(slot),
            Field::LogLevel(slot) => toml_string(slot),
        }
    }
}

/// A field that holds a whole number. Ranges keep what is set within what it can hold.
pub(super) trait Number {
    fn set(&mut self, number: u64);
    fn get(&self) -> u64;
}

impl Number for u64 {
    fn set(&mut self, number: u64) {
        *self = number;
    }
    fn get(&self) -> u64 {
        *self
    }
}

impl Number for usize {
    fn set(&mut self, number: u64) {
        *self = usize::try_from(number).unwrap_or(usize::MAX);
    }
    fn get(&self) -> u64 {
        u64::try_from(*self).unwrap_or(u64::MAX)
    }
}

/// A field that holds one of a few names.
pub(super) trait Choice {
    fn choose(&mut self, text: &str) -> Result<(), Refusal>;
    fn name(&self) -> String;
}

impl<T: ValueEnum> Choice for T {
    fn choose(&mut self, text: &str) -> Result<(), Refusal> {
        *self = T::from_str(text, false).map_err(|_| Refusal::NotPossible {
            value: quoted(text),
            possible: T::value_variants().iter().map(Choice::name).collect(),
        })?;
        Ok(())
    }

    fn name(&self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Value {
    /// The one value, quoted or not.
    fn one(&self) -> Result<&str, Refusal> {
        match self {
            Value::Text(text) | Value::Bare(text) => Ok(text),
            Value::List(_) => Err(Refusal::NotOne),
        }
    }

    /// The one string.
    fn text(&self) -> Result<&str, Refusal> {
        match self {
            Value::Text(text) => Ok(text),
            Value::Bare(text) => Err(Refusal::NotText(text.clone())),
            Value::List(_) => Err(Refusal::NotOne),
        }
    }

    /// The strings of a list, which as text is separated by commas.
    fn items(&self) -> Result<Vec<&str>, Refusal> {
        match self {
            Value::List(items) => Ok(items.iter().map(String::as_str).collect()),
            Value::Text(text) if text.trim().is_empty() => Ok(Vec::new()),
            Value::Text(text) => Ok(text.split(',').map(str::trim).collect()),
            Value::Bare(text) => Err(Refusal::NotText(text.clone())),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(&quoted(text)),
            Value::Bare(text) => f.write_str(text),
            Value::List(_) => f.write_str("the list"),
        }
    }
}

fn switch(value: &Value) -> Result<bool, Refusal> {
    match value.one()? {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Refusal::NotASwitch(value.to_string())),
    }
}

fn count(value: &Value, allowed: RangeInclusive<u64>) -> Result<u64, Refusal> {
    let number = whole_number(value.one()?).ok_or_else(|| Refusal::NotACount(value.to_string()))?;
    within(number, value, allowed, |number| number.to_string())
}

fn cores(value: &Value, allowed: RangeInclusive<u64>) -> Result<u64, Refusal> {
    if value.one()? != "auto" {
        return count(value, allowed);
    }
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    Ok(cores.clamp(*allowed.start(), *allowed.end()))
}

fn size(value: &Value, allowed: RangeInclusive<u64>) -> Result<u64, Refusal> {
    let bytes = bytes(value.one()?).ok_or_else(|| Refusal::NotASize(value.to_string()))?;
    within(bytes, value, allowed, |bytes| size_text(*bytes))
}

fn duration(value: &Value, allowed: RangeInclusive<Duration>) -> Result<Duration, Refusal> {
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

fn addresses(value: &Value) -> Result<Vec<Listen>, Refusal> {
    let items = value.items()?;
    if items.is_empty() {
        return Err(Refusal::NoAddress);
    }
    items.into_iter().map(str::parse).collect()
}

/// A bare word must be a level. `EnvFilter` would take any other for the name of a module, and a
/// slip like `inof` would silence the log.
/// Only ASCII is handed to it, because it panics on some text that is not.
fn log_level(text: &str) -> Result<String, Refusal> {
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

fn toml_list(items: &[Listen]) -> String {
    let items: Vec<String> = items.iter().map(|item| toml_string(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}
