//! When to end early: an interrupt by the user, or the time limit of the whole run.
//!
//! Nothing is torn down from the signal handler. What measures looks at [`Stop::over`] and ends with
//! what it has, so that there is a summary; what only prepares asks [`Stop::check`] and fails. The
//! destructors on the way out kill the servers that were started.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::Failure;

/// The longest time that a wait may go without looking at the flag.
const GLANCE: Duration = Duration::from_millis(50);

/// What ended a run before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Early {
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted,
    /// `--time-limit` is over.
    #[error("the time limit is over (--time-limit)")]
    TimeLimit,
}

/// Shared by all threads of a run.
#[derive(Clone)]
pub(crate) struct Stop {
    signalled: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
    deadline: Instant,
}

impl Stop {
    /// Takes over SIGINT and SIGTERM; a second one kills at once.
    pub(crate) fn install(limit: Duration) -> std::io::Result<Stop> {
        let signalled = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, signalled.clone())?;
            signal_hook::flag::register(signal, signalled.clone())?;
        }
        Ok(Stop { signalled, failed: Arc::default(), deadline: Instant::now() + limit })
    }

    /// A stop without signals, for tests.
    #[cfg(test)]
    pub(crate) fn after(limit: Duration) -> Stop {
        Stop { signalled: Arc::default(), failed: Arc::default(), deadline: Instant::now() + limit }
    }

    /// Why the run has to end now, if it has to.
    pub(crate) fn why(&self) -> Option<Early> {
        if self.signalled.load(Ordering::Relaxed) {
            Some(Early::Interrupted)
        } else {
            (Instant::now() >= self.deadline).then_some(Early::TimeLimit)
        }
    }

    /// Whether the run has to end now.
    pub(crate) fn over(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || self.why().is_some()
    }

    /// Ends the run, since a part of it has failed; that part says why.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Fails once the run has to end.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.why().map_or(Ok(()), |early| Err(Failure::Early(early)))
    }

    /// Sleeps, but not past the end of the run.
    pub(crate) fn sleep(&self, duration: Duration) {
        let until = Instant::now() + duration;
        while !self.over() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(GLANCE));
        }
    }
}
