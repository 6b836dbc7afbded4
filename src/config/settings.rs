//! The table: every setting with its default, its meaning and its field.
//!
//! Everything else follows from a line here: the key of the file, the variable, the value of a
//! flag and its help, the output of `check-config`. Keys of one TOML table stand together, those
//! without a table first, because that is the order in which TOML can be written.

use std::time::Duration;

use super::Config;
use super::field::Field;

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its name, `table.name` or `name`.
    pub(super) key: &'static str,
    /// What it is when nobody sets it, as one would write it; empty when that is nothing.
    pub(super) default: &'static str,
    /// Its line of help.
    pub(super) doc: &'static str,
    /// The field that it fills and what is allowed there.
    pub(super) field: for<'a> fn(&'a mut Config) -> Field<'a>,
}

/// Below this the timer wheel would do nothing but turn.
const SHORTEST: Duration = Duration::from_millis(100);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const WEEK: Duration = Duration::from_hours(24 * 7);
/// Ten years: far from where adding to the time of day could overflow.
const LONGEST_KEPT: Duration = Duration::from_hours(24 * 3650);

/// More than any system lets a process open, and within what a shard can number.
const MOST_STREAMS: u64 = 10_000_000;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

pub(super) static SETTINGS: &[Setting] = &[
    Setting {
        key: "dev",
        default: "false",
        doc: "For development, on loopback alone: demo tokens count",
        field: |c| Field::Switch(&mut c.dev),
    },
    Setting {
        key: "listen",
        default: "127.0.0.1:3000",
        doc: "Where to listen: IP:PORT, localhost:PORT or unix:/path; several are possible",
        field: |c| Field::Addresses(&mut c.listen),
    },
    Setting {
        key: "data_dir",
        default: "./data",
        doc: "Directory in which events are kept",
        field: |c| Field::Path(&mut c.data_dir),
    },
    Setting {
        key: "max_connections",
        default: "1000",
        doc: "Most streams open at once",
        field: |c| Field::Count(&mut c.max_connections, 1..=MOST_STREAMS),
    },
    Setting {
        key: "max_connections_per_user",
        default: "5",
        doc: "Most streams open at once for one user, or one address without a user",
        field: |c| Field::Count(&mut c.max_connections_per_user, 1..=MOST_STREAMS),
    },
    Setting {
        key: "heartbeat",
        default: "30s",
        doc: "How long a stream may be quiet before it gets a heartbeat",
        field: |c| Field::Duration(&mut c.heartbeat, SHORTEST..=DAY),
    },
    Setting {
        key: "heartbeat_mode",
        default: "event",
        doc: "A heartbeat is an `event` that moves the client's cursor, or a `comment`",
        field: |c| Field::Choice(&mut c.heartbeat_mode),
    },
    Setting {
        key: "idle_timeout",
        default: "5m",
        doc: "Close a stream whose client accepts no byte of what waits for this long",
        field: |c| Field::Duration(&mut c.idle_timeout, SHORTEST..=DAY),
    },
    Setting {
        key: "max_lag",
        default: "60s",
        doc: "Close a stream that stays behind for this long",
        field: |c| Field::Duration(&mut c.max_lag, SHORTEST..=DAY),
    },
    Setting {
        key: "status_interval",
        default: "10s",
        doc: "Time between two `status` events on /system/status/stream",
        field: |c| Field::Duration(&mut c.status_interval, SHORTEST..=DAY),
    },
    Setting {
        key: "drain_timeout",
        default: "30s",
        doc: "After SIGTERM, tell and close all streams and end within this time",
        field: |c| Field::Duration(&mut c.drain_timeout, SHORTEST..=DAY),
    },
    Setting {
        key: "refuse_streams",
        default: "status",
        doc: "Refuse a stream for now with a `status`, or with 200 and `retry` so that browsers return",
        field: |c| Field::Choice(&mut c.refuse_streams),
    },
    Setting {
        key: "shards",
        default: "auto",
        doc: "Threads that write to streams; `auto` is one for each core",
        // More threads than this only take turns, and every one of them sees every event.
        field: |c| Field::Cores(&mut c.shards, 1..=256),
    },
    Setting {
        key: "log_format",
        default: "text",
        doc: "Form of Rill's own log lines: `text` or `json`",
        field: |c| Field::Choice(&mut c.log_format),
    },
    Setting {
        key: "log_level",
        default: "info",
        doc: "Which log lines are written: error, warn, info, debug, trace, or like info,rill=debug",
        field: |c| Field::LogLevel(&mut c.log_level),
    },
    Setting {
        key: "log.store",
        default: "embedded",
        doc: "Where events are kept: `embedded` (on disk) or `memory` (gone after a restart)",
        field: |c| Field::Choice(&mut c.log.store),
    },
    Setting {
        key: "log.durability",
        default: "fsync",
        doc: "Answer a publisher after `fsync`, or before it: `interval` (synced every 50 ms), `memory` (never)",
        field: |c| Field::Choice(&mut c.log.durability),
    },
    Setting {
        key: "log.retention_age",
        default: "24h",
        doc: "How long events are kept",
        field: |c| Field::Duration(&mut c.log.retention_age, SHORTEST..=LONGEST_KEPT),
    },
    Setting {
        key: "log.retention_count",
        default: "1000000",
        doc: "How many events are kept",
        field: |c| Field::Count(&mut c.log.retention_count, 1..=1_000_000_000_000),
    },
    Setting {
        key: "log.retention_bytes",
        default: "1GiB",
        doc: "How many bytes of events are kept",
        field: |c| Field::Size(&mut c.log.retention_bytes, 64 * KIB..=64 * TIB),
    },
    Setting {
        key: "log.replay_limit",
        default: "10000",
        doc: "Most events that a client gets again when it resumes",
        field: |c| Field::Count(&mut c.log.replay_limit, 1..=10_000_000),
    },
    Setting {
        key: "http.body_limit",
        default: "256KiB",
        doc: "Largest body of a request",
        field: |c| Field::Size(&mut c.http.body_limit, KIB..=64 * MIB),
    },
    Setting {
        key: "http.head_timeout",
        default: "10s",
        doc: "Time within which the head of a request must be whole",
        field: |c| Field::Duration(&mut c.http.head_timeout, SHORTEST..=DAY),
    },
    Setting {
        key: "http.body_timeout",
        default: "15s",
        doc: "Time within which the body of a request must be whole",
        field: |c| Field::Duration(&mut c.http.body_timeout, SHORTEST..=DAY),
    },
    Setting {
        key: "http.keep_alive",
        default: "75s",
        doc: "How long a connection without a request is kept; longer than a proxy in front keeps it",
        field: |c| Field::Duration(&mut c.http.keep_alive, SHORTEST..=DAY),
    },
    Setting {
        key: "http.allowed_hosts",
        default: "",
        doc: "Hosts that requests may be for, like app.example or app.example:8080; any when not set",
        field: |c| Field::Hosts(&mut c.http.allowed_hosts),
    },
    Setting {
        key: "http.trusted_proxies",
        default: "",
        doc: "Proxies that are believed about their clients: addresses, networks like 10.0.0.0/8, or unix",
        field: |c| Field::Proxies(&mut c.http.trusted_proxies),
    },
    Setting {
        key: "http.client_address",
        default: "x-forwarded-for",
        doc: "How they tell a client's address: `x-forwarded-for`, `forwarded` or `proxy-protocol`",
        field: |c| Field::Choice(&mut c.http.client_address),
    },
    Setting {
        key: "cors.origins",
        default: "*",
        doc: "Origins whose pages may read answers, like https://app.example; `*` is all of them",
        field: |c| Field::Origins(&mut c.cors.origins),
    },
    Setting {
        key: "cors.credentials",
        default: "false",
        doc: "Let pages of the listed origins read answers to requests with the cookie",
        field: |c| Field::Switch(&mut c.cors.credentials),
    },
    Setting {
        key: "auth.secret",
        default: "",
        doc: "The secret that tokens are signed with, 32 bytes at least; in a file it is kept better",
        field: |c| Field::Secret(&mut c.auth.secret),
    },
    Setting {
        key: "auth.secret_file",
        default: "",
        doc: "File that holds this secret",
        field: |c| Field::OptionalPath(&mut c.auth.secret_file),
    },
    Setting {
        key: "auth.algorithm",
        default: "HS256",
        doc: "What the secret is used with: HS256, HS384 or HS512",
        field: |c| Field::SecretAlgorithm(&mut c.auth.algorithm),
    },
    Setting {
        key: "auth.keys",
        default: "",
        doc: "More keys, as [[auth.keys]] in FILE: kid, algorithm, issuer, secret_file | secret_env | public_key_file",
        field: |c| Field::Keys(&mut c.auth.keys),
    },
    Setting {
        key: "auth.jwks_file",
        default: "",
        doc: "File with a set of public keys (JWKS); read again when it changes",
        field: |c| Field::OptionalPath(&mut c.auth.jwks_file),
    },
    Setting {
        key: "auth.jwks_url",
        default: "",
        doc: "URL of such a set, https:// or on loopback http://",
        field: |c| Field::KeysUrl(&mut c.auth.jwks_url),
    },
    Setting {
        key: "auth.jwks_refresh",
        default: "1h",
        doc: "How often the set is fetched from its URL",
        // More often is a burden for the issuer; more seldom keeps a withdrawn key for long.
        field: |c| Field::Duration(&mut c.auth.jwks_refresh, Duration::from_secs(10)..=WEEK),
    },
    Setting {
        key: "auth.issuer",
        default: "",
        doc: "Issuer (`iss`) that tokens must have; any when not set",
        field: |c| Field::OptionalText(&mut c.auth.issuer),
    },
    Setting {
        key: "auth.audience",
        default: "",
        doc: "Audiences (`aud`) of which tokens must have one; any when not set",
        field: |c| Field::Texts(&mut c.auth.audience),
    },
    Setting {
        key: "auth.leeway",
        default: "0s",
        doc: "How far the clocks of issuers may differ from ours",
        field: |c| Field::Duration(&mut c.auth.leeway, Duration::ZERO..=Duration::from_secs(60)),
    },
    Setting {
        key: "auth.cookie",
        default: "rill_session",
        doc: "Name of the session cookie; may begin with __Host- or __Secure-",
        field: |c| Field::CookieName(&mut c.auth.cookie),
    },
    Setting {
        key: "auth.errors",
        default: "status",
        doc: "Refuse a stream (401, 403) with a `status`, or as the guide does with 200 and an `error` event: `stream`",
        field: |c| Field::Choice(&mut c.auth.errors),
    },
    Setting {
        key: "auth.query_tokens",
        default: "true",
        doc: "Take tokens from ?token=, which ends up in the logs of proxies",
        field: |c| Field::Switch(&mut c.auth.query_tokens),
    },
    Setting {
        key: "auth.trust_user_id",
        default: "false",
        doc: "Believe ?userId= without a credential; only behind a proxy that has checked the user",
        field: |c| Field::Switch(&mut c.auth.trust_user_id),
    },
    Setting {
        key: "auth.ticket_ttl",
        default: "60s",
        doc: "How long a ticket waits for its stream, or for its reconnect",
        field: |c| Field::Duration(&mut c.auth.ticket_ttl, Duration::from_secs(1)..=HOUR),
    },
    Setting {
        key: "auth.expiry_notice",
        default: "30s",
        doc: "How long before its token expires a stream is told",
        field: |c| Field::Duration(&mut c.auth.expiry_notice, Duration::ZERO..=HOUR),
    },
    Setting {
        key: "rates.connects",
        default: "off",
        doc: "Streams opened from one address, like 100/m (s, m or h); or `off`",
        field: |c| Field::Rate(&mut c.rates.connects),
    },
    Setting {
        key: "rates.failed_credentials",
        default: "off",
        doc: "Bad credentials from one address",
        field: |c| Field::Rate(&mut c.rates.failed_credentials),
    },
    Setting {
        key: "rates.publishes",
        default: "off",
        doc: "Events published by one user",
        field: |c| Field::Rate(&mut c.rates.publishes),
    },
    Setting {
        key: "rates.bytes",
        default: "off",
        doc: "Bytes published by one user; at least http.body_limit",
        field: |c| Field::Rate(&mut c.rates.bytes),
    },
    Setting {
        key: "webhooks.url",
        default: "",
        doc: "Where to POST which users come online and go offline, http:// or https://",
        field: |c| Field::Url(&mut c.webhooks.url),
    },
    Setting {
        key: "webhooks.secret",
        default: "",
        doc: "The secret that webhooks are signed with, whsec_ and base64; in a file it is kept better",
        field: |c| Field::Secret(&mut c.webhooks.secret),
    },
    Setting {
        key: "webhooks.secret_file",
        default: "",
        doc: "File that holds this secret",
        field: |c| Field::OptionalPath(&mut c.webhooks.secret_file),
    },
    Setting {
        key: "webhooks.batch",
        default: "100",
        doc: "Most events of a request",
        field: |c| Field::Count(&mut c.webhooks.batch, 1..=10_000),
    },
    Setting {
        key: "webhooks.batch_delay",
        default: "100ms",
        doc: "How long an event waits for others to go with it",
        field: |c| Field::Duration(&mut c.webhooks.batch_delay, Duration::ZERO..=MINUTE),
    },
    Setting {
        key: "webhooks.timeout",
        default: "10s",
        doc: "Time within which a request must be answered",
        field: |c| Field::Duration(&mut c.webhooks.timeout, SHORTEST..=MINUTE),
    },
    Setting {
        key: "webhooks.retry_for",
        default: "24h",
        doc: "Age at which an event that was not taken is given up",
        field: |c| Field::Duration(&mut c.webhooks.retry_for, SHORTEST..=LONGEST_KEPT),
    },
];

impl Setting {
    /// The setting named `key`.
    pub(super) fn by_key(key: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// The variable that sets it: `a.b` is `RILL_A_B`.
    pub(super) fn variable(&self) -> String {
        format!("RILL_{}", self.key.replace('.', "_").to_uppercase())
    }
}
