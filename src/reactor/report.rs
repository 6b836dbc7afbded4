//! How a connection is doing, as its shard sees it.

use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use super::connection::Phase;
use super::shard::Shard;
use super::socket::Socket;
use super::thread::Command;
use super::{Guard, Key, Moment, Reactor, ShardNumber, expiry, span};
use crate::cursor::Cursor;

/// What a shard tells of one of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Up to where it has everything that concerns it. What the kernel or the rest of a frame still
    /// holds back counts as had.
    pub cursor: Cursor,
    /// How it reads.
    pub progress: Progress,
    /// Since it came.
    pub age: Duration,
    /// Since it was last level with the log; nothing when it is.
    pub lag: Duration,
    /// When its credential ends, if it does.
    pub expires: Option<SystemTime>,
}

/// How a connection reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// What it missed before it came.
    Replaying,
    /// What comes.
    Live,
    /// What it did not take when it came.
    CatchingUp,
}

impl Progress {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Progress::Replaying => "replaying",
            Progress::Live => "live",
            Progress::CatchingUp => "catching_up",
        }
    }
}

impl<G: Guard> Reactor<G> {
    /// How streams are doing, in the order asked for; nothing of those that have ended. Each shard is
    /// asked once.
    pub async fn report(&self, seats: &[(ShardNumber, Key)]) -> Vec<Option<Report>> {
        let mut asked = Vec::new();
        for (number, inbox) in self.inboxes.iter().enumerate() {
            let here = seats.iter().enumerate().filter(|(_, (shard, _))| *shard == number);
            let (asked_for, keys): (Vec<_>, Vec<_>) = here.map(|(at, (_, key))| (at, *key)).unzip();
            if !keys.is_empty() {
                let (answer, answered) = oneshot::channel();
                inbox.send(Command::Report { keys, answer });
                asked.push((asked_for, answered));
            }
        }
        let mut reports = vec![None; seats.len()];
        for (asked_for, answered) in asked {
            for (at, report) in asked_for.into_iter().zip(answered.await.unwrap_or_default()) {
                reports[at] = report;
            }
        }
        reports
    }
}

impl<S: Socket, G: Guard> Shard<S, G> {
    /// How a connection is doing; nothing of one that closes.
    pub fn report(&self, key: Key, now: Moment) -> Option<Report> {
        let connection = &self.connections[self.find(key)? as usize];
        let since = |tick| span(now.tick.saturating_sub(tick));
        let age = since(connection.seated);
        let (progress, position, lag) = match connection.phase {
            Phase::Live => (Progress::Live, self.level, Duration::ZERO),
            Phase::Replaying => (Progress::Replaying, connection.position, age),
            Phase::CatchingUp { since: level } => {
                (Progress::CatchingUp, connection.position, since(level))
            }
            Phase::Closing { .. } => return None,
        };
        let cursor = Cursor { position, epoch: self.epoch };
        let expires = expiry::time_of(connection.expires, now);
        Some(Report { cursor, progress, age, lag, expires })
    }
}
