//! What an operator can set, and how it gets here.
//!
//! One table (`settings.rs`) names every key with its default, its meaning and the field it fills.
//! Four sources are read into it, each over the one before: the defaults, a TOML file, `RILL_...`
//! variables, flags; an embedding program says in [`Config::of`] what it wants over the defaults.
//! Every source turns into the same list of assignments, so that a value means the same and is
//! refused in the same words wherever it stands. What comes out is a [`Config`]: plain values,
//! checked, handed down by whoever calls.

mod assignment;
mod auth;
mod environment;
mod error;
mod field;
mod file;
mod flags;
mod http;
mod keys;
mod listen;
mod material;
mod notation;
mod refusal;
mod settings;
#[cfg(test)]
mod tests;
mod value;
mod webhooks;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use assignment::{Assignment, defaults};
pub use auth::{AuthConfig, AuthErrors, KeyConfig, KeySource};
pub use error::{ConfigError, Origin, Position};
pub use flags::{Cli, Command, Flags, TokenFlags};
pub use http::{CorsConfig, HttpConfig, RatesConfig};
pub use keys::KeyRefusal;
pub use listen::Listen;
pub use material::{MaterialError, Signer};
pub use refusal::Refusal;
use settings::SETTINGS;
pub use webhooks::WebhooksConfig;

/// Descriptors that are not for streams: the log, listeners, standard streams, requests that are
/// being answered, with room to spare. Without it a full house could not even refuse.
const RESERVED_DESCRIPTORS: u64 = 256;

/// The settings of a server, resolved and checked. Sizes are in bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Development: demo tokens count; only ever together with loopback.
    pub dev: bool,
    /// Where to listen; empty only when sockets are inherited.
    pub listen: Vec<Listen>,
    /// Where the log is kept.
    pub data_dir: PathBuf,
    /// Most streams open at once.
    pub max_connections: usize,
    /// Most streams open at once for one user, or for one address without a user.
    pub max_connections_per_user: usize,
    /// How long a stream may be without an id before it is sent a heartbeat.
    pub heartbeat: Duration,
    /// The form of a heartbeat.
    pub heartbeat_mode: HeartbeatMode,
    /// How long a peer may accept nothing while bytes wait for it.
    pub idle_timeout: Duration,
    /// How long a stream may stay behind before it is closed as a slow consumer.
    pub max_lag: Duration,
    /// Time between two `status` events.
    pub status_interval: Duration,
    /// Most time between SIGTERM and the end of the process.
    pub drain_timeout: Duration,
    /// How passing refusals (429, 503) look on stream paths.
    pub refuse_streams: RefuseStreams,
    /// Number of reactor threads.
    pub shards: usize,
    /// The event log.
    pub log: LogConfig,
    /// Limits of HTTP requests.
    pub http: HttpConfig,
    /// What pages of other origins may do.
    pub cors: CorsConfig,
    /// Who is believed to be whom.
    pub auth: AuthConfig,
    /// How often something may be done.
    pub rates: RatesConfig,
    /// Who is told of users who come online and go offline.
    pub webhooks: WebhooksConfig,
    /// The form of the process's own log lines.
    pub log_format: LogFormat,
    /// Which of them are written: a `tracing` `EnvFilter`, known to parse.
    pub log_level: String,
}

/// Settings of the event log, `log.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogConfig {
    /// Where events are kept.
    pub store: Store,
    /// When an event counts as kept; [`Durability::Memory`] whenever the store is in memory.
    pub durability: Durability,
    /// Age up to which events are kept.
    pub retention_age: Duration,
    /// Number of events kept.
    pub retention_count: u64,
    /// Bytes of events kept.
    pub retention_bytes: u64,
    /// Most events that one resume replays.
    pub replay_limit: usize,
}

/// The form of a heartbeat.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum HeartbeatMode {
    /// `event: heartbeat` with an `id:`, so that a quiet client's cursor moves.
    Event,
    /// The comment line `:`.
    Comment,
}

/// How passing refusals (429, 503) look on stream paths.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum RefuseStreams {
    /// As a status, which is final for a browser's EventSource.
    Status,
    /// As 200 with `retry:` and the end, so that a browser comes again by itself.
    Retry,
}

/// Where events are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Store {
    /// On disk, in `data_dir`.
    Embedded,
    /// In memory: gone with the process.
    Memory,
}

/// When an event counts as kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Durability {
    /// Once it is on disk; publishers wait for that.
    Fsync,
    /// At once; the disk follows every 50 ms.
    Interval,
    /// At once; nothing outlives the process.
    Memory,
}

/// The form of the process's own log lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads the defaults, the file that `--config` names, the `RILL_...` variables among `env`
    /// (others are left alone) and the flags, each over the one before.
    ///
    /// # Errors
    /// The first thing that is wrong, in that order. A wrong value is refused even where a later
    /// source would have replaced it.
    pub fn resolve(
        flags: &Flags,
        env: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Config, ConfigError> {
        Config::resolve_over(defaults(), flags, env)
    }

    /// The same for a process that was started with sockets to listen on: they take the place of
    /// the default addresses, and what somebody chose is opened besides.
    ///
    /// # Errors
    /// As [`Config::resolve`].
    pub fn resolve_activated(
        flags: &Flags,
        env: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Config, ConfigError> {
        let defaults = defaults().filter(|default| default.setting.key != "listen");
        Config::resolve_over(defaults, flags, env)
    }

    fn resolve_over(
        defaults: impl Iterator<Item = Assignment>,
        flags: &Flags,
        env: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Config, ConfigError> {
        let mut assignments: Vec<Assignment> = defaults.collect();
        if let Some(file) = flags.config_file() {
            assignments.extend(file::read(file)?);
        }
        assignments.extend(environment::read(env)?);
        assignments.extend(flags.assignments());
        Config::assigned(assignments)
    }

    /// The settings of an embedding program, over the defaults: pairs of a key and its value as it
    /// would stand in a variable. No file and no variable is read. Without `dev` there must be a key
    /// to check credentials with.
    ///
    /// ```
    /// use rill::config::Config;
    ///
    /// let config = Config::of([
    ///     ("listen", "127.0.0.1:0, unix:/run/app.sock"),
    ///     ("auth.secret", "C7kQy0eVb3uZ9pRmXw2tHsL5nAfJ8dGi4oBxMqTzWvE"),
    ///     ("log.store", "memory"),
    ///     ("max_connections", "20000"),
    /// ])?;
    /// assert_eq!(config.listen.len(), 2);
    /// # Ok::<(), rill::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Config::resolve`].
    pub fn of<'a>(
        settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Config, ConfigError> {
        let given = settings.into_iter().map(|(key, value)| Assignment::of(key, value));
        let given = given.collect::<Result<Vec<_>, _>>()?;
        Config::assigned(defaults().chain(given))
    }

    fn assigned(assignments: impl IntoIterator<Item = Assignment>) -> Result<Config, ConfigError> {
        let mut config = Config::blank();
        for assignment in assignments {
            assignment.apply(&mut config)?;
        }
        config.settled()
    }

    /// The settings as a TOML file that resolves to this very value, but for
    /// secrets: of one it says only that it is there.
    pub fn to_toml(&self) -> String {
        // The table knows fields by mutable reference alone, hence the copy.
        let mut config = self.clone();
        let mut toml = String::new();
        let mut section = "";
        for setting in SETTINGS {
            let (table, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
            if table != section {
                toml.push_str(&format!("\n[{table}]\n"));
                section = table;
            }
            match (setting.field)(&mut config).show() {
                Some(value) => toml.push_str(&format!("{name} = {value}\n")),
                None => toml.push_str(&format!("# {name} is set\n")),
            }
        }
        toml
    }

    /// What concerns more than one setting. Changes nothing that was settled before.
    pub(crate) fn settled(mut self) -> Result<Config, ConfigError> {
        if self.log.store == Store::Memory {
            self.log.durability = Durability::Memory;
        }
        for listen in &self.listen {
            if let Listen::Tcp(address) = listen {
                self.check_address(*address)?;
            }
        }
        self.auth.check(self.dev)?;
        self.cors.check()?;
        self.rates.check(self.http.body_limit)?;
        self.webhooks.check()?;
        Ok(self)
    }

    /// Whether the server may listen on `address`.
    ///
    /// # Errors
    /// [`ConfigError::DevBeyondLoopback`]: what `dev` gives away is for this machine alone.
    pub fn check_address(&self, address: SocketAddr) -> Result<(), ConfigError> {
        // Canonical, so that ::ffff:127.0.0.1 counts as what it is.
        if self.dev && !address.ip().to_canonical().is_loopback() {
            return Err(ConfigError::DevBeyondLoopback { address });
        }
        Ok(())
    }

    /// Holds nothing that counts: the table's defaults are read over all of it.
    fn blank() -> Config {
        Config {
            dev: false,
            listen: Vec::new(),
            data_dir: PathBuf::new(),
            max_connections: 0,
            max_connections_per_user: 0,
            heartbeat: Duration::ZERO,
            heartbeat_mode: HeartbeatMode::Event,
            idle_timeout: Duration::ZERO,
            max_lag: Duration::ZERO,
            status_interval: Duration::ZERO,
            drain_timeout: Duration::ZERO,
            refuse_streams: RefuseStreams::Status,
            shards: 0,
            log: LogConfig {
                store: Store::Embedded,
                durability: Durability::Fsync,
                retention_age: Duration::ZERO,
                retention_count: 0,
                retention_bytes: 0,
                replay_limit: 0,
            },
            http: HttpConfig::blank(),
            cors: CorsConfig::blank(),
            auth: AuthConfig::blank(),
            rates: RatesConfig::blank(),
            webhooks: WebhooksConfig::blank(),
            log_format: LogFormat::Text,
            log_level: String::new(),
        }
    }
}

/// Whether `max_connections` streams fit under `hard_limit`, the most descriptors that the process
/// may ever open (`RLIMIT_NOFILE`, hard).
///
/// # Errors
/// [`ConfigError::Descriptors`]: 256 descriptors must be left besides the streams.
pub fn check_descriptors(max_connections: usize, hard_limit: u64) -> Result<(), ConfigError> {
    let room = hard_limit.saturating_sub(RESERVED_DESCRIPTORS);
    if u64::try_from(max_connections).is_ok_and(|asked| asked <= room) {
        return Ok(());
    }
    Err(ConfigError::Descriptors { max_connections, hard_limit, room })
}
