//! Publishers that each wait for their answer: how many publishes a second, and how long one takes.

use std::time::Duration;

use clap::Args;

use super::beside;
use crate::cli::{count, positive, seconds};
use crate::clock;
use crate::failure::Failure;
use crate::fleet::{Fleet, Plan};
use crate::report::Report;
use crate::run::Run;
use crate::scripts::ClosedLoop;
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
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    let subject = Subject::obtain(run, options.streams)?;
    let lanes = 0..options.publishers as u32;
    let fleet = Fleet::open_all(&subject.target, &Plan::new(options.streams, lanes), run)?;

    let from = clock::now() + (options.warm_up * 1e9) as u64;
    let until = from + (options.seconds * 1e9) as u64;
    let mut script = ClosedLoop::new(options.publishers, from, until);
    let used = beside(&subject.target, options.publishers, &mut script, run, || {
        run.stop.sleep(Duration::from_secs_f64(options.warm_up));
        let before = subject.cpu()?;
        run.stop.sleep(Duration::from_secs_f64(options.seconds));
        let used = before.zip(subject.cpu()?);
        Ok(used.map(|(before, after)| after.saturating_sub(before).as_secs_f64()))
    })?;
    let seconds = clock::now().min(until).saturating_sub(from) as f64 / 1e9;
    let results = script.results;
    let due = results.published.deliveries(options.streams);
    fleet.board.wait_deliveries(due, run.common.patience(), || ());
    let tally = fleet.finish(results.published.clone())?;

    let mut report = Report::new("publish");
    report.figure("publishers", options.publishers, "");
    report.figure("publishes_per_second", script.answered as f64 / seconds, "/s");
    results.tell(&mut report);
    let per_publish = used.map(|used| used / script.answered.max(1) as f64 * 1e6);
    report.measured("server_cpu_per_publish", per_publish, "µs");
    report.measured("server_cpu_percent", used.map(|used| used / seconds * 100.0), "% of a core");
    report.measured("rss", subject.rss()?, "bytes");
    report.tally(&tally);
    Ok(report)
}
