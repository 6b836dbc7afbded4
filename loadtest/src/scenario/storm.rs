//! All streams cut at once while events are published, and back at once with their cursors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::beside;
use crate::cli::{count, positive, seconds, share};
use crate::clock;
use crate::failure::{Failure, unless_early};
use crate::fleet::{Fleet, Plan};
use crate::gauge::{ListenQueues, Peak};
use crate::ledger::Tally;
use crate::opening::Pace;
use crate::report::Report;
use crate::results::Results;
use crate::run::Run;
use crate::scripts::{Mix, OpenLoop};
use crate::subject::Subject;

/// How the streams are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Cut {
    /// With a reset, as when a proxy dies.
    Reset,
    /// With a FIN.
    Close,
}

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Streams, each of another user
    #[arg(long, default_value_t = 10_000, value_parser = count)]
    streams: usize,
    /// Events a second
    #[arg(long, default_value_t = 1_000.0, value_parser = positive)]
    rate: f64,
    /// The share of them that is for everybody; the others are for one random user each
    #[arg(long, default_value_t = 0.01, value_parser = share)]
    broadcast_share: f64,
    /// Publisher connections
    #[arg(long, default_value_t = 16, value_parser = count)]
    publishers: usize,
    /// How often all streams are cut
    #[arg(long, default_value_t = 1, value_parser = count)]
    cuts: usize,
    /// How they are cut
    #[arg(long, value_enum, default_value_t = Cut::Reset)]
    cut: Cut,
    /// Publishing before each cut
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    before: f64,
    /// Publishing after the last one
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    after: f64,
}

/// What the run showed.
struct Weathered {
    /// From the first connect to the last `connected`, of each cut.
    waves: Vec<Duration>,
    retries: u64,
    queues: Option<ListenQueues>,
    results: Results,
    tally: Tally,
    peak: Peak,
    complete: bool,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    let publishers = options.publishers.min(options.streams);
    let subject = Subject::obtain(run, options.streams)?;
    let lanes = 0..publishers as u32;
    let fleet = Fleet::open_all(&subject.target, &Plan::new(options.streams, lanes), run)?;

    let until = Arc::new(AtomicU64::new(u64::MAX));
    let mix =
        Mix { broadcasts: options.broadcast_share, users: options.streams, lanes: publishers };
    let mut script = OpenLoop::new(options.rate, clock::now(), until.clone(), mix, 0);
    let mut peak = Peak::of(subject.gauge);
    let (queues, retries) = (ListenQueues::now(), fleet.board.retries());
    let waves = beside(&subject.target, publishers, &mut script, run, || {
        let waves = options.cut_all(&fleet, &mut peak, run)?;
        until.store(clock::now(), Ordering::Relaxed);
        Ok(waves)
    })?;
    let queues = queues.zip(ListenQueues::now()).map(|(before, after)| after.since(before));
    let retries = fleet.board.retries() - retries;
    let results = script.results;
    let due = results.published.deliveries(options.streams);
    let complete = fleet.board.wait_deliveries(due, run.common.patience(), || peak.look());
    let tally = fleet.finish(results.published.clone())?;
    Ok(options.report(&Weathered { waves, retries, queues, results, tally, peak, complete }))
}

impl Options {
    fn cut_all(&self, fleet: &Fleet, peak: &mut Peak, run: &Run) -> Result<Vec<Duration>, Failure> {
        // No bound unless one is asked for: a bound below the accept queue's length would hide that
        // it is too short.
        let pace =
            Pace { concurrency: run.common.concurrency.unwrap_or(usize::MAX), per_second: None };
        let mut waves = Vec::new();
        for _ in 0..self.cuts {
            run.stop.sleep(Duration::from_secs_f64(self.before));
            if run.stop.over() {
                break;
            }
            if unless_early(fleet.storm(self.cut == Cut::Reset, pace, run))?.is_none() {
                break;
            }
            peak.look();
            waves.push(fleet.board.wave());
        }
        run.stop.sleep(Duration::from_secs_f64(self.after));
        peak.look();
        Ok(waves)
    }

    fn report(&self, run: &Weathered) -> Report {
        let mut report = Report::new("storm");
        report.figure("streams", self.streams, "");
        report.figure("rate", self.rate, "/s");
        report.figure("broadcast_share", self.broadcast_share, "");
        report.figure("cuts", self.cuts, "");
        let longest = run.waves.iter().max().map(Duration::as_secs_f64);
        report.measured("seconds_until_all_live", longest, "s");
        report.figure("retried_openings", run.retries, "");
        report.measured("listen_overflows", run.queues.map(|queues| queues.overflows), "");
        report.measured("listen_drops", run.queues.map(|queues| queues.drops), "");
        report.measured("rss_max", run.peak.bytes(), "bytes");
        run.results.tell(&mut report);
        report.times("opening", &run.tally.openings);
        report.times("unicast", &run.tally.unicast);
        report.times("broadcast_to_last", &run.tally.to_last_receiver(self.streams, 0));
        report.tally(&run.tally);
        report.require(run.complete);
        report
    }
}
