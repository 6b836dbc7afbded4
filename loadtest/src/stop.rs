//! When to end early: an interrupt by the user, or the time limit of the whole run.
//!
//! Nothing is torn down from the signal handler. Every wait asks [`Stop::check`] and returns its
//! failure, so that the destructors on the way out kill the servers that were started.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::Failure;

/// The longest time that a wait may go without looking at the flag.
const GLANCE: Duration = Duration::from_millis(50);

/// Shared by all threads of a run.
#[derive(Clone)]
pub(crate) struct Stop {
    signalled: Arc<AtomicBool>,
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
        Ok(Stop { signalled, deadline: Instant::now() + limit })
    }

    /// A stop without signals, for tests.
    #[cfg(test)]
    pub(crate) fn after(limit: Duration) -> Stop {
        Stop { signalled: Arc::default(), deadline: Instant::now() + limit }
    }

    /// Fails once the run has to end.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.signalled.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted);
        }
        if Instant::now() >= self.deadline {
            return Err(Failure::TimeLimit);
        }
        Ok(())
    }

    /// Sleeps, but not past the end of the run.
    pub(crate) fn sleep(&self, duration: Duration) -> Result<(), Failure> {
        let until = Instant::now() + duration;
        loop {
            self.check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(GLANCE));
        }
    }
}
