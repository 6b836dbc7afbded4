//! The table: every setting with its default, its meaning and its field.
//!
//! Everything else follows from a line here: the key of the file, the variable, the value of a
//! flag and its help, the output of `check-config`. Keys of one TOML table stand together, those
//! without a table first, because that is the order in which TOML can be written.

use std::time::Duration;

use super::error::Origin;
use super::value::{Field, Value};
use super::{Config, ConfigError};

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its name, `table.name` or `name`.
    pub(super) key: &'static str,
    /// What it is when nobody sets it, as one would write it.
    pub(super) default: &'static str,
    /// Its line of help.
    pub(super) doc: &'static str,
    /// The field that it fills and what is allowed there.
    pub(super) field: for<'a> fn(&'a mut Config) -> Field<'a>,
}

/// A value on its way to its setting.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) setting: &'static Setting,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Below this the timer wheel would do nothing but turn.
const SHORTEST: Duration = Duration::from_millis(100);
const DAY: Duration = Duration::from_hours(24);
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
        key: "auth.trust_user_id",
        default: "false",
        doc: "Believe ?userId= without a credential; only behind a proxy that has checked the user",
        field: |c| Field::Switch(&mut c.auth.trust_user_id),
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

impl Assignment {
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
