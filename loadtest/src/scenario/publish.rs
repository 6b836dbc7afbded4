//! Publishers that each wait for their answer: how many publishes a second, and how long one takes.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clap::Args;

use super::beside;
use crate::cli::{Common, count, positive, seconds};
use crate::clock;
use crate::failure::Failure;
use crate::fleet::{Fleet, Plan};
use crate::report::Report;
use crate::scripts::ClosedLoop;
use crate::stop::Stop;
use crate::subject::Subject;

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Publisher connections
    #[arg(long, default_value_t = 64, value_parser = count)]
    publishers: usize,
    /// The measured time
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    seconds: f64,
    /// Publishing before that, not measured
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    warm_up: f64,
    /// Streams that listen to the broadcasts
    #[arg(long, default_value_t = 0)]
    streams: usize,
}

/// Measures it.
pub(crate) fn run(options: &Options, common: &Common, stop: &Stop) -> Result<Report, Failure> {
    let subject = Subject::obtain(common, options.streams, stop)?;
    let target = subject.target(common);
    let lanes = 0..options.publishers as u32;
    let fleet =
        Fleet::start(&target, &Plan { streams: options.streams, threads: common.threads, lanes })?;
    fleet.open(common.pace(), stop, common.opening_limit())?;

    let from = clock::now() + (options.warm_up * 1e9) as u64;
    let until = from + (options.seconds * 1e9) as u64;
    let mut script = ClosedLoop::new(options.publishers, from, until);
    let cpu = || subject.gauge.map(|gauge| gauge.cpu()).transpose();
    let used = beside(&target, options.publishers, &mut script, &AtomicU64::new(0), stop, || {
        stop.sleep(Duration::from_secs_f64(options.warm_up))?;
        let before = cpu()?;
        stop.sleep(Duration::from_secs_f64(options.seconds))?;
        Ok(before.zip(cpu()?).map(|(before, after)| (after - before).as_secs_f64()))
    })?;
    let results = script.results;
    let due = results.published.deliveries(options.streams);
    fleet.board.wait_deliveries(due, stop, common.patience(), || ())?;
    let tally = fleet.finish(results.published.clone())?;

    let mut report = Report::new("publish");
    report.figure("publishers", options.publishers, "");
    report.figure("publishes_per_second", script.answered as f64 / options.seconds, "/s");
    results.tell(&mut report);
    let per_publish = used.map(|used| used / script.answered.max(1) as f64 * 1e6);
    report.measured("server_cpu_per_publish", per_publish, "µs");
    report.measured(
        "server_cpu_percent",
        used.map(|used| used / options.seconds * 100.0),
        "% of a core",
    );
    report.measured("rss", subject.rss()?, "bytes");
    report.tally(&tally);
    Ok(report)
}
