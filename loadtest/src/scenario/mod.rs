//! The scenarios, one a file: each takes its options and returns a report.

pub(crate) mod churn;
pub(crate) mod compare;
pub(crate) mod conversation;
pub(crate) mod crash;
pub(crate) mod density;
pub(crate) mod fanout;
pub(crate) mod flood;
pub(crate) mod idle;
pub(crate) mod mixed;
pub(crate) mod presence;
pub(crate) mod proxy;
pub(crate) mod publish;
pub(crate) mod restart;
pub(crate) mod siege;
pub(crate) mod slow;
pub(crate) mod soak;
pub(crate) mod storm;
pub(crate) mod unicast;
mod weather;

use std::thread;

use crate::cli::Command;
use crate::failure::Failure;
use crate::publishers::{Script, publish};
use crate::report::Report;
use crate::run::Run;
use crate::target::Target;

/// Runs what the command line asks for.
pub(crate) fn run(command: &Command, run: &Run) -> Result<Report, Failure> {
    match command {
        Command::Density(options) => density::run(options, run),
        Command::Fanout(options) => fanout::run(options, run),
        Command::Flood(options) => flood::run(options, run),
        Command::Storm(options) => storm::run(options, run),
        Command::Unicast(options) => unicast::run(options, run),
        Command::Churn(options) => churn::run(options, run),
        Command::Slow(options) => slow::run(options, run),
        Command::Mixed(options) => mixed::run(options, run),
        Command::Soak(options) => soak::run(options, run),
        Command::Publish(options) => publish::run(options, run),
        Command::Siege(options) => siege::run(options, run),
        Command::Idle(options) => idle::run(options, run),
        Command::Conversation(options) => conversation::run(options, run),
        Command::Presence(options) => presence::run(options, run),
        Command::Crash(options) => crash::run(options, run),
        Command::Compare(options) => compare::run(options, run),
        Command::Proxy(options) => proxy::run(options, run),
        Command::Restart(options) => restart::run(options, run),
        Command::SendLoop(_) | Command::AxumServer(_) => {
            Err(Failure::Usage("a server is no scenario"))
        }
    }
}

/// Runs `script` in a thread of its own while `meanwhile` runs, and waits for both. If one fails, the
/// run's stop ends the other.
fn beside<S: Script + Send, T>(
    target: &Target,
    lanes: usize,
    script: &mut S,
    run: &Run,
    meanwhile: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    thread::scope(|scope| {
        let publishers = scope
            .spawn(|| publish(target, lanes, script, &run.stop).inspect_err(|_| run.stop.fail()));
        let done = meanwhile();
        if done.is_err() {
            run.stop.fail();
        }
        let published = publishers.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        published.and(done)
    })
}
