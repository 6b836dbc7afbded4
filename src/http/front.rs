//! Listeners and the connections that came through them, up to their common end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout_at};

use super::listen::{Acceptor, Listener, Newcomer};

/// For the request of a connection that was taken a moment ago.
const ON_ITS_WAY: Duration = Duration::from_millis(100);
/// For the answers to what was asked until then. What takes longer meets the drain: it is time to
/// tell the streams.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A set of listeners and their connections, streams not included. The default has no listeners, for
/// connections that a program accepts itself. Dropped, it closes without waiting.
#[derive(Default)]
#[must_use = "dropped, it takes no more connections"]
pub struct Front {
    /// `None` when there are no listeners, or no more.
    acceptor: Option<Acceptor>,
    /// Every connection holds a receiver until its last answer is out.
    end: watch::Sender<bool>,
    /// Every connection looks at it before it takes something new.
    refusing: Arc<AtomicBool>,
}

/// What a connection hears from its front.
#[derive(Clone)]
pub(super) struct Orders {
    /// Turns true when it shall end with its current answer.
    pub(super) end: watch::Receiver<bool>,
    /// Whether new streams and events are refused.
    pub(super) refusing: Arc<AtomicBool>,
}

impl Front {
    /// Gives each connection to `greet`.
    pub(super) fn open(
        listeners: Vec<Listener>,
        greet: impl Fn(Newcomer, Orders) + Send + 'static,
    ) -> io::Result<Front> {
        let mut front = Front::default();
        if !listeners.is_empty() {
            let orders = front.orders();
            let greet = move |newcomer| greet(newcomer, orders.clone());
            front.acceptor = Some(Acceptor::start(listeners, greet)?);
        }
        Ok(front)
    }

    /// What one more connection hears.
    pub(super) fn orders(&self) -> Orders {
        Orders { end: self.end.subscribe(), refusing: Arc::clone(&self.refusing) }
    }

    /// Refuses new streams and events, as the drain does, while another front is handed over. What
    /// was asked before is carried out.
    pub fn refuse(&self) {
        self.refusing.store(true, Ordering::Relaxed);
    }

    /// Leaves the listeners to the next process, before this one drains. Nobody is refused: whoever
    /// comes from now on waits in the kernel's queue, and whoever has asked is answered as ever.
    pub async fn hand_over(&mut self, until: Instant) {
        if self.acceptor.is_some() {
            self.stop();
            sleep(ON_ITS_WAY).await;
            self.end(until.min(Instant::now() + LAST_ANSWERS)).await;
        }
    }

    /// Takes no more connections, and ends each with its current answer. Returns when all have
    /// ended, or at `until`.
    pub async fn close(&mut self, until: Instant) {
        self.stop();
        self.end(until).await;
    }

    fn stop(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.stop();
        }
    }

    async fn end(&self, until: Instant) {
        // Also for one that a program still brings.
        self.end.send_replace(true);
        let _ = timeout_at(until.into(), self.end.closed()).await;
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop();
        self.end.send_replace(true);
    }
}
