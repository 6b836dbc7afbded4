//! A value on its way to its setting.

use super::error::{Origin, nearest};
use super::settings::{SETTINGS, Setting};
use super::value::Value;
use super::{Config, ConfigError};

/// A value, what it is for, and who gave it.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) setting: &'static Setting,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

impl Assignment {
    /// What a program assigns.
    pub(super) fn of(key: &str, value: &str) -> Result<Assignment, ConfigError> {
        let unknown = || ConfigError::UnknownSetting {
            key: key.to_owned(),
            suggestion: nearest(key, SETTINGS.iter().map(|setting| setting.key.to_owned())),
        };
        // Short here as everywhere.
        let full_key = if key == "log" { "log.store" } else { key };
        let setting = Setting::by_key(full_key).ok_or_else(unknown)?;
        let origin = Origin::Program(setting.key);
        Ok(Assignment { setting, value: Value::Text(value.to_owned()), origin })
    }

    /// Fills the setting's field.
    pub(super) fn apply(self, config: &mut Config) -> Result<(), ConfigError> {
        let field = (self.setting.field)(config);
        field.read(&self.value).map_err(|refusal| ConfigError::BadValue {
            origin: self.origin,
            refusal: Box::new(refusal),
        })
    }
}

/// What holds when nothing is set.
pub(super) fn defaults() -> impl Iterator<Item = Assignment> {
    SETTINGS.iter().map(|setting| Assignment {
        setting,
        value: Value::Text(setting.default.to_owned()),
        origin: Origin::Default(setting.key),
    })
}
