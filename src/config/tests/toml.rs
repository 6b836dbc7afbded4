//! What `check-config` prints.

use proptest::prelude::*;

use super::*;

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
allowed_hosts = []
trusted_proxies = []
client_address = "x-forwarded-for"

[cors]
origins = ["*"]
credentials = false

[auth]
secret = ""
secret_file = "/etc/rill/secret"
algorithm = "HS256"
keys = []
jwks_file = ""
jwks_url = ""
jwks_refresh = "1h"
issuer = ""
audience = []
leeway = "0s"
cookie = "rill_session"
errors = "status"
query_tokens = true
trust_user_id = false
ticket_ttl = "1m"
expiry_notice = "30s"

[rates]
connects = "off"
failed_credentials = "off"
publishes = "off"
bytes = "off"

[webhooks]
url = ""
secret = ""
secret_file = ""
batch = 100
batch_delay = "100ms"
timeout = "10s"
retry_for = "24h"
"#
    );
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
        prop_assert_eq!(&resolve_alone(Some(&config.to_toml()), &[], &[]).expect("TOML"), &config);
        config.log.retention_bytes = megabytes * 1_000_000;
        prop_assert_eq!(&resolve_alone(Some(&config.to_toml()), &[], &[]).expect("TOML"), &config);
    }

    /// Whatever an operator writes, he gets an answer.
    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,40}|[a-z0-9,=\\[\\]{}/.\" ]{0,20}", name in "[A-Z_]{0,12}") {
        for setting in SETTINGS {
            let _ = resolve_alone(None, &[(&setting.variable(), &text)], &["--dev"]);
        }
        let _ = file::parse(Path::new("rill.toml"), &text);
        let _ = resolve(None, &[(&format!("RILL_{name}"), &text)], &[]);
    }
}
