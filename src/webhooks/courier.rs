//! The one who keeps and posts.
//!
//! ```text
//!  Idle ──something waits──▶ Gathering ──enough, or long enough──▶ Posting ─┐
//!   ▲                                                              ▲  │     │ not taken
//!   └────────────────── taken, or given up ───────────────────────────┘ └───┘
//! ```
//! A message is tried until it is taken, and nothing overtakes it: events come in their order.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Settings;
use super::endpoint::{Endpoint, PostError};
use super::message::Message;
use super::pause::pause;
use crate::hub::Hub;
use crate::hub::online::Until;
use crate::identity::Stamp;

/// How long to leave a log alone that did not take rows.
const RETRY_LOG: Duration = Duration::from_secs(1);

/// Brings announcements to the log and to the receiver.
pub struct Courier {
    hub: Arc<Hub>,
    endpoint: Endpoint,
    batch: usize,
    batch_delay: Duration,
    retry_for: Duration,
    state: State,
}

enum State {
    /// Nothing waits.
    Idle,
    /// Something waits, until then at most, for more to go with it.
    Gathering(Instant),
    /// A message has been tried so often, and is tried again then.
    Posting { message: Message, failures: u32, at: Instant },
}

impl Courier {
    /// Nothing has been done yet.
    pub fn new(settings: Settings, hub: Arc<Hub>) -> Courier {
        let Settings { url, key, batch, batch_delay, timeout, retry_for } = settings;
        let endpoint = Endpoint::new(url, key, timeout);
        Courier { hub, endpoint, batch, batch_delay, retry_for, state: State::Idle }
    }

    /// Works until the hub's announcements are closed.
    pub fn run(&mut self) {
        // Something may wait from before the start.
        let mut until = Until::Time(Instant::now());
        while self.hub.online().wait(until) {
            let kept = self.hub.keep_announcements();
            if let Err(error) = kept {
                tracing::warn!(%error, "announcements wait for the log");
            }
            let next = self.advance(Instant::now());
            let (waiting, _) = self.hub.online().waiting();
            self.hub.metrics().webhook_waiting(waiting);
            until = match kept {
                Ok(()) => Until::News(next),
                Err(_) => Until::Time(Instant::now() + RETRY_LOG),
            };
        }
    }

    /// Does what is due, and tells when there is more to do.
    fn advance(&mut self, now: Instant) -> Option<Instant> {
        let (_, ready) = self.hub.online().waiting();
        self.state = match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle if ready > 0 => State::Gathering(now + self.batch_delay),
            state => state,
        };
        if matches!(&self.state, State::Gathering(until) if *until <= now || ready >= self.batch) {
            self.state = match Message::of(&self.hub.online().oldest(self.batch)) {
                Some(message) => State::Posting { message, failures: 0, at: now },
                None => State::Idle,
            };
        }
        if matches!(&self.state, State::Posting { at, .. } if *at <= now) {
            self.post();
        }
        match &self.state {
            State::Idle => (self.hub.online().waiting().1 > 0).then_some(now),
            State::Gathering(at) | State::Posting { at, .. } => Some(*at),
        }
    }

    fn post(&mut self) {
        let State::Posting { message, failures, at } = &mut self.state else { return };
        let (metrics, events) = (self.hub.metrics(), message.events as u64);
        match self.endpoint.post(message) {
            Ok(()) => metrics.webhook_delivered(events),
            Err(error) => {
                metrics.webhook_failed();
                let age = Stamp::of(SystemTime::now()).since(Stamp(message.newest.milliseconds()));
                if age < self.retry_for {
                    *failures += 1;
                    let pause = pause(*failures, rand::random(), error.retry_after());
                    *at = Instant::now() + pause;
                    return say_not_taken(&self.endpoint, &error, pause);
                }
                tracing::error!(url = %self.endpoint, %error, events, "giving up webhook events");
                metrics.webhook_given_up(events);
            }
        }
        self.hub.online().told(message.newest);
        self.state = State::Idle;
    }
}

fn say_not_taken(endpoint: &Endpoint, error: &PostError, pause: Duration) {
    tracing::warn!(url = %endpoint, %error, ?pause, "a webhook was not taken");
}
