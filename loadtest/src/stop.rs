//! When to end early: an interrupt by the user, or the time limit of the whole run.
//!
//! Nothing is torn down from the signal handler. What measures looks at [`Stop::over`] and ends with
//! what it has, so that there is a summary; what only prepares asks [`Stop::check`] and fails. The
//! destructors on the way out kill the servers that were started. Who does not want to wait for that
//! sends a second signal: a thread that waits for it kills them, and the program ends at once.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::descendants::descendants;
use crate::failure::Failure;

/// The longest time that a wait may go without looking at the flag.
const GLANCE: Duration = Duration::from_millis(50);

/// How the program ends when it is interrupted.
const INTERRUPTED: i32 = 130;

/// What ended a run before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Early {
    /// Ctrl-C, SIGTERM, or the terminal's end.
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
    /// Takes over SIGINT, SIGTERM and SIGHUP; a second one ends everything at once.
    pub(crate) fn install(limit: Duration) -> std::io::Result<Stop> {
        let signalled = Arc::new(AtomicBool::new(false));
        let (mut signals, tell) = UnixStream::pair()?;
        let hangup = (!outlives_the_terminal()).then_some(SIGHUP);
        for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
            flag::register(signal, signalled.clone())?;
            low_level::pipe::register(signal, tell.try_clone()?)?;
        }
        std::thread::spawn(move || {
            // A byte for each signal.
            if signals.read_exact(&mut [0; 2]).is_ok() {
                abandon();
            }
        });
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

/// Under `nohup` SIGHUP is ignored from the start, and stays so.
fn outlives_the_terminal() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}

/// Ends the program without its destructors, but leaves no server behind.
fn abandon() -> ! {
    for pid in descendants(std::process::id() as i32) {
        // Fails only when it is gone already. Parents come first, so that none replaces a child.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    low_level::exit(INTERRUPTED)
}
