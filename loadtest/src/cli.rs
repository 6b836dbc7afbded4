//! The command line: what is common to all scenarios here, what is special in each scenario's own
//! file.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::dialect::DialectSource;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::opening::Pace;
use crate::scenario;
use crate::signer::Jwt;
use crate::subject::Kind;

/// Drives an SSE server with thousands of streams and checks every event.
///
/// Without --url or --unix=PATH it starts the server itself and kills it at the end. Exit status: 0
/// nothing was lost, 1 something was, 2 the run could not be carried out, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The scenarios.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Memory per open stream
    Density(scenario::density::Options),
    /// One broadcast at a time: CPU per delivery and latency, against a plain send loop
    Fanout(scenario::fanout::Options),
    /// Broadcasts at a rate: deliveries a second and losses, against a plain send loop
    Flood(scenario::flood::Options),
    /// All streams cut at once, and back with their cursors
    Storm(scenario::storm::Options),
    /// Each event for one user of many: finding him, and latency
    Unicast(scenario::unicast::Options),
    /// Streams that connect and leave at a rate, and miss nothing
    Churn(scenario::churn::Options),
    /// A share of readers at a few bytes a second: the others must not notice
    Slow(scenario::slow::Options),
    /// Everything at once: one and all, coming and going, slow readers, floods, cuts
    Mixed(scenario::mixed::Options),
    /// The same for a long time, and whether the server grows
    Soak(scenario::soak::Options),
    /// Publishers one after the other's answer: publishes a second and their latency
    Publish(scenario::publish::Options),
    /// Bad tokens as fast as they go: the others must hardly notice
    Siege(scenario::siege::Options),
    /// CPU that open streams cost while nothing happens
    Idle(scenario::idle::Options),
    /// A conversation of many members: publishing to it, and changing who belongs to it
    Conversation(scenario::conversation::Options),
    /// Who is online: all streams cut at once and back make nobody leave, and who leaves has left
    Presence(scenario::presence::Options),
    /// kill -9 while publishing: what was answered must be replayed
    Crash(scenario::crash::Options),
    /// Rill next to nchan, an axum server and a plain send loop, and next to any server at --url
    Compare(scenario::compare::Options),
    /// What nginx in front costs, and what each setting of its profile does
    Proxy(scenario::proxy::Options),
    /// nginx in front is reloaded or restarted under load: nothing may be lost
    Restart(scenario::restart::Options),
    /// The reference of `fanout` and `flood`, in a process of its own
    #[command(hide = true)]
    SendLoop(SendLoopOptions),
    /// An axum server to compare with, in a process of its own
    #[command(hide = true)]
    AxumServer(AxumServerOptions),
}

/// What the send loop's process is told by its parent.
#[derive(Debug, Args)]
pub(crate) struct SendLoopOptions {
    /// 127.0.0.1:PORT or unix:PATH
    #[arg(long)]
    pub(crate) listen: Endpoint,
    /// The size of one event on the wire
    #[arg(long, default_value_t = 250)]
    pub(crate) frame_bytes: usize,
}

/// What the axum server's process is told by its parent.
#[derive(Debug, Args)]
pub(crate) struct AxumServerOptions {
    /// 127.0.0.1:PORT or unix:PATH
    #[arg(long)]
    pub(crate) listen: Endpoint,
}

/// What all scenarios share.
#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// The server's program [default: the workspace's target/release/rill]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) server: Option<PathBuf>,
    /// The cores that it is kept to, like 0 or 0,2 or 0-3 [default: all]
    #[arg(long, global = true, value_name = "LIST")]
    pub(crate) server_cores: Option<String>,
    /// Its data directory [default: a temporary one]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// An environment variable for it, NAME=VALUE (repeatable)
    #[arg(long, global = true, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) server_env: Vec<(String, String)>,
    /// All that follows is handed to the server
    #[arg(long, global = true, num_args = 1.., allow_hyphen_values = true, value_name = "ARGS")]
    pub(crate) server_args: Vec<String>,
    /// Attach to the server at http://127.0.0.1:PORT (or https) instead of starting one
    #[arg(long, global = true, value_name = "URL", conflicts_with = "unix")]
    pub(crate) url: Option<Endpoint>,
    /// Use a unix socket; with =PATH attach to the server that listens there
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "", value_name = "PATH")]
    pub(crate) unix: Option<String>,
    /// The process to measure when attached
    #[arg(long, global = true)]
    pub(crate) pid: Option<i32>,
    /// Client threads
    #[arg(long, global = true, default_value_t = 1)]
    pub(crate) threads: usize,
    /// How many streams may be opening at once [default: 512; storm: all]
    #[arg(long, global = true)]
    pub(crate) concurrency: Option<usize>,
    /// How the server at --url is asked: a built-in name (rill, rill-service, send-loop, axum,
    /// nchan) or a file like loadtest/dialects/rill.toml [default: rill; conversation, presence:
    /// rill-service]
    #[arg(long, global = true, value_name = "NAME|FILE")]
    dialect: Option<DialectSource>,
    /// Sign a token for each user and for the publishers before a run, in place of the dialect's; a
    /// server of ours is given the key, and started without --dev
    #[arg(long, global = true, value_enum, value_name = "ALGORITHM")]
    pub(crate) jwt: Option<Jwt>,
    /// Sign with the key in this file, which the server at --url knows: a secret, or a private key
    /// as PKCS #8 in PEM
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) jwt_key: Option<PathBuf>,
    /// A header for every request, 'Name: value' (repeatable)
    #[arg(long, global = true, value_name = "LINE", value_parser = header)]
    pub(crate) header: Vec<String>,
    /// The certificates to trust at an https:// address, as PEM
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Fill messages up to this many bytes
    #[arg(long, global = true, default_value_t = 0, value_name = "BYTES")]
    pub(crate) message_bytes: usize,
    /// How long the opening of all streams may take, in seconds
    #[arg(long, global = true, default_value_t = 60.0, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) open_limit: f64,
    /// What did not arrive when nothing came for so many seconds is lost
    #[arg(long, global = true, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) patience: f64,
    /// How long the whole run may take, in seconds
    #[arg(long, global = true, default_value_t = 1800.0, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) time_limit: f64,
    /// Write a page with charts into this directory
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    /// Show no progress
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
    /// Print JSON instead of the table
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Common {
    /// Where a running server listens, if one is named.
    pub(crate) fn attached(&self) -> Option<Endpoint> {
        let path = self.unix.as_deref().filter(|path| !path.is_empty());
        self.url.clone().or_else(|| path.map(|path| Endpoint::Unix(path.into())))
    }

    /// How an attached server is asked, where nothing is said: as `kind` is.
    pub(crate) fn dialect(&self, kind: Kind) -> DialectSource {
        self.dialect.clone().unwrap_or_else(|| kind.dialect())
    }

    /// Whether a server that we start has to listen on a unix socket.
    pub(crate) fn over_unix(&self) -> bool {
        self.unix.is_some()
    }

    /// How streams are opened where that is not what is measured.
    pub(crate) fn pace(&self) -> Pace {
        Pace { concurrency: self.concurrency.unwrap_or(512), per_second: None }
    }

    /// How long opening may take.
    pub(crate) fn opening_limit(&self) -> Duration {
        Duration::from_secs_f64(self.open_limit)
    }

    /// How long to wait for what does not come.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.patience)
    }

    /// Refuses flags that make no sense without a server that is attached, or with one.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.pid.is_some() && self.attached().is_none() {
            return Err(Failure::Usage(
                "--pid needs --url or --unix=PATH: a server that we start is measured anyway",
            ));
        }
        if self.dialect.is_some() && self.attached().is_none() {
            return Err(Failure::Usage(
                "--dialect needs --url or --unix=PATH: what we start is asked in its own way",
            ));
        }
        if self.jwt_key.is_some() != (self.jwt.is_some() && self.attached().is_some()) {
            return Err(Failure::Usage(
                "--jwt-key FILE belongs to --jwt with --url or --unix=PATH: a server that we start \
                 gets a key of its own",
            ));
        }
        if self.attached().is_some() && (self.server.is_some() || !self.server_args.is_empty()) {
            return Err(Failure::Usage(
                "--server and --server-args are for a server that we start, not an attached one",
            ));
        }
        Ok(())
    }
}

/// A number of seconds, events or the like that has to be above 0.
pub(crate) fn positive(text: &str) -> Result<f64, &'static str> {
    let value: f64 = text.parse().map_err(|_| "not a number")?;
    if value > 0.0 && value <= 1e9 { Ok(value) } else { Err("not above 0 and up to 1000000000") }
}

/// A number of events or the like a second; 0 is none.
pub(crate) fn rate_or_none(text: &str) -> Result<f64, &'static str> {
    let value: f64 = text.parse().map_err(|_| "not a number")?;
    if (0.0..=1e9).contains(&value) { Ok(value) } else { Err("not between 0 and 1000000000") }
}

/// A time that may be 0, at most a day.
pub(crate) fn seconds(text: &str) -> Result<f64, &'static str> {
    let value: f64 = text.parse().map_err(|_| "not a number")?;
    if (0.0..=86_400.0).contains(&value) { Ok(value) } else { Err("not between 0 and 86400") }
}

/// A number from 0 to 1.
pub(crate) fn share(text: &str) -> Result<f64, &'static str> {
    let value: f64 = text.parse().map_err(|_| "not a number")?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("not between 0 and 1") }
}

/// A count of at least 1.
pub(crate) fn count(text: &str) -> Result<usize, &'static str> {
    let value: usize = text.parse().map_err(|_| "not a whole number")?;
    if (1..=10_000_000).contains(&value) { Ok(value) } else { Err("not between 1 and 10000000") }
}

fn header(text: &str) -> Result<String, &'static str> {
    let (name, value) = text.split_once(':').ok_or("not 'Name: value'")?;
    let sound = !name.is_empty() && !text.contains(char::is_control);
    if sound { Ok(format!("{name}:{value}")) } else { Err("not 'Name: value'") }
}

fn name_and_value(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("not NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Cli {
        Cli::try_parse_from(line.split(' ')).unwrap()
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn server_arguments_are_all_that_follows() {
        let cli = parse("loadtest density --streams 5 --server-args --shards 2 --json");
        assert_eq!(cli.common.server_args, ["--shards", "2", "--json"]);
        assert!(!cli.common.json);
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!((rate_or_none("0"), rate_or_none("1e9")), (Ok(0.0), Ok(1e9)));
        assert_eq!(positive("1e9"), Ok(1e9));
        for text in ["-1", "2e9", "NaN"] {
            assert_eq!(rate_or_none(text), Err("not between 0 and 1000000000"), "{text}");
            assert_eq!(positive(text), Err("not above 0 and up to 1000000000"), "{text}");
        }
    }

    #[test]
    fn unix_is_a_kind_of_socket_or_a_place() {
        let ours = parse("loadtest fanout --unix --streams 10").common;
        assert!(ours.over_unix() && ours.attached().is_none());
        let theirs = parse("loadtest fanout --unix=/run/x.sock --pid 1").common;
        assert_eq!(theirs.attached(), Some(Endpoint::Unix("/run/x.sock".into())));
        assert!(theirs.check().is_ok());
        assert!(parse("loadtest idle --pid 1").common.check().is_err());
    }
}
