//! Threads without which the process must not go on.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread whose panic ends the process.
///
/// A shard that is gone would leave its streams hanging, and a log without its writer would answer
/// no publisher; a supervisor that starts the process anew mends both, and nothing is lost.
pub fn spawn(
    name: impl Into<String>,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).spawn(move || {
        let _alarm = Alarm;
        body();
    })
}

struct Alarm;

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The panic hook has told what happened.
            std::process::abort();
        }
    }
}
