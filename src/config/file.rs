//! Settings from a TOML file, every one with its place in it.

use std::fs;
use std::io;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::ConfigError;
use super::assignment::Assignment;
use super::auth::KeyConfig;
use super::error::{Origin, Position, nearest};
use super::keys::{self, Draft, KEYS, MEMBERS};
use super::refusal::Refusal;
use super::settings::{SETTINGS, Setting};
use super::value::Value;

/// The settings that the file at `path` makes, in their order there.
pub(super) fn read(path: &Path) -> Result<Vec<Assignment>, ConfigError> {
    let text = fs::read_to_string(path).map_err(|reason| unreadable(path, reason))?;
    parse(path, &text)
}

fn unreadable(path: &Path, reason: io::Error) -> ConfigError {
    ConfigError::Unreadable { file: path.to_owned(), reason }
}

/// As [`read`], for a file that has been read.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Assignment>, ConfigError> {
    let document = Document {
        path,
        // A byte order mark is no character of the first line.
        text: text.strip_prefix('\u{feff}').unwrap_or(text),
    };
    let table = DeTable::parse(document.text).map_err(|error| document.syntax(&error))?;
    let mut entries = Vec::new();
    document.collect("", table.get_ref(), &mut entries);
    // The parser sorts by key; people read from the top.
    entries.sort_by_key(|(offset, _)| *offset);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

struct Document<'a> {
    path: &'a Path,
    text: &'a str,
}

/// What one key comes to, with its offset in the file.
type Entry = (usize, Result<Assignment, ConfigError>);

impl Document<'_> {
    /// Goes through `table`, whose keys all begin with `prefix`.
    fn collect(&self, prefix: &str, table: &DeTable<'_>, entries: &mut Vec<Entry>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let inner = format!("{key}.");
            match (Setting::by_key(&key), value.get_ref()) {
                (None, DeValue::Table(table)) if is_table(&inner) => {
                    self.collect(&inner, table, entries);
                }
                _ => entries.push((name.span().start, self.entry(key, name.span().start, value))),
            }
        }
    }

    fn entry(
        &self,
        key: String,
        key_offset: usize,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Assignment, ConfigError> {
        // `log = "memory"` is short for its table with nothing but the store.
        let full_key = if key == "log" { "log.store" } else { &key };
        let Some(setting) = Setting::by_key(full_key) else {
            return Err(self.unknown(key, key_offset, value.span().start));
        };
        let read = match setting.key {
            KEYS => self.keys(value)?,
            _ => plain(value).map_err(|(at, refusal)| self.refused(at, &key, refusal))?,
        };
        let origin = Origin::File { at: self.position(value.span().start), key };
        Ok(Assignment { setting, value: read, origin })
    }

    /// The tables `[[auth.keys]]`.
    fn keys(&self, value: &Spanned<DeValue<'_>>) -> Result<Value, ConfigError> {
        let misfit = |at| self.refused(at, KEYS, Refusal::NotKeyTables);
        let DeValue::Array(tables) = value.get_ref() else {
            return Err(misfit(value.span().start));
        };
        let mut keys = Vec::new();
        for table in tables.iter() {
            let at = table.span().start;
            let DeValue::Table(members) = table.get_ref() else { return Err(misfit(at)) };
            let key = self.key(at, members)?;
            keys::check(&keys, &key).map_err(|refusal| self.refused(at, KEYS, refusal.into()))?;
            keys.push(key);
        }
        Ok(Value::Keys(keys))
    }

    fn key(&self, at: usize, members: &DeTable<'_>) -> Result<KeyConfig, ConfigError> {
        let mut draft = Draft::default();
        let mut members: Vec<_> = members.iter().collect();
        members.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in members {
            let key = format!("{KEYS}.{}", name.get_ref());
            let Some(field) = draft.field(name.get_ref()) else {
                let like = nearest(name.get_ref(), MEMBERS.iter().map(|&member| member.to_owned()));
                let suggestion = like.map(|member| format!("{KEYS}.{member}"));
                let at = self.position(name.span().start);
                return Err(ConfigError::UnknownKey { at, key, suggestion });
            };
            plain(value)
                .and_then(|read| field.read(&read).map_err(|why| (value.span().start, why)))
                .map_err(|(at, refusal)| self.refused(at, &key, refusal))?;
        }
        draft.finish().map_err(|refusal| self.refused(at, KEYS, refusal.into()))
    }

    fn refused(&self, offset: usize, key: &str, refusal: Refusal) -> ConfigError {
        ConfigError::BadValue {
            origin: Origin::File { at: self.position(offset), key: key.to_owned() },
            refusal: Box::new(refusal),
        }
    }

    fn unknown(&self, key: String, key_offset: usize, value_offset: usize) -> ConfigError {
        if is_table(&format!("{key}.")) {
            return self.refused(value_offset, &key, Refusal::NotATable(key.clone()));
        }
        ConfigError::UnknownKey {
            at: self.position(key_offset),
            suggestion: nearest(&key, SETTINGS.iter().map(|setting| setting.key.to_owned())),
            key,
        }
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        ConfigError::Syntax {
            at: self.position(error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        }
    }

    fn position(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or(before);
        Position {
            file: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }
}

/// Whether settings begin with `prefix`, which ends with a dot.
fn is_table(prefix: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.key.starts_with(prefix))
}

/// The value without its TOML clothes, or where and why it fits no setting.
fn plain(value: &Spanned<DeValue<'_>>) -> Result<Value, (usize, Refusal)> {
    match value.get_ref() {
        DeValue::String(text) => Ok(Value::Text(text.to_string())),
        DeValue::Integer(number) => Ok(Value::Bare(decimal(number))),
        DeValue::Boolean(truth) => Ok(Value::Bare(truth.to_string())),
        DeValue::Array(items) => list(items),
        other => Err((value.span().start, Refusal::Misfit(other.type_str()))),
    }
}

fn list(items: &DeArray<'_>) -> Result<Value, (usize, Refusal)> {
    let text = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err((item.span().start, Refusal::NotStrings)),
    };
    items.iter().map(text).collect::<Result<_, _>>().map(Value::List)
}

/// TOML's `0xff` as 255; a number that fits nowhere stays as it is, to be refused by its setting.
fn decimal(number: &DeInteger<'_>) -> String {
    u64::from_str_radix(number.as_str(), number.radix())
        .map_or_else(|_| number.to_string(), |number| number.to_string())
}
