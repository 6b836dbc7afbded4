//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::assignment::Assignment;
use super::error::Origin;
use super::settings::{SETTINGS, Setting};
use super::value::Value;

/// The command line of `rill`.
#[derive(Debug, Parser)]
#[command(name = "rill", version, about = "A Server-Sent Events hub")]
#[command(propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `rill` is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the hub
    #[command(after_long_help = settings_help())]
    Serve(Flags),
    /// Print the settings that `serve` would run with as TOML, or say what is wrong with them
    #[command(after_long_help = settings_help())]
    CheckConfig(Flags),
    /// Print a token (JWT) of USER, signed with a secret of the settings, for trying things out
    #[command(after_help = TOKEN_HELP)]
    Token(TokenFlags),
}

/// The end of the help of `token`.
const TOKEN_HELP: &str = "\
The secret is that of auth.secret or auth.secret_file, or with --kid one of [[auth.keys]]. Settings
come from FILE and from RILL_... variables, as for `rill serve`. For example:

  curl -N -H \"Authorization: Bearer $(rill token ann --config FILE)\" \\
      http://127.0.0.1:3000/notifications/stream";

/// The flags, as given. They are read, and refused, by the table of settings.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// TOML file with settings; variables and flags go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(long, help = help("dev"))]
    dev: bool,
    #[arg(long, value_name = "ADDR", help = help("listen"))]
    listen: Vec<String>,
    #[arg(long, value_name = "DIR", help = help("data_dir"))]
    data_dir: Option<String>,
    #[arg(long, value_name = "STORE", help = help("log.store"))]
    log: Option<String>,
    #[arg(long, value_name = "N", help = help("max_connections"))]
    max_connections: Option<String>,
    #[arg(long, value_name = "N", help = help("max_connections_per_user"))]
    max_connections_per_user: Option<String>,
    #[arg(long, value_name = "DURATION", help = help("heartbeat"))]
    heartbeat: Option<String>,
    #[arg(long, value_name = "DURATION", help = help("idle_timeout"))]
    idle_timeout: Option<String>,
    #[arg(long, value_name = "N", help = help("shards"))]
    shards: Option<String>,
    #[arg(long, value_name = "FORMAT", help = help("log_format"))]
    log_format: Option<String>,
    #[arg(long, value_name = "LEVEL", help = help("log_level"))]
    log_level: Option<String>,
}

impl Flags {
    /// The file that `--config` names.
    pub(super) fn config_file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The settings that were given as flags.
    pub(super) fn assignments(&self) -> impl Iterator<Item = Assignment> {
        let one = |flag: &Option<String>| flag.clone().map(Value::Text);
        let listen = (!self.listen.is_empty()).then(|| Value::List(self.listen.clone()));
        [
            ("dev", self.dev.then(|| Value::Text("true".to_owned()))),
            ("listen", listen),
            ("data_dir", one(&self.data_dir)),
            ("log.store", one(&self.log)),
            ("max_connections", one(&self.max_connections)),
            ("max_connections_per_user", one(&self.max_connections_per_user)),
            ("heartbeat", one(&self.heartbeat)),
            ("idle_timeout", one(&self.idle_timeout)),
            ("shards", one(&self.shards)),
            ("log_format", one(&self.log_format)),
            ("log_level", one(&self.log_level)),
        ]
        .into_iter()
        .filter_map(|(key, value)| {
            Some(Assignment {
                setting: Setting::by_key(key)?,
                value: value?,
                origin: Origin::Flag(flag_name(key)),
            })
        })
    }
}

/// What a token is to say.
#[derive(Args, Clone, Debug)]
pub struct TokenFlags {
    /// Whose token it is: the claim `sub`
    #[arg(value_name = "USER")]
    pub user: String,
    /// The name that others see
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// A role, as publisher or admin; several are possible
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// A channel to listen to, and with any only these; a `*` at the end stands for the rest
    #[arg(long = "channel", value_name = "NAME")]
    pub channels: Vec<String>,
    /// The same for rooms
    #[arg(long = "room", value_name = "NAME")]
    pub rooms: Vec<String>,
    /// The same for conversations
    #[arg(long = "conversation", value_name = "NAME")]
    pub conversations: Vec<String>,
    /// How long it is valid
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    #[arg(value_parser = humantime::parse_duration)]
    pub expires: Duration,
    /// The key to sign it with, one of [[auth.keys]] with a secret
    #[arg(long, value_name = "KID")]
    pub kid: Option<String>,
    /// TOML file with settings; variables go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl TokenFlags {
    /// The settings that it goes by.
    pub fn sources(&self) -> Flags {
        Flags { config: self.config.clone(), ..Flags::default() }
    }
}

fn flag_name(key: &str) -> String {
    match key {
        "log.store" => "--log".to_owned(),
        key => format!("--{}", key.replace('_', "-")),
    }
}

/// The table's line on `key`, as help of its flag.
fn help(key: &str) -> String {
    Setting::by_key(key).map_or_else(String::new, |setting| match setting.default {
        // A flag without a value has no default worth a word.
        "false" => setting.doc.to_owned(),
        default => format!("{} [default: {default}]", setting.doc),
    })
}

/// All settings, for the end of the help: most of them have no flag.
fn settings_help() -> String {
    let mut help = String::from(
        "Settings, with their defaults. Each may stand in FILE under its key, and in the\n\
         environment: a.b is RILL_A_B, lists are separated by commas. The environment goes\n\
         before FILE, flags before both. What may be (not set) is that when it is empty.\n",
    );
    for setting in SETTINGS {
        let default = match setting.default {
            "" => " (not set)".to_owned(),
            default => format!(" = {default}"),
        };
        help.push_str(&format!("\n  {}{default}\n      {}", setting.key, setting.doc));
    }
    help
}
