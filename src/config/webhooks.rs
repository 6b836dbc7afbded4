//! Who is told of users who come online and go offline.

use std::path::PathBuf;
use std::time::Duration;

use super::ConfigError;
use crate::http::address::Address;
use crate::http::auth::secret::Secret;

/// Where events are posted, and how, `webhooks.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebhooksConfig {
    /// Where to; nobody is told when there is nothing.
    pub url: Option<Address>,
    /// The secret that they are signed with; never together with `secret_file`.
    pub secret: Option<Secret>,
    /// The file that holds it.
    pub secret_file: Option<PathBuf>,
    /// The most events of a request.
    pub batch: usize,
    /// How long an event waits for others to go with it.
    pub batch_delay: Duration,
    /// For a whole request.
    pub timeout: Duration,
    /// The age at which an event that was not taken is given up.
    pub retry_for: Duration,
}

impl WebhooksConfig {
    /// What concerns more than one of them.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match (&self.url, &self.secret, &self.secret_file) {
            (_, Some(_), Some(_)) => Err(ConfigError::SecretTwice { table: "webhooks" }),
            (Some(_), None, None) => Err(ConfigError::WebhooksUnsigned),
            _ => Ok(()),
        }
    }

    pub(super) fn blank() -> WebhooksConfig {
        WebhooksConfig {
            url: None,
            secret: None,
            secret_file: None,
            batch: 0,
            batch_delay: Duration::ZERO,
            timeout: Duration::ZERO,
            retry_for: Duration::ZERO,
        }
    }
}
