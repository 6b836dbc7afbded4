//! The process, told in order: settings, log lines, limits, log, hub, listeners, and the end.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use governor::clock::DefaultClock;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rill::config::{
    self, AuthErrors, Cli, Command, Config, Durability, Flags, HeartbeatMode, LogFormat,
    RefuseStreams, TokenFlags,
};
use rill::event::Name;
use rill::http::auth::keys::Keys;
use rill::http::auth::{self, Authority, jwks, mint};
use rill::http::cors::Cors;
use rill::http::hosts::Hosts;
use rill::http::listen::{Address, Listener};
use rill::http::proxies::Proxies;
use rill::http::rates::{self, Rates};
use rill::http::{self, Doors, Server, body};
use rill::hub::admission::Limits;
use rill::hub::{self, Hub};
use rill::log::{self, EventLog};
use rill::reactor::{self, ticks};
use rill::service_manager;
use rill::topic::Topics;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The user of the token that `--dev` prints: the one of the reference documents.
const DEMO_TOKEN: &str = "dGVzdDEyMzp0ZXN0dXNlcjp0ZXN0QGV4YW1wbGUuY29tOnVzZXIsYWRtaW4=";
/// Whatever keeps the server from starting; its text is for the operator.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(flags) => serve(&flags),
        Command::Token(flags) => token(&flags),
        Command::CheckConfig(flags) => Config::resolve(&flags, std::env::vars_os())
            .map(|config| print!("{}", config.to_toml()))
            .map_err(Failure::from),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rill: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(flags: &Flags) -> Result<(), Failure> {
    // First of all, while there is one thread.
    let inherited = service_manager::sockets()?;
    let config = &settings(flags, &inherited)?;
    start_logging(config)?;
    let (_, hard_limit) = getrlimit(Resource::RLIMIT_NOFILE)?;
    config::check_descriptors(config.max_connections, hard_limit)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard_limit, hard_limit)?;
    let (keys, keeper) = keys(config)?;
    let topics = Arc::new(Topics::with_room_for(config.max_connections));
    let log = EventLog::open(&log_settings(config), &topics)?;
    let streams = stream_settings(config);
    let hub = Hub::start(hub_settings(config), streams, config.shards, log, topics)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(run(config, keys, &hub, inherited));
    drop(keeper);
    // No handler is left that could still publish when the log closes.
    drop(runtime);
    hub.stop();
    tracing::info!("ended");
    served
}

async fn run(
    config: &Config,
    keys: Keys,
    hub: &Arc<Hub>,
    inherited: Vec<Listener>,
) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let server = Server::new(http_settings(config), doors(config, keys), Arc::clone(hub));
    let opened = config.listen.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
    inherited.iter().chain(&opened).for_each(|listener| announce(config, listener.address()));
    let status = listening(inherited.iter().chain(&opened));
    let (mut inherited, mut own) = (server.listen(inherited)?, server.listen(opened)?);
    let tending = Arc::clone(hub);
    tokio::spawn(async move { tending.tend().await });
    let tending = Arc::clone(&server);
    tokio::spawn(async move { tending.tend().await });
    service_manager::ready(&status);
    let signal = tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    };
    tracing::info!("{signal}: draining");
    // Nobody takes these over, so what is new there is refused at once.
    own.refuse();
    let until = Instant::now() + config.drain_timeout;
    service_manager::stopping(&format!("{signal}: draining"), config.drain_timeout);
    inherited.hand_over(until).await;
    hub.drain(until).await;
    own.close(until).await;
    inherited.close(until).await;
    Ok(())
}

/// What is inherited stands in place of the default addresses, and is held to the same rules.
fn settings(flags: &Flags, inherited: &[Listener]) -> Result<Config, Failure> {
    if inherited.is_empty() {
        return Ok(Config::resolve(flags, std::env::vars_os())?);
    }
    let config = Config::resolve_activated(flags, std::env::vars_os())?;
    for listener in inherited {
        if let Address::Tcp(address) = listener.address() {
            config.check_address(*address)?;
        }
    }
    Ok(config)
}

fn bind(address: &config::Listen) -> Result<Listener, Failure> {
    let address = match address {
        config::Listen::Tcp(address) => Address::Tcp(*address),
        config::Listen::Unix(path) => Address::Unix(path.clone()),
    };
    Listener::bind(&address).map_err(|error| format!("cannot listen on {address}: {error}").into())
}

/// Log lines go to standard error, so that what `--dev` prints can be piped.
fn start_logging(config: &Config) -> Result<(), Failure> {
    // It would write the address of a key set whole, with a query that may hold an API key.
    let filter = EnvFilter::try_new(&config.log_level)?.add_directive("ureq=off".parse()?);
    let filter = filter.add_directive("ureq_proto=off".parse()?);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // It would be told where it cannot be, and end the process.
        .log_internal_errors(false);
    match config.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

/// Where the server is, in a line.
fn listening<'a>(listeners: impl Iterator<Item = &'a Listener>) -> String {
    let addresses: Vec<String> = listeners.map(|one| one.address().to_string()).collect();
    format!("listening on {}", addresses.join(", "))
}

/// Says on standard output where the server is, and under `--dev` what to do with it.
fn announce(config: &Config, address: &Address) {
    say(format_args!("listening on {address}"));
    tracing::info!("listening on {address}");
    let (true, Address::Tcp(_)) = (config.dev, address) else { return };
    say(format_args!(
        r#"
Demo token (user test123, roles user and admin):
  {DEMO_TOKEN}
Listen, publish, look:
  curl -N '{address}/notifications/stream?token={DEMO_TOKEN}'
  curl -X POST {address}/notifications/send -H 'Authorization: Bearer {DEMO_TOKEN}' -H 'Content-Type: application/json' -d '{{"title":"Hello","message":"Hello World!","broadcast":true}}'
  curl {address}/system/status
"#
    ));
}

/// Whoever read it may be gone, which is no reason to end.
fn say(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The keys that credentials are checked with, and what keeps those fresh that others publish.
fn keys(config: &Config) -> Result<(Keys, Option<jwks::Keeper>), Failure> {
    let fixed = config.auth.read_keys()?;
    let sources = config.auth.published_keys();
    if sources.is_empty() {
        return Ok((Keys::new(fixed, Vec::new()), None));
    }
    let (published, keeper) = jwks::keep(sources, config.auth.jwks_refresh)?;
    Ok((Keys::new(fixed, published), Some(keeper)))
}

/// Mints a token and prints it, and nothing else, so that it can stand in another command.
fn token(flags: &TokenFlags) -> Result<(), Failure> {
    let config = Config::resolve(&flags.sources(), std::env::vars_os())?;
    let signer = config.auth.signer(flags.kid.as_deref())?;
    let only = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
    let wanted = mint::Wanted {
        user: Name::new(&flags.user).map_err(|error| format!("USER {error}"))?,
        name: flags.name.clone(),
        roles: flags.roles.clone(),
        channels: only(&flags.channels),
        rooms: only(&flags.rooms),
        conversations: only(&flags.conversations),
        lifetime: flags.expires,
        issuer: signer.issuer,
        audience: config.auth.audience.first().cloned(),
        key_id: flags.kid.clone(),
        // So that it can be revoked alone.
        id: Some(format!("{:016x}", rand::random::<u64>())),
    };
    // In whole seconds, as everyone writes times in tokens.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now = UNIX_EPOCH + Duration::from_secs(now.as_secs());
    let token = mint::mint(&wanted, &signer.secret, signer.algorithm, now)?;
    say(format_args!("{token}"));
    Ok(())
}

fn log_settings(config: &Config) -> log::Settings {
    let config::LogConfig { retention_age, retention_count, retention_bytes, .. } = config.log;
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

fn stream_settings(config: &Config) -> reactor::Settings {
    let limits = reactor::Limits {
        heartbeat: ticks(config.heartbeat),
        idle: ticks(config.idle_timeout),
        max_lag: ticks(config.max_lag),
        expiry_notice: ticks(config.auth.expiry_notice),
    };
    let heartbeat_carries_id = config.heartbeat_mode == HeartbeatMode::Event;
    reactor::Settings { limits, heartbeat_carries_id }
}

fn hub_settings(config: &Config) -> hub::Settings {
    let limits =
        Limits { per_holder: config.max_connections_per_user, total: config.max_connections };
    hub::Settings {
        limits,
        replay_limit: config.log.replay_limit,
        status_interval: config.status_interval,
        ticket_ttl: config.auth.ticket_ttl,
    }
}

fn http_settings(config: &Config) -> http::Settings {
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

fn doors(config: &Config, keys: Keys) -> Doors {
    let config::HttpConfig { allowed_hosts, trusted_proxies, client_address, .. } = &config.http;
    let config::RatesConfig { connects, failed_credentials, publishes, bytes } = config.rates;
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
