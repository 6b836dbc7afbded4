//! The process, told in order: settings, log lines, limits, the node, its listeners, and the end.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rill::config::{self, Cli, Command, Config, Flags, LogFormat, TokenFlags};
use rill::event::Name;
use rill::http::auth::mint;
use rill::http::listen::{Address, Listener};
use rill::node::Node;
use rill::service_manager;
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let node = runtime.block_on(async { Node::start(config) })?;
    let served = runtime.block_on(run(config, &node, inherited));
    // No handler is left that could still publish when the log closes.
    drop(runtime);
    node.stop();
    tracing::info!("ended");
    served
}

async fn run(config: &Config, node: &Node, inherited: Vec<Listener>) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let opened = node.listeners()?;
    inherited.iter().chain(&opened).for_each(|listener| announce(config, listener.address()));
    let status = listening(inherited.iter().chain(&opened));
    let (mut inherited, own) = (node.server().listen(inherited)?, node.server().listen(opened)?);
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
    node.drain(&mut [own, inherited], until).await;
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
