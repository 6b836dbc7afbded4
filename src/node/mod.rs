//! A whole Rill: log, hub and server as a [`Config`] has them, started and ended together.
//!
//! ```text
//!  start ──▶ listeners, fronts ──▶ drain: streams are told, answers finished ──▶ stop: log closed
//! ```
//! `rill serve` is one of these with signals around it; a program that embeds Rill has one as well.

mod settings;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use thiserror::Error;
use tokio::runtime::{Handle, TryCurrentError};
use tokio::task::AbortHandle;

use crate::config::{Config, ConfigError, Listen, MaterialError};
use crate::http::auth::jwks::{self, Keeper};
use crate::http::auth::keys::Keys;
use crate::http::listen::{Address, Listener};
use crate::http::{Front, Server};
use crate::hub::Hub;
use crate::log::{EventLog, OpenError};
use crate::topic::Topics;
use crate::webhooks;

/// A running hub and what answers for it. Dropped, it stops, without a word to the streams.
pub struct Node {
    hub: Arc<Hub>,
    server: Arc<Server>,
    listen: Vec<Listen>,
    /// What forgets and tells in the background; it would never end.
    tending: [AbortHandle; 2],
    /// Tells a backend who comes and goes.
    courier: Option<webhooks::Keeper>,
    /// Keeps those keys fresh that others publish.
    _keeper: Option<Keeper>,
}

/// Why nothing starts.
#[derive(Debug, Error)]
pub enum StartError {
    /// The settings do not go together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no runtime to run on.
    #[error(transparent)]
    Runtime(#[from] TryCurrentError),
    /// A key is not there, or is none.
    #[error(transparent)]
    Key(#[from] MaterialError),
    /// A set of keys is not there.
    #[error(transparent)]
    KeySet(#[from] jwks::StartError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The system gives no threads for streams.
    #[error("cannot start the threads that write to streams: {0}")]
    Threads(io::Error),
    /// The system gives no thread for webhooks.
    #[error("cannot start the thread that posts webhooks: {0}")]
    Webhooks(io::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Which one.
        address: Address,
        /// What the system said.
        reason: io::Error,
    },
}

impl Node {
    /// Opens the log and starts the threads of streams. Nothing is listened on yet.
    ///
    /// To be called on a tokio runtime with time and network. It waits for the disk. The process
    /// must be allowed a descriptor for each stream (`RLIMIT_NOFILE`); a panic in a thread of Rill's
    /// own ends it.
    ///
    /// # Errors
    /// The first thing that is wrong; nothing is running then.
    pub fn start(config: &Config) -> Result<Node, StartError> {
        let config = config.clone().settled()?;
        let runtime = Handle::try_current()?;
        let (keys, keeper) = keys(&config)?;
        let webhooks = config.webhooks.read()?;
        let topics = Arc::new(Topics::with_room_for(config.max_connections));
        let log = EventLog::open(&settings::log(&config), &topics)?;
        let (of_hub, of_streams) = (settings::hub(&config), settings::streams(&config));
        let hub = Hub::start(of_hub, of_streams, config.shards, log, topics);
        let hub = hub.map_err(StartError::Threads)?;
        let courier = webhooks.map(|webhooks| webhooks::start(webhooks, &hub)).transpose();
        let courier = courier.map_err(|error| {
            hub.stop();
            StartError::Webhooks(error)
        })?;
        let doors = settings::doors(&config, keys);
        let server = Server::new(settings::http(&config), doors, Arc::clone(&hub));
        let (tended, served) = (Arc::clone(&hub), Arc::clone(&server));
        let tending = [
            runtime.spawn(async move { tended.tend().await }).abort_handle(),
            runtime.spawn(async move { served.tend().await }).abort_handle(),
        ];
        let listen = config.listen;
        Ok(Node { hub, server, listen, tending, courier, _keeper: keeper })
    }

    /// Events and streams: what a program publishes with.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// What takes connections.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Begins to listen where the settings say. Connections wait until a front takes them.
    ///
    /// # Errors
    /// The first address that cannot be listened on.
    pub fn listeners(&self) -> Result<Vec<Listener>, StartError> {
        self.listen.iter().map(bind).collect()
    }

    /// Takes no more streams and events, tells every stream that the server ends, and ends each
    /// connection with its current answer. Returns when all are gone, or at `until`.
    pub async fn drain(&self, fronts: &mut [Front], until: Instant) {
        fronts.iter().for_each(Front::refuse);
        self.hub.drain(until).await;
        for front in fronts {
            front.close(until).await;
        }
    }

    /// Ends the threads, and closes the log with everything that it had accepted. It waits for the
    /// disk. What is published later is refused.
    pub fn stop(self) {}
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tending.iter().for_each(AbortHandle::abort);
        drop(self.courier.take());
        self.hub.stop();
    }
}

/// The keys that credentials are checked with, and what keeps those fresh that others publish.
fn keys(config: &Config) -> Result<(Keys, Option<Keeper>), StartError> {
    let fixed = config.auth.read_keys()?;
    let sources = config.auth.published_keys();
    if sources.is_empty() {
        return Ok((Keys::new(fixed, Vec::new()), None));
    }
    let (published, keeper) = jwks::keep(sources, config.auth.jwks_refresh)?;
    Ok((Keys::new(fixed, published), Some(keeper)))
}

fn bind(listen: &Listen) -> Result<Listener, StartError> {
    let address = match listen {
        Listen::Tcp(address) => Address::Tcp(*address),
        Listen::Unix(path) => Address::Unix(path.clone()),
    };
    Listener::bind(&address).map_err(|reason| StartError::Listen { address, reason })
}
