//! The fields of the configuration, each with what may be written there.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;

use super::auth::{KeyConfig, WITH_SECRET};
use super::notation::{duration_text, quoted, size_text, toml_string};
use super::refusal::Refusal;
use super::value::{self, Value};
use super::{Listen, keys};
use crate::http::address::Address;
use crate::http::auth::algorithm::Algorithm;
use crate::http::auth::secret::Secret;
use crate::http::cors::Origins;
use crate::http::hosts::Host;
use crate::http::proxies::Proxy;
use crate::http::rates::Rate;

/// What stands for a rate that has no limit.
const OFF: &str = "off";
/// What stands for every origin.
const ANY: &str = "*";

/// A field of the configuration, together with what may be written there. What is optional is not
/// set when the text is empty.
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
    /// So many in a time, or `off`.
    Rate(&'a mut Option<Rate>),
    /// One of a few names.
    Choice(&'a mut dyn Choice),
    /// An algorithm that takes a secret.
    SecretAlgorithm(&'a mut Algorithm),
    /// A file or directory.
    Path(&'a mut PathBuf),
    /// A file, if there is one.
    OptionalPath(&'a mut Option<PathBuf>),
    /// Any text, if there is one.
    OptionalText(&'a mut Option<String>),
    /// Texts, none of them empty.
    Texts(&'a mut Vec<String>),
    /// A text that is not shown.
    Secret(&'a mut Option<Secret>),
    /// Tables of keys.
    Keys(&'a mut Vec<KeyConfig>),
    /// Where to fetch keys from, if there is something.
    KeysUrl(&'a mut Option<Address>),
    /// Any address of the web, if there is one.
    Url(&'a mut Option<Address>),
    /// The name of a cookie.
    CookieName(&'a mut String),
    /// Addresses to listen on.
    Addresses(&'a mut Vec<Listen>),
    /// Hosts.
    Hosts(&'a mut Vec<Host>),
    /// Proxies.
    Proxies(&'a mut Vec<Proxy>),
    /// Origins, or `*` for every one.
    Origins(&'a mut Origins),
    /// A filter for log lines.
    LogLevel(&'a mut String),
}

impl Field<'_> {
    /// Fills the field with what `value` says.
    pub(super) fn read(self, value: &Value) -> Result<(), Refusal> {
        match self {
            Field::Switch(slot) => *slot = value::switch(value)?,
            Field::Count(slot, allowed) => slot.set(value::count(value, allowed)?),
            Field::Cores(slot, allowed) => slot.set(value::cores(value, allowed)?),
            Field::Size(slot, allowed) => slot.set(value::size(value, allowed)?),
            Field::Duration(slot, allowed) => *slot = value::duration(value, allowed)?,
            Field::Rate(slot) => *slot = rate(value)?,
            Field::Choice(slot) => slot.choose(value.text()?)?,
            Field::SecretAlgorithm(slot) => *slot = secret_algorithm(value.text()?)?,
            Field::Path(slot) => *slot = value::path(value.text()?)?,
            Field::OptionalPath(slot) => *slot = given(value)?.map(value::path).transpose()?,
            Field::OptionalText(slot) => *slot = given(value)?.map(str::to_owned),
            Field::Texts(slot) => *slot = texts(value)?,
            Field::Secret(slot) => *slot = secret(value)?,
            Field::Keys(slot) => *slot = keys(value)?,
            Field::KeysUrl(slot) => *slot = given(value)?.map(keys_url).transpose()?,
            Field::Url(slot) => *slot = given(value)?.map(url).transpose()?,
            Field::CookieName(slot) => *slot = value::cookie_name(value.text()?)?,
            Field::Addresses(slot) => *slot = addresses(value)?,
            Field::Hosts(slot) => *slot = list(&value.items()?, Refusal::NotAHost)?,
            Field::Proxies(slot) => *slot = list(&value.items()?, Refusal::NotAProxy)?,
            Field::Origins(slot) => *slot = origins(value)?,
            Field::LogLevel(slot) => *slot = value::log_level(value.text()?)?,
        }
        Ok(())
    }

    /// The field as TOML that [`Field::read`] turns into the same again; `None` for a secret, or what
    /// may hold one, which is not shown.
    pub(super) fn show(self) -> Option<String> {
        Some(match self {
            Field::Switch(slot) => slot.to_string(),
            Field::Count(slot, _) => slot.get().to_string(),
            Field::Cores(slot, _) => slot.to_string(),
            Field::Size(slot, _) => toml_string(&size_text(slot.get())),
            Field::Duration(slot, _) => toml_string(&duration_text(*slot)),
            Field::Rate(None) => toml_string(OFF),
            Field::Rate(Some(rate)) => toml_string(&rate.to_string()),
            Field::Choice(slot) => toml_string(&slot.name()),
            Field::SecretAlgorithm(slot) => toml_string(&slot.to_string()),
            Field::Path(slot) => toml_string(&slot.to_string_lossy()),
            Field::OptionalPath(slot) => {
                toml_string(&slot.as_deref().unwrap_or(Path::new("")).to_string_lossy())
            }
            Field::OptionalText(slot) => toml_string(slot.as_deref().unwrap_or_default()),
            Field::KeysUrl(None) | Field::Url(None) => toml_string(""),
            Field::KeysUrl(Some(address)) | Field::Url(Some(address)) => {
                match address.has_query() {
                    true => return None,
                    false => toml_string(&address.to_string()),
                }
            }
            Field::Secret(None) => toml_string(""),
            Field::Secret(Some(_)) => return None,
            Field::Keys(slot) => keys::show(slot),
            Field::Texts(slot) => toml_list(slot),
            Field::Addresses(slot) => toml_list(slot),
            Field::Hosts(slot) => toml_list(slot),
            Field::Proxies(slot) => toml_list(slot),
            Field::Origins(Origins::Any) => toml_list(&[ANY]),
            Field::Origins(Origins::Listed(origins)) => toml_list(origins),
            Field::CookieName(slot) | Field::LogLevel(slot) => toml_string(slot),
        })
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

/// The one text, unless it is empty, which means that nothing is given.
fn given(value: &Value) -> Result<Option<&str>, Refusal> {
    value.text().map(|text| Some(text).filter(|text| !text.is_empty()))
}

fn rate(value: &Value) -> Result<Option<Rate>, Refusal> {
    match value.text()? {
        OFF => Ok(None),
        text => parsed(text, Refusal::NotARate).map(Some),
    }
}

fn secret_algorithm(text: &str) -> Result<Algorithm, Refusal> {
    match text.parse() {
        Ok(algorithm) if WITH_SECRET.contains(&algorithm) => Ok(algorithm),
        Ok(algorithm) => Err(Refusal::NotForASecret(algorithm)),
        Err(_) => Err(Refusal::NotPossible {
            value: quoted(text),
            possible: WITH_SECRET.iter().map(Choice::name).collect(),
        }),
    }
}

/// What is wrong with a secret is said without it.
fn secret(value: &Value) -> Result<Option<Secret>, Refusal> {
    let text = given(value).map_err(|_| Refusal::NotASecret)?;
    Ok(text.map(Secret::new))
}

fn keys(value: &Value) -> Result<Vec<KeyConfig>, Refusal> {
    match value {
        Value::Keys(keys) => Ok(keys.clone()),
        // Nothing at all is no key.
        Value::Text(text) if text.is_empty() => Ok(Vec::new()),
        _ => Err(Refusal::NotKeyTables),
    }
}

fn texts(value: &Value) -> Result<Vec<String>, Refusal> {
    let items = value.items()?;
    match items.contains(&"") {
        true => Err(Refusal::EmptyItem),
        false => Ok(items.into_iter().map(str::to_owned).collect()),
    }
}

fn addresses(value: &Value) -> Result<Vec<Listen>, Refusal> {
    let items = value.items()?;
    if items.is_empty() {
        return Err(Refusal::NoAddress);
    }
    items.into_iter().map(str::parse).collect()
}

fn origins(value: &Value) -> Result<Origins, Refusal> {
    let items = value.items()?;
    match items[..] {
        [ANY] => Ok(Origins::Any),
        _ if items.contains(&ANY) => Err(Refusal::AnyAmongOrigins),
        _ => Ok(Origins::Listed(list(&items, Refusal::NotAnOrigin)?.into())),
    }
}

fn list<T: FromStr>(items: &[&str], refusal: Refuse<T>) -> Result<Vec<T>, Refusal> {
    items.iter().map(|item| parsed(item, refusal)).collect()
}

/// How a text that is no `T` is refused.
type Refuse<T> = fn(String, <T as FromStr>::Err) -> Refusal;

fn parsed<T: FromStr>(text: &str, refusal: Refuse<T>) -> Result<T, Refusal> {
    text.parse().map_err(|error| refusal(quoted(text), error))
}

fn toml_list(items: &[impl fmt::Display]) -> String {
    let items: Vec<String> = items.iter().map(|item| toml_string(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

fn keys_url(text: &str) -> Result<Address, Refusal> {
    text.parse().map_err(|_| Refusal::NotAKeysUrl(quoted(text)))
}

fn url(text: &str) -> Result<Address, Refusal> {
    Address::anywhere(text).map_err(|_| Refusal::NotAUrl(quoted(text)))
}
