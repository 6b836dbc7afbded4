//! The scenarios, one a file: each takes its options and returns a report.

pub(crate) mod crash;
pub(crate) mod density;
pub(crate) mod fanout;
pub(crate) mod flood;
pub(crate) mod idle;
pub(crate) mod publish;
pub(crate) mod storm;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::cli::{Command, Common};
use crate::failure::Failure;
use crate::publishers::{Script, publish};
use crate::report::Report;
use crate::stop::Stop;
use crate::target::Target;

/// Runs what the command line asks for.
pub(crate) fn run(command: &Command, common: &Common, stop: &Stop) -> Result<Report, Failure> {
    match command {
        Command::Density(options) => density::run(options, common, stop),
        Command::Fanout(options) => fanout::run(options, common, stop),
        Command::Flood(options) => flood::run(options, common, stop),
        Command::Storm(options) => storm::run(options, common, stop),
        Command::Publish(options) => publish::run(options, common, stop),
        Command::Idle(options) => idle::run(options, common, stop),
        Command::Crash(options) => crash::run(options, common, stop),
        Command::SendLoop(_) => Err(Failure::Usage("the send loop is no scenario")),
    }
}

/// Runs `script` in a thread of its own while `meanwhile` runs, and waits for both. If `meanwhile`
/// fails, the script is ended by `until`.
fn beside<S: Script + Send, T>(
    target: &Target,
    lanes: usize,
    script: &mut S,
    until: &AtomicU64,
    stop: &Stop,
    meanwhile: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    thread::scope(|scope| {
        let publishers = scope.spawn(|| publish(target, lanes, script, stop));
        let done = meanwhile();
        if done.is_err() {
            until.store(0, Ordering::Relaxed);
        }
        let published = publishers.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let done = done?;
        published.map(|()| done)
    })
}
