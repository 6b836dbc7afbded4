//! Webhooks: a backend is told who comes online and who goes offline.
//!
//! One courier takes what the [`hub`](crate::hub::online) announces, keeps it in the log, and posts it
//! in batches, in order, until its receiver has taken it: at least once, over a crash on either side
//! too. The form is that of <https://www.standardwebhooks.com>.

mod courier;
mod endpoint;
mod message;
mod pause;
mod signing;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::http::address::Address;
use crate::hub::Hub;
use crate::vital;

use courier::Courier;
pub use signing::{SecretError, SigningKey};

/// What an operator decides about webhooks.
pub struct Settings {
    /// Where they are posted to.
    pub url: Address,
    /// What they are signed with.
    pub key: SigningKey,
    /// The most events of a request.
    pub batch: usize,
    /// How long an event waits for others to go with it.
    pub batch_delay: Duration,
    /// For a whole request.
    pub timeout: Duration,
    /// How old an event may become before it is given up.
    pub retry_for: Duration,
}

/// Posts until it is dropped. The thread is not waited for: it may be in the middle of a request,
/// which the next process then repeats.
pub struct Keeper {
    hub: Arc<Hub>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.hub.online().close();
    }
}

/// Starts to post what a hub announces.
///
/// # Errors
/// When the system gives no thread.
pub fn start(settings: Settings, hub: &Arc<Hub>) -> io::Result<Keeper> {
    let mut courier = Courier::new(settings, Arc::clone(hub));
    // Without it nobody would be told, and what waits would grow.
    vital::spawn("rill-webhooks", move || courier.run())?;
    Ok(Keeper { hub: Arc::clone(hub) })
}
