//! Why a run could not be brought to its end. Losses are no failure of the run: they are figures of
//! its report.

use std::io;
use std::path::PathBuf;

use crate::stop::Early;
use crate::wire::WireFault;

/// Ends a scenario; the message is for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It had to end before there was anything to tell.
    #[error("{0}, before anything was measured")]
    Early(Early),
    /// A socket, file or process call of our own failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The server's program is not there.
    #[error("there is no server at {} (build it, or name one with --server, or attach with --url)", .0.display())]
    NoServer(PathBuf),
    /// A program of Debian's, or a module of it, is not there.
    #[error("there is no {program} (Debian: apt-get install {packages})")]
    NotInstalled {
        /// What is missing.
        program: &'static str,
        /// The packages that have it.
        packages: &'static str,
    },
    /// The server did not say where it listens.
    #[error("the server did not start: {reason}\n{output}")]
    NotStarted {
        /// What was missing.
        reason: &'static str,
        /// The last lines that it printed.
        output: String,
    },
    /// The streams did not all open in time.
    #[error("only {live} of {wanted} streams opened within {seconds:.1} s; first fault: {fault}")]
    NotOpen {
        /// Streams that opened.
        live: usize,
        /// Streams that should be.
        wanted: usize,
        /// How long it was waited.
        seconds: f64,
        /// The first thing that went wrong, if any.
        fault: String,
    },
    /// The server refused to publish.
    #[error("publishing was refused with {status}: {body}")]
    Refused {
        /// The answer's status.
        status: u16,
        /// The answer's body, as text.
        body: String,
    },
    /// A document has no marks for a table.
    #[error("{} has no <!-- {name} --> and <!-- /{name} --> to write between", path.display())]
    NoPlace {
        /// The document.
        path: PathBuf,
        /// The table.
        name: String,
    },
    /// A dialect's file is not what it should be.
    #[error("the dialect {}: {message}", path.display())]
    Dialect {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The server's bytes are not what HTTP or SSE allow.
    #[error("the server answered garbage: {0}")]
    Wire(#[from] WireFault),
    /// The arguments contradict each other.
    #[error("{0}")]
    Usage(&'static str),
    /// `/proc` does not have it (any more).
    #[error("cannot measure process {pid}: {source}")]
    Unmeasurable {
        /// The process.
        pid: i32,
        /// What the system said.
        source: io::Error,
    },
}

/// Nothing, and no failure, when a run had to end early: what was measured before is told.
pub(crate) fn unless_early<T>(result: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Early(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Names what was tried when an I/O call fails.
pub(crate) trait While<T> {
    /// Turns the I/O error into a [`Failure`].
    fn while_(self, what: &'static str) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> While<T> for Result<T, E> {
    fn while_(self, what: &'static str) -> Result<T, Failure> {
        self.map_err(|source| Failure::Io { what, source: source.into() })
    }
}
