//! Settings from `RILL_...` variables.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::ConfigError;
use super::assignment::Assignment;
use super::error::{Origin, nearest};
use super::settings::{SETTINGS, Setting};
use super::value::Value;

/// The short name of `RILL_LOG_STORE`, as `--log` is that of its flag.
const LOG: &str = "RILL_LOG";
const LOG_STORE: &str = "RILL_LOG_STORE";

/// The settings among the variables of `env`. By name, so that of several mistakes always the same
/// one is reported.
pub(super) fn read(
    env: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<Assignment>, ConfigError> {
    let ours = ours(env)?;
    if let (Some(log), Some(store)) = (ours.get(LOG), ours.get(LOG_STORE))
        && log != store
    {
        return Err(ConfigError::LogStoreTwice);
    }
    ours.into_iter().map(|(name, value)| assignment(name, value)).collect()
}

fn ours(
    env: impl Iterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    env.map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with("RILL_"))
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(ConfigError::VariableNotUtf8 { name }),
        })
        .collect()
}

fn assignment(name: String, value: String) -> Result<Assignment, ConfigError> {
    let setting = by_variable(&name).ok_or_else(|| ConfigError::UnknownVariable {
        suggestion: nearest(&name, SETTINGS.iter().map(Setting::variable)),
        name: name.clone(),
    })?;
    Ok(Assignment { setting, value: Value::Text(value), origin: Origin::Variable(name) })
}

fn by_variable(name: &str) -> Option<&'static Setting> {
    let name = if name == LOG { LOG_STORE } else { name };
    SETTINGS.iter().find(|setting| setting.variable() == name)
}
