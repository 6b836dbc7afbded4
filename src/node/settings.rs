//! What the settings of an operator mean to each part.

use std::time::Duration;

use governor::clock::DefaultClock;

use crate::config::{
    AuthErrors, Config, Durability, HeartbeatMode, HttpConfig, LogConfig, RatesConfig,
    RefuseStreams,
};
use crate::http::auth::keys::Keys;
use crate::http::auth::{self, Authority};
use crate::http::cors::Cors;
use crate::http::hosts::Hosts;
use crate::http::proxies::Proxies;
use crate::http::rates::{self, Rates};
use crate::http::{self, Doors, body};
use crate::hub::admission::Limits;
use crate::reactor::ticks;
use crate::{hub, log, reactor};

/// After a restart clients come back up to `drain_timeout` and some seconds later; whoever is not back
/// after that and this much more is offline.
const TIME_TO_RETURN: Duration = Duration::from_secs(30);

pub(super) fn log(config: &Config) -> log::Settings {
    let LogConfig { retention_age, retention_count, retention_bytes, .. } = config.log;
    let embedded = || log::Store::Embedded(config.data_dir.clone());
    let (store, durability) = match config.log.durability {
        Durability::Fsync => (embedded(), log::Durability::Fsync),
        Durability::Interval => (embedded(), log::Durability::Interval),
        Durability::Memory => (log::Store::Memory, log::Durability::Interval),
    };
    let retention =
        log::Retention { age: retention_age, count: retention_count, bytes: retention_bytes };
    log::Settings { store, durability, retention }
}

pub(super) fn streams(config: &Config) -> reactor::Settings {
    let limits = reactor::Limits {
        heartbeat: ticks(config.heartbeat),
        idle: ticks(config.idle_timeout),
        max_lag: ticks(config.max_lag),
        expiry_notice: ticks(config.auth.expiry_notice),
    };
    let heartbeat_carries_id = config.heartbeat_mode == HeartbeatMode::Event;
    reactor::Settings { limits, heartbeat_carries_id }
}

pub(super) fn hub(config: &Config) -> hub::Settings {
    let limits =
        Limits { per_holder: config.max_connections_per_user, total: config.max_connections };
    hub::Settings {
        limits,
        replay_limit: config.log.replay_limit,
        status_interval: config.status_interval,
        ticket_ttl: config.auth.ticket_ttl,
        announced: config.webhooks.url.as_ref().map(|_| config.drain_timeout + TIME_TO_RETURN),
    }
}

pub(super) fn http(config: &Config) -> http::Settings {
    http::Settings {
        head_timeout: config.http.head_timeout,
        keep_alive: config.http.keep_alive,
        body: body::Limits { size: config.http.body_limit, time: config.http.body_timeout },
        heartbeat: config.heartbeat,
        retry_streams: config.refuse_streams == RefuseStreams::Retry,
        errors_in_streams: config.auth.errors == AuthErrors::Stream,
        durable: config.log.durability != Durability::Memory,
    }
}

pub(super) fn doors(config: &Config, keys: Keys) -> Doors {
    let HttpConfig { allowed_hosts, trusted_proxies, client_address, .. } = &config.http;
    let RatesConfig { connects, failed_credentials, publishes, bytes } = config.rates;
    let settings = auth::Settings {
        demo_tokens: config.dev,
        trust_user_id: config.dev || config.auth.trust_user_id,
        query_tokens: config.auth.query_tokens,
        cookie: config.auth.cookie.clone(),
        rules: auth::jwt::Rules {
            issuer: config.auth.issuer.clone(),
            audience: config.auth.audience.clone(),
            leeway: config.auth.leeway,
        },
    };
    let rates = rates::Settings { connects, failed_credentials, publishes, bytes };
    Doors {
        proxies: Proxies::new(trusted_proxies.clone(), *client_address),
        hosts: Hosts::new(allowed_hosts.clone()),
        cors: Cors::new(config.cors.origins.clone(), config.cors.credentials),
        rates: Rates::new(rates, DefaultClock::default()),
        authority: Authority::new(settings, keys),
    }
}
