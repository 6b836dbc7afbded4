//! How requests are taken: limits, hosts, proxies, pages of other origins, rates.

use std::time::Duration;

use super::ConfigError;
use crate::http::cors::Origins;
use crate::http::hosts::Host;
use crate::http::proxies::{ClientAddress, Proxy};
use crate::http::rates::Rate;

/// Limits of HTTP requests, `http.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpConfig {
    /// Largest request body.
    pub body_limit: usize,
    /// Time within which a request's head must be whole.
    pub head_timeout: Duration,
    /// Time within which a request's body must be whole.
    pub body_timeout: Duration,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// What requests may be for; anything when empty.
    pub allowed_hosts: Vec<Host>,
    /// Who is believed about where his clients are.
    pub trusted_proxies: Vec<Proxy>,
    /// How he tells it.
    pub client_address: ClientAddress,
}

/// What pages of other origins may do, `cors.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CorsConfig {
    /// Which ones may read answers.
    pub origins: Origins,
    /// Whether their requests may carry the cookie; never together with [`Origins::Any`].
    pub credentials: bool,
}

/// How often something may be done, `rates.*`; without limit where there is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RatesConfig {
    /// Streams opened from one address.
    pub connects: Option<Rate>,
    /// Credentials refused from one address.
    pub failed_credentials: Option<Rate>,
    /// Events published by one user.
    pub publishes: Option<Rate>,
    /// Bytes of their bodies.
    pub bytes: Option<Rate>,
}

impl HttpConfig {
    pub(super) fn blank() -> HttpConfig {
        HttpConfig {
            body_limit: 0,
            head_timeout: Duration::ZERO,
            body_timeout: Duration::ZERO,
            keep_alive: Duration::ZERO,
            allowed_hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            client_address: ClientAddress::XForwardedFor,
        }
    }
}

impl CorsConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match (&self.origins, self.credentials) {
            (Origins::Any, true) => Err(ConfigError::CredentialsForAll),
            _ => Ok(()),
        }
    }

    pub(super) fn blank() -> CorsConfig {
        CorsConfig { origins: Origins::Any, credentials: false }
    }
}

impl RatesConfig {
    /// A body that is allowed must be within what may come at once.
    pub(super) fn check(&self, body_limit: usize) -> Result<(), ConfigError> {
        match self.bytes {
            Some(rate) if u64::from(rate.count.get()) < body_limit as u64 => {
                Err(ConfigError::RateBelowBody { rate, body_limit })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn blank() -> RatesConfig {
        RatesConfig { connects: None, failed_credentials: None, publishes: None, bytes: None }
    }
}
