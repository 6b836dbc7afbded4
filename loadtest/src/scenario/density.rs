//! Memory per open stream: the server's resident memory before the first stream and after the last.

use std::time::Duration;

use clap::Args;

use crate::cli::{Common, count, positive, seconds};
use crate::failure::Failure;
use crate::fleet::{Fleet, Plan};
use crate::ledger::Published;
use crate::opening::Pace;
use crate::report::Report;
use crate::stop::Stop;
use crate::subject::Subject;

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Streams, each of another user
    #[arg(long, default_value_t = 10_000, value_parser = count)]
    streams: usize,
    /// Connects a second [default: at once]
    #[arg(long, value_parser = positive)]
    pace: Option<f64>,
    /// How long after the last stream the memory is read
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    settle: f64,
}

/// Measures it.
pub(crate) fn run(options: &Options, common: &Common, stop: &Stop) -> Result<Report, Failure> {
    let subject = Subject::obtain(common, options.streams, stop)?;
    let plan = Plan { streams: options.streams, threads: common.threads, lanes: 0..0 };
    let fleet = Fleet::start(&subject.target(common), &plan)?;
    // A server that has just started may still be setting itself up.
    stop.sleep(Duration::from_secs(1))?;
    let before = subject.rss()?;
    let pace = Pace { per_second: options.pace, ..common.pace() };
    fleet.open(pace, stop, common.opening_limit())?;
    let opened = fleet.board.wave();
    stop.sleep(Duration::from_secs_f64(options.settle))?;
    let after = subject.rss()?;
    let live = fleet.board.live();
    let retries = fleet.board.retries();
    let tally = fleet.finish(Published::default())?;

    let grown = before.zip(after).map(|(before, after)| after as i64 - before as i64);
    let mut report = Report::new("density");
    report.figure("streams", options.streams, "");
    report.measured("rss_before", before, "bytes");
    report.measured("rss_after", after, "bytes");
    report.measured("rss_growth", grown, "bytes");
    report.measured(
        "rss_per_stream",
        grown.map(|grown| grown as f64 / options.streams as f64),
        "bytes",
    );
    report.figure("opening_seconds", opened.as_secs_f64(), "s");
    report.times("opening", &tally.openings);
    report.figure("retried_openings", retries, "");
    report.tally(&tally);
    report.require(live == options.streams);
    Ok(report)
}
