//! What an operator writes, and what comes of it, to the letter.

mod auth;
mod http;
mod refusals;
mod toml;
mod webhooks;

use std::io::Write;
use std::path::Path;

use clap::{CommandFactory, Parser};

use super::settings::Setting;
use super::*;
use crate::http::auth::algorithm::Algorithm;
use crate::http::cors::Origins;
use crate::http::proxies::ClientAddress;

/// Flags as they follow `rill serve`.
fn flags(args: &[&str]) -> Flags {
    let line = ["rill", "serve"].iter().chain(args);
    match Cli::try_parse_from(line).expect("flags").command {
        Command::Serve(flags) | Command::CheckConfig(flags) => flags,
        Command::Token(token) => panic!("{token:?}"),
    }
}

fn env(pairs: &[(&str, &str)]) -> impl Iterator<Item = (OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into()))
}

/// Without a key nothing starts.
const KEY: (&str, &str) = ("RILL_AUTH_SECRET_FILE", "/etc/rill/secret");

fn resolve(
    file: Option<&str>,
    pairs: &[(&str, &str)],
    args: &[&str],
) -> Result<Config, ConfigError> {
    resolve_alone(file, &[&[KEY], pairs].concat(), args)
}

/// From these sources and nothing else.
fn resolve_alone(
    file: Option<&str>,
    pairs: &[(&str, &str)],
    args: &[&str],
) -> Result<Config, ConfigError> {
    let Some(text) = file else {
        return Config::resolve(&flags(args), env(pairs));
    };
    let mut file = tempfile::NamedTempFile::new().expect("file");
    file.write_all(text.as_bytes()).expect("written");
    let path = file.path().to_str().expect("path");
    let flags = flags(&[&["--config", path], args].concat());
    Config::resolve(&flags, env(pairs))
}

fn refused(result: Result<Config, ConfigError>) -> String {
    result.expect_err("a refusal").to_string()
}

fn env_refused(name: &str, value: &str) -> String {
    refused(resolve(None, &[(name, value)], &[]))
}

fn flag_refused(flag: &str, value: &str) -> String {
    refused(resolve(None, &[], &[flag, value]))
}

fn defaults() -> Config {
    resolve(None, &[], &[]).expect("defaults")
}

fn tcp(text: &str) -> Listen {
    Listen::Tcp(text.parse().expect("address"))
}

#[test]
fn defaults_are_those_of_the_contract() {
    let seconds = Duration::from_secs;
    let config = defaults();
    assert!((1..=256).contains(&config.shards));
    let expected = Config {
        dev: false,
        listen: vec![tcp("127.0.0.1:3000")],
        data_dir: "./data".into(),
        max_connections: 1000,
        max_connections_per_user: 5,
        heartbeat: seconds(30),
        heartbeat_mode: HeartbeatMode::Event,
        idle_timeout: seconds(300),
        max_lag: seconds(60),
        status_interval: seconds(10),
        drain_timeout: seconds(30),
        refuse_streams: RefuseStreams::Status,
        shards: config.shards,
        log: LogConfig {
            store: Store::Embedded,
            durability: Durability::Fsync,
            retention_age: seconds(86_400),
            retention_count: 1_000_000,
            retention_bytes: 1 << 30,
            replay_limit: 10_000,
        },
        http: HttpConfig {
            body_limit: 256 << 10,
            head_timeout: seconds(10),
            body_timeout: seconds(15),
            keep_alive: seconds(75),
            allowed_hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            client_address: ClientAddress::XForwardedFor,
        },
        cors: CorsConfig { origins: Origins::Any, credentials: false },
        auth: AuthConfig {
            secret: None,
            secret_file: Some(KEY.1.into()),
            algorithm: Algorithm::Hs256,
            keys: Vec::new(),
            jwks_file: None,
            jwks_url: None,
            jwks_refresh: seconds(3600),
            issuer: None,
            audience: Vec::new(),
            leeway: Duration::ZERO,
            cookie: "rill_session".into(),
            errors: AuthErrors::Status,
            query_tokens: true,
            trust_user_id: false,
            ticket_ttl: seconds(60),
            expiry_notice: seconds(30),
        },
        rates: RatesConfig {
            connects: None,
            failed_credentials: None,
            publishes: None,
            bytes: None,
        },
        webhooks: WebhooksConfig {
            url: None,
            secret: None,
            secret_file: None,
            batch: 100,
            batch_delay: Duration::from_millis(100),
            timeout: seconds(10),
            retry_for: seconds(86_400),
        },
        log_format: LogFormat::Text,
        log_level: "info".into(),
    };
    assert_eq!(config, expected);
}

#[test]
fn flags_go_before_variables_before_the_file() {
    let file = Some("heartbeat = '1s'\nshards = 2\nmax_lag = '7s'");
    let pairs = [("RILL_HEARTBEAT", "2s"), ("RILL_SHARDS", "3")];
    let config = resolve(file, &pairs, &["--heartbeat", "3s"]).expect("config");
    assert_eq!(config.heartbeat, Duration::from_secs(3));
    assert_eq!(config.shards, 3);
    assert_eq!(config.max_lag, Duration::from_secs(7));
    assert_eq!(config.idle_timeout, defaults().idle_timeout);
}

#[test]
fn lists_replace_each_other_whole() {
    let file = Some("listen = ['127.0.0.1:1', 'unix:/run/rill.sock']");
    let from_file = resolve(file, &[], &[]).expect("config").listen;
    assert_eq!(from_file, [tcp("127.0.0.1:1"), Listen::Unix("/run/rill.sock".into())]);

    let pairs = [("RILL_LISTEN", "localhost:2, [::1]:3")];
    let from_env = resolve(file, &pairs, &[]).expect("config").listen;
    assert_eq!(from_env, [tcp("127.0.0.1:2"), tcp("[::1]:3")]);

    let args = ["--listen", "0.0.0.0:4", "--listen", "unix:a,b"];
    let from_flags = resolve(file, &pairs, &args).expect("config").listen;
    assert_eq!(from_flags, [tcp("0.0.0.0:4"), Listen::Unix("a,b".into())]);
}

#[test]
fn inherited_sockets_take_the_place_of_the_default_address_alone() {
    let listen = |pairs: &[(&str, &str)], args: &[&str]| {
        let pairs = [&[KEY], pairs].concat();
        Config::resolve_activated(&flags(args), env(&pairs)).expect("config").listen
    };
    assert_eq!(listen(&[], &[]), []);
    assert_eq!(listen(&[], &["--listen", "127.0.0.1:3000"]), [tcp("127.0.0.1:3000")]);
    assert_eq!(listen(&[("RILL_LISTEN", "127.0.0.1:3000")], &[]), [tcp("127.0.0.1:3000")]);
    let config = Config::resolve_activated(&flags(&[]), env(&[KEY])).expect("config");
    assert_eq!(Config { listen: defaults().listen, ..config }, defaults());
}

#[test]
fn the_log_has_a_short_name_everywhere() {
    let memory = |result: Result<Config, ConfigError>| {
        let log = result.expect("config").log;
        // The store in memory implies the durability, whatever else says.
        (log.store, log.durability) == (Store::Memory, Durability::Memory)
    };
    assert!(memory(resolve(Some("log = 'memory'"), &[], &[])));
    assert!(memory(resolve(Some("[log]\nstore = 'memory'"), &[], &[])));
    assert!(memory(resolve(Some("log.store = 'memory'\nlog.durability = 'interval'"), &[], &[])));
    assert!(memory(resolve(None, &[("RILL_LOG", "memory")], &[])));
    assert!(memory(resolve(None, &[("RILL_LOG_STORE", "memory")], &[])));
    let both = [("RILL_LOG", "memory"), ("RILL_LOG_STORE", "memory")];
    assert!(memory(resolve(None, &both, &[])));
    assert!(memory(resolve(None, &[], &["--log", "memory"])));
    assert!(memory(Config::of([("dev", "true"), ("log", "memory")])));
}

#[test]
fn sizes_take_both_kinds_of_units() {
    for (text, bytes) in [
        ("65536", 65_536),
        ("65536B", 65_536),
        ("256 KiB", 262_144),
        ("256kb", 256_000),
        ("10MB", 10_000_000),
        ("1GiB", 1 << 30),
    ] {
        let config = resolve(None, &[("RILL_LOG_RETENTION_BYTES", text)], &[]);
        assert_eq!(config.expect(text).log.retention_bytes, bytes);
    }
    for wrong in ["", "KiB", "1.5GiB", "+1024", "1 2", "1G", "1GiBs"] {
        let said = env_refused("RILL_LOG_RETENTION_BYTES", wrong);
        assert!(said.contains(" is not a size; "), "{said}");
    }
}

#[test]
fn log_levels_are_filters_that_parse() {
    for right in ["off", "INFO", "warn,rill=debug", "rill::hub[stream{user}]=trace"] {
        resolve(None, &[], &["--log-level", right]).expect(right);
    }
    for wrong in ["", "info,", "info,rill", "rill=loud", " \u{b05}["] {
        let said = flag_refused("--log-level", wrong);
        assert!(said.contains(" is not a log level; "), "{said}");
    }
}

/// Every key, on its own, with its default as one would write it there.
#[test]
fn every_key_is_taken_from_the_file_and_from_the_environment() {
    let defaults = resolve_alone(None, &[], &["--dev"]).expect("defaults");
    for setting in SETTINGS {
        let text = match setting.default {
            bare if bare.parse::<u64>().is_ok() || bare.parse::<bool>().is_ok() => bare.to_owned(),
            _ if setting.key == "auth.keys" => "[]".to_owned(),
            text => format!("'{text}'"),
        };
        let file = format!("{} = {text}", setting.key);
        let config = resolve_alone(Some(&file), &[], &["--dev"]);
        assert_eq!(config.expect(setting.key), defaults);
        let variable = setting.variable();
        let config = resolve_alone(None, &[(&variable, setting.default)], &["--dev"]);
        assert_eq!(config.expect(setting.key), defaults);
    }
}

#[test]
fn no_two_keys_share_a_variable_or_a_place_in_the_file() {
    let mut variables: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    variables.push("RILL_LOG".to_owned());
    variables.sort();
    let all = variables.len();
    variables.dedup();
    assert_eq!(variables.len(), all);

    let mut tables: Vec<_> = SETTINGS
        .iter()
        .map(|setting| setting.key.split_once('.').map_or("", |(table, _)| table))
        .collect();
    tables.dedup();
    assert_eq!(tables[0], "", "keys without a table come first");
    let runs = tables.len();
    tables.sort_unstable();
    tables.dedup();
    assert_eq!(tables.len(), runs, "each table in one piece");
}

#[test]
fn every_flag_reaches_its_setting_and_tells_its_default() {
    let mut cli = Cli::command();
    cli.build();
    let serve = cli.find_subcommand("serve").expect("serve");
    let own = |name: &str| ["config", "help", "version"].contains(&name);
    for arg in serve.get_arguments().filter(|arg| !own(arg.get_id().as_str())) {
        let name = format!("--{}", arg.get_long().expect("a long flag"));
        let help = arg.get_help().expect("help").to_string();
        if name == "--dev" {
            assert!(resolve(None, &[], &["--dev"]).expect("dev").dev);
            continue;
        }
        assert_eq!(
            refused(resolve(None, &[], &[&name, "\0"])).split(':').next(),
            Some(name.as_str())
        );
        let default = help.rsplit_once("[default: ").expect("a default").1;
        resolve(None, &[], &[&name, default.trim_end_matches(']')]).expect("the default");
    }
}

#[test]
fn a_program_needs_no_file_and_no_environment() {
    let config = |settings: &[(&'static str, &'static str)]| Config::of(settings.iter().copied());
    let dev = config(&[("dev", "true"), ("listen", "127.0.0.1:0,unix:/a"), ("heartbeat", "1s")]);
    let dev = dev.expect("a configuration");
    let tcp = Listen::Tcp(([127, 0, 0, 1], 0).into());
    assert_eq!(dev.listen, [tcp, Listen::Unix("/a".into())]);
    let others = resolve_alone(None, &[], &["--dev"]).expect("a configuration");
    let heartbeat = Duration::from_secs(1);
    assert_eq!(Config { listen: others.listen.clone(), ..dev }, Config { heartbeat, ..others });
    for (settings, refusal) in [
        (&[("hartbeat", "1s")][..], "unknown key `hartbeat`, did you mean `heartbeat`?"),
        (&[("heartbeat", "0s")], "heartbeat: \"0s\" is out of range, allowed is"),
        (&[("dev", "true"), ("listen", "0.0.0.0:1")], "--dev listens on loopback alone, and"),
        (&[], "nobody could publish"),
    ] {
        let refused = refused(config(settings));
        assert!(refused.starts_with(refusal), "{refused}");
    }
}
