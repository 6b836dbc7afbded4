//! CPU of the server while streams are open and nothing is published.

use std::time::Duration;

use clap::Args;

use crate::cli::{Common, count, seconds};
use crate::failure::Failure;
use crate::fleet::{Fleet, Plan};
use crate::ledger::Published;
use crate::report::Report;
use crate::stop::Stop;
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
pub(crate) fn run(options: &Options, common: &Common, stop: &Stop) -> Result<Report, Failure> {
    let subject = Subject::obtain(common, options.streams, stop)?;
    let plan = Plan { streams: options.streams, threads: common.threads, lanes: 0..0 };
    let fleet = Fleet::start(&subject.target(common), &plan)?;
    fleet.open(common.pace(), stop, common.opening_limit())?;
    stop.sleep(Duration::from_secs_f64(options.settle))?;

    let cpu = |subject: &Subject| subject.gauge.map(|gauge| gauge.cpu()).transpose();
    let (cpu_before, beats_before) = (cpu(&subject)?, fleet.board.heartbeats());
    stop.sleep(Duration::from_secs_f64(options.seconds))?;
    let (cpu_after, beats_after) = (cpu(&subject)?, fleet.board.heartbeats());
    let used = cpu_before.zip(cpu_after).map(|(before, after)| (after - before).as_secs_f64());
    let live = fleet.board.live();
    let tally = fleet.finish(Published::default())?;

    let mut report = Report::new("idle");
    report.figure("streams", options.streams, "");
    report.figure("seconds", options.seconds, "s");
    report.measured("server_cpu_seconds", used, "s");
    report.measured(
        "server_cpu_percent",
        used.map(|used| used / options.seconds * 100.0),
        "% of a core",
    );
    report.figure("heartbeats_in_window", beats_after - beats_before, "");
    report.measured("rss", subject.rss()?, "bytes");
    report.tally(&tally);
    report.require(live == options.streams);
    Ok(report)
}
