//! What an operator writes, and what comes of it, to the letter.

mod refusals;

use std::io::Write;
use std::path::Path;

use clap::{CommandFactory, Parser};
use proptest::prelude::*;

use super::settings::Setting;
use super::*;

/// Flags as they follow `rill serve`.
fn flags(args: &[&str]) -> Flags {
    let line = ["rill", "serve"].iter().chain(args);
    match Cli::try_parse_from(line).expect("flags").command {
        Command::Serve(flags) | Command::CheckConfig(flags) => flags,
    }
}

fn env(pairs: &[(&str, &str)]) -> impl Iterator<Item = (OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into()))
}

fn resolve(
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
        },
        auth: AuthConfig { trust_user_id: false },
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
        Config::resolve_activated(&flags(args), env(pairs)).expect("config").listen
    };
    assert_eq!(listen(&[], &[]), []);
    assert_eq!(listen(&[], &["--listen", "127.0.0.1:3000"]), [tcp("127.0.0.1:3000")]);
    assert_eq!(listen(&[("RILL_LISTEN", "127.0.0.1:3000")], &[]), [tcp("127.0.0.1:3000")]);
    let config = Config::resolve_activated(&flags(&[]), env(&[])).expect("config");
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

#[test]
fn the_settings_as_toml() {
    let mut config = defaults();
    config.shards = 8;
    config.listen.push(Listen::Unix("/run/a \"b\".sock".into()));
    assert_eq!(
        config.to_toml(),
        r#"dev = false
listen = ["127.0.0.1:3000", "unix:/run/a \"b\".sock"]
data_dir = "./data"
max_connections = 1000
max_connections_per_user = 5
heartbeat = "30s"
heartbeat_mode = "event"
idle_timeout = "5m"
max_lag = "1m"
status_interval = "10s"
drain_timeout = "30s"
refuse_streams = "status"
shards = 8
log_format = "text"
log_level = "info"

[log]
store = "embedded"
durability = "fsync"
retention_age = "24h"
retention_count = 1000000
retention_bytes = "1GiB"
replay_limit = 10000

[http]
body_limit = "256KiB"
head_timeout = "10s"
body_timeout = "15s"
keep_alive = "75s"

[auth]
trust_user_id = false
"#
    );
}

/// Every key, on its own, with its default as one would write it there.
#[test]
fn every_key_is_taken_from_the_file_and_from_the_environment() {
    for setting in SETTINGS {
        let text = match setting.default {
            bare if bare.parse::<u64>().is_ok() || bare == "false" => bare.to_owned(),
            text => format!("'{text}'"),
        };
        let file = format!("{} = {text}", setting.key);
        assert_eq!(resolve(Some(&file), &[], &[]).expect(setting.key), defaults());
        let pairs = [(setting.variable(), setting.default)];
        let pairs = pairs.each_ref().map(|(name, value)| (name.as_str(), *value));
        assert_eq!(resolve(None, &pairs, &[]).expect(setting.key), defaults());
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

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (100u64..=86_400_000).prop_map(Duration::from_millis),
        (1u64..=86_400).prop_map(Duration::from_secs),
        (100_000_000u64..=86_400_000_000_000).prop_map(Duration::from_nanos),
    ]
}

proptest! {
    /// What `check-config` prints is a file that means the same.
    #[test]
    fn toml_resolves_to_what_it_was_made_from(
        heartbeat in durations(),
        retention_age in durations(),
        retention_bytes in (64u64 << 10)..=(64 << 40),
        megabytes in 1u64..1_000_000,
        shards in 1usize..=256,
        data_dir in "[^\0]+",
        socket in "[^\0]{1,26}",
        dev: bool,
    ) {
        let mut config = defaults();
        config.dev = dev;
        config.heartbeat = heartbeat;
        config.log.retention_age = retention_age;
        config.log.retention_bytes = retention_bytes;
        config.log.durability = Durability::Interval;
        config.shards = shards;
        config.data_dir = data_dir.into();
        config.listen.push(Listen::Unix(socket.into()));
        prop_assert_eq!(&resolve(Some(&config.to_toml()), &[], &[]).expect("TOML"), &config);
        config.log.retention_bytes = megabytes * 1_000_000;
        prop_assert_eq!(&resolve(Some(&config.to_toml()), &[], &[]).expect("TOML"), &config);
    }

    /// Whatever an operator writes, he gets an answer.
    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,40}|[a-z0-9,=\\[\\]{}/.\" ]{0,20}", name in "[A-Z_]{0,12}") {
        for setting in SETTINGS {
            let _ = resolve(None, &[(&setting.variable(), &text)], &[]);
        }
        let _ = file::parse(Path::new("rill.toml"), &text);
        let _ = resolve(None, &[(&format!("RILL_{name}"), &text)], &[]);
    }
}
