//! The service manager: what it hands over, and what it is told.
//!
//! These are systemd's protocols `sd_listen_fds(3)` and `sd_notify(3)`, which others speak as well.
//! Started by hand, without the variables that they are announced by, nothing of it happens.

use std::os::fd::OwnedFd;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use thiserror::Error;

use crate::http::listen::{InheritError, Listener};

/// For what is left to do when every stream has ended: the log is closed, and the process ends.
const LAST_STEPS: Duration = Duration::from_secs(10);

/// A socket that cannot be listened on.
#[derive(Debug, Error)]
#[error("inherited socket {number} of {count} (LISTEN_FDS): {reason}")]
pub struct SocketError {
    number: usize,
    count: usize,
    reason: InheritError,
}

/// The sockets that were handed over, in their order.
///
/// Takes the variables that name them out of the environment, so that nothing is taken twice and no
/// child takes them for its own. To be called before there is a second thread, which might read the
/// environment at the same time.
pub fn sockets() -> Result<Vec<Listener>, SocketError> {
    let mut sockets = ListenFd::from_env();
    let count = sockets.len();
    let listener = |index| {
        let socket = take(&mut sockets, index).ok_or(InheritError::NotListening);
        let error = |reason| SocketError { number: index + 1, count, reason };
        socket.and_then(Listener::inherit).map_err(error)
    };
    (0..count).map(listener).collect()
}

/// The socket at this place, if it is one of a kind that can be listened on.
fn take(sockets: &mut ListenFd, index: usize) -> Option<OwnedFd> {
    match sockets.take_tcp_listener(index) {
        Ok(tcp) => tcp.map(OwnedFd::from),
        Err(_) => sockets.take_unix_listener(index).ok()?.map(OwnedFd::from),
    }
}

/// Tells it that requests are answered from now on.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells it that the process ends by itself `within` this time, however short it would cut that.
pub fn stopping(status: &str, within: Duration) {
    let patience = (within + LAST_STEPS).as_micros().try_into().unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status(status),
        NotifyState::ExtendTimeoutUsec(patience),
    ]);
}

/// The streams do not depend on it.
fn tell(states: &[NotifyState<'_>]) {
    // A variable that is there and empty means nobody, as a missing one does.
    if std::env::var_os("NOTIFY_SOCKET").is_none_or(|socket| socket.is_empty()) {
        return;
    }
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told how it goes (NOTIFY_SOCKET)");
    }
}
