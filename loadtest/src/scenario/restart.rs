//! nginx in front of Rill is reloaded or restarted while events are published: streams break, come
//! back with their cursors as a browser's would, and must miss nothing.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::beside;
use crate::cli::{count, positive, share};
use crate::clock;
use crate::failure::{Failure, unless_early};
use crate::fleet::{Fleet, Plan};
use crate::nginx::{Nginx, Profile};
use crate::report::Report;
use crate::run::Run;
use crate::scripts::{Mix, OpenLoop};
use crate::subject::{Kind, Subject};

/// What happens to nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// SIGHUP: new workers come, the old ones are told to go.
    Reload,
    /// It ends at once and is started again.
    Restart,
}

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What happens to nginx
    #[arg(long, value_enum, default_value_t = Fault::Restart)]
    fault: Fault,
    /// The profile of deploy/nginx
    #[arg(long, value_enum, default_value_t = Profile::Http)]
    profile: Profile,
    /// Streams, each of another user
    #[arg(long, default_value_t = 500, value_parser = count)]
    streams: usize,
    /// How often it happens
    #[arg(long, default_value_t = 2, value_parser = count)]
    times: usize,
    /// Time before each, and after the last one
    #[arg(long, default_value_t = 2.0, value_parser = positive)]
    seconds: f64,
    /// Events a second
    #[arg(long, default_value_t = 200.0, value_parser = positive)]
    rate: f64,
    /// The share of them that is for everybody; the others are for one random user each
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    broadcast_share: f64,
    /// Publisher connections, straight to Rill
    #[arg(long, default_value_t = 4, value_parser = count)]
    publishers: usize,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    if run.common.attached().is_some() {
        return Err(Failure::Usage("restart puts an nginx of its own before a server of its own"));
    }
    let subject = Subject::start(Kind::Rill, true, options.streams, run)?;
    let nginx = Nginx::start(options.profile, None, &subject.target.publishers, &run.stop)?;
    let mut subject = subject.behind(nginx, run)?;
    let publishers = options.publishers.min(options.streams);
    let plan = Plan::new(options.streams, 0..publishers as u32);
    let plan = Plan { comes_back: true, ..plan };
    let target = subject.target.clone();
    let fleet = Fleet::open_all(&target, &plan, run)?;

    let until = Arc::new(AtomicU64::new(u64::MAX));
    let mix =
        Mix { broadcasts: options.broadcast_share, users: options.streams, lanes: publishers };
    let mut script = OpenLoop::new(options.rate, clock::now(), until.clone(), mix, 0);
    beside(&target, publishers, &mut script, run, || {
        options.disturb(&mut subject, run)?;
        until.store(clock::now(), std::sync::atomic::Ordering::Relaxed);
        Ok(())
    })?;
    let results = script.results;
    let all_live = fleet.board.wait_live(options.streams, run.common.opening_limit());
    let due = results.published.deliveries(options.streams);
    fleet.board.wait_deliveries(due, run.common.patience(), || ());
    let tally = fleet.finish(results.published.clone())?;

    let mut report = Report::new("restart");
    report.figure("streams", options.streams, "");
    report.figure("times", options.times, "");
    report.figure("streams_that_came_back", tally.returned, "");
    report.figure("replayed", tally.replayed, "");
    report.times("opening", &tally.openings);
    report.times("unicast", &tally.unicast);
    results.tell(&mut report);
    report.tally(&tally);
    report.require(all_live);
    Ok(report)
}

impl Options {
    fn disturb(&self, subject: &mut Subject, run: &Run) -> Result<(), Failure> {
        let pause = Duration::from_secs_f64(self.seconds);
        for _ in 0..self.times {
            run.stop.sleep(pause);
            if run.stop.over() {
                return Ok(());
            }
            let Some(nginx) = subject.nginx() else { return Ok(()) };
            let done = match self.fault {
                Fault::Reload => nginx.reload(&run.stop),
                Fault::Restart => nginx.restart(&run.stop),
            };
            if unless_early(done)?.is_none() {
                return Ok(());
            }
        }
        run.stop.sleep(pause);
        Ok(())
    }
}
