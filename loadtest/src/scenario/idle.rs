//! CPU of the server while streams are open and nothing is published.

use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::{count, seconds};
use crate::failure::Failure;
use crate::fleet::{Fleet, Plan};
use crate::ledger::Published;
use crate::report::Report;
use crate::run::Run;
use crate::subject::Subject;

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Streams, each of another user
    #[arg(long, default_value_t = 19_000, value_parser = count)]
    streams: usize,
    /// The measured time
    #[arg(long, default_value_t = 60.0, value_parser = seconds)]
    seconds: f64,
    /// How long after the last stream it begins
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    settle: f64,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    let subject = Subject::obtain(run, options.streams)?;
    let plan = Plan::new(options.streams, 0..0);
    let fleet = Fleet::open_all(&subject.target, &plan, run)?;
    run.stop.sleep(Duration::from_secs_f64(options.settle));

    let began = Instant::now();
    let (cpu_before, beats_before) = (subject.cpu()?, fleet.board.heartbeats());
    run.stop.sleep(Duration::from_secs_f64(options.seconds));
    let (cpu_after, beats_after) = (subject.cpu()?, fleet.board.heartbeats());
    let seconds = began.elapsed().as_secs_f64();
    let used =
        cpu_before.zip(cpu_after).map(|(before, after)| after.saturating_sub(before).as_secs_f64());
    let live = fleet.board.live();
    let tally = fleet.finish(Published::default())?;

    let mut report = Report::new("idle");
    report.figure("streams", options.streams, "");
    report.figure("seconds", seconds, "s");
    report.measured("server_cpu_seconds", used, "s");
    report.measured("server_cpu_percent", used.map(|used| used / seconds * 100.0), "% of a core");
    report.figure("heartbeats_in_window", beats_after - beats_before, "");
    report.measured("rss", subject.rss()?, "bytes");
    report.tally(&tally);
    report.require(live == options.streams);
    Ok(report)
}
