//! Broadcasts at a rate, whether the server keeps up or not, and the plain send loop as fast as it
//! goes.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clap::Args;

use super::beside;
use super::fanout::plain_loop;
use crate::cli::{count, positive, seconds};
use crate::clock;
use crate::failure::{Failure, unless_early};
use crate::fleet::{Fleet, Plan};
use crate::gauge::{Gauge, Peak};
use crate::ledger::Tally;
use crate::report::{Histogram, Report};
use crate::results::Results;
use crate::run::Run;
use crate::scripts::{Mix, OpenLoop, Windowed};
use crate::subject::Subject;

/// A little time for the publishers to connect before the first event is due.
const LEAD: Duration = Duration::from_millis(100);

/// A search ends when it knows the rate to this share of it.
const EXACT: f64 = 0.06;

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Streams, each of another user
    #[arg(long, default_value_t = 1_000, value_parser = count)]
    streams: usize,
    /// Broadcasts a second
    #[arg(long, default_value_t = 2_000.0, value_parser = positive)]
    rate: f64,
    /// How long they are sent
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    seconds: f64,
    /// Publisher connections
    #[arg(long, default_value_t = 16, value_parser = count)]
    publishers: usize,
    /// How long the send loop runs; 0 leaves it out
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    loop_seconds: f64,
    /// Rounds; the server and the send loop take turns, and medians are given
    #[arg(long, default_value_t = 1, value_parser = count)]
    rounds: usize,
    /// Search the highest rate, from --rate on, at which nothing is lost and the 99th percentile to
    /// the last receiver stays below so many milliseconds
    #[arg(long, value_name = "MS", value_parser = positive)]
    highest: Option<f64>,
}

/// What one round of the server showed.
struct Flooded {
    results: Results,
    tally: Tally,
    /// From the first intended sending to the last arrival.
    seconds: f64,
    latency: Histogram,
    bytes_per_delivery: f64,
    server_cpu: Option<f64>,
    client_cpu: f64,
}

/// How fast broadcasts pass when a window of them is always under way.
pub(crate) struct Saturated {
    /// Deliveries a second.
    pub(crate) per_second: f64,
    /// Cores that the server used.
    pub(crate) cores: Option<f64>,
    /// What was counted.
    pub(crate) tally: Tally,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    let subject = Subject::obtain(run, options.streams)?;
    let mut peak = Peak::of(subject.gauge);
    if let Some(limit) = options.highest {
        return options.search(limit, &subject, run);
    }
    let (mut served, mut looped, mut plain) = (Vec::new(), Vec::new(), None);
    for number in 0..options.rounds as u32 {
        let mut turns = || {
            let round = options.flood(number, options.rate, &subject, &mut peak, run)?;
            let bytes = round.bytes_per_delivery.round() as usize;
            served.push(round);
            if options.loop_seconds > 0.0 && !run.stop.over() {
                let plain = match &mut plain {
                    Some(plain) => plain,
                    none => none.insert(plain_loop(&subject, bytes, options.streams, run)?),
                };
                let seconds = Duration::from_secs_f64(options.loop_seconds);
                looped.push(saturate(plain, options.streams, seconds, number, run)?);
            }
            Ok(())
        };
        let done = turns();
        if served.is_empty() {
            done?;
        } else if unless_early(done)?.is_none() {
            break;
        }
    }
    Ok(options.report(served, looped, &peak))
}

/// Broadcasts for a while with a window of them under way: what is measured is the server's speed,
/// not a backlog. One publisher connection for each.
pub(crate) fn saturate(
    subject: &Subject,
    streams: usize,
    duration: Duration,
    round: u32,
    run: &Run,
) -> Result<Saturated, Failure> {
    const WINDOW: usize = 64;
    let first = round * WINDOW as u32;
    let plan = Plan::new(streams, first..first + WINDOW as u32);
    let plan = Plan { told: !subject.is_reference(), ..plan };
    let fleet = Fleet::open_all(&subject.target, &plan, run)?;
    let (start, cpu) = (clock::now(), subject.cpu()?);
    let until = start + clock::nanos(duration);
    let mut script = Windowed::new(&fleet.board, streams, WINDOW, WINDOW, first, until);
    beside(&subject.target, WINDOW, &mut script, run, || Ok(()))?;
    let published = script.results.published;
    fleet.board.wait_deliveries(published.deliveries(streams), run.common.patience(), || ());
    let cpu = cpu.zip(subject.cpu()?);
    let cpu = cpu.map(|(before, after)| after.saturating_sub(before).as_secs_f64());
    let tally = fleet.finish(published)?;
    let seconds = seconds_until_last(&tally, start);
    Ok(Saturated {
        per_second: tally.deliveries as f64 / seconds,
        cores: cpu.map(|cpu| cpu / seconds),
        tally,
    })
}

/// From the first sending to the last arrival.
fn seconds_until_last(tally: &Tally, start: u64) -> f64 {
    tally.last_arrival().unwrap_or(start).saturating_sub(start).max(1) as f64 / 1e9
}

impl Options {
    /// Broadcasts at a rate to a fresh fleet.
    fn flood(
        &self,
        number: u32,
        rate: f64,
        subject: &Subject,
        peak: &mut Peak,
        run: &Run,
    ) -> Result<Flooded, Failure> {
        let first = number * self.publishers as u32;
        let lanes = first..first + self.publishers as u32;
        let fleet = Fleet::open_all(&subject.target, &Plan::new(self.streams, lanes), run)?;
        let sending = Duration::from_secs_f64(self.seconds) + LEAD;
        let start = clock::now() + clock::nanos(LEAD);
        let until = Arc::new(AtomicU64::new(start + (self.seconds * 1e9) as u64));
        let mix = Mix { broadcasts: 1.0, users: 0, lanes: self.publishers };
        let mut script = OpenLoop::new(rate, start, until, mix, first);

        let bytes = fleet.board.bytes();
        let (server_before, client_before) = (subject.cpu()?, Gauge::own().cpu()?);
        beside(&subject.target, self.publishers, &mut script, run, || {
            peak.watch(sending, &run.stop);
            Ok(())
        })?;
        let results = script.results;
        let due = results.published.deliveries(self.streams);
        fleet.board.wait_deliveries(due, run.common.patience(), || peak.look());
        let server_cpu = server_before.zip(subject.cpu()?);
        let client_cpu = Gauge::own().cpu()?.saturating_sub(client_before).as_secs_f64();
        let bytes = fleet.board.bytes() - bytes;

        let tally = fleet.finish(results.published.clone())?;
        Ok(Flooded {
            results,
            seconds: seconds_until_last(&tally, start),
            latency: tally.to_last_receiver(self.streams, 0),
            bytes_per_delivery: bytes as f64 / tally.deliveries.max(1) as f64,
            tally,
            server_cpu: server_cpu
                .map(|(before, after)| after.saturating_sub(before).as_secs_f64()),
            client_cpu,
        })
    }

    /// Doubles the rate until a round fails, and closes in on the border then.
    fn search(&self, limit: f64, subject: &Subject, run: &Run) -> Result<Report, Failure> {
        let (mut good, mut bad): (Option<(f64, Flooded, Peak)>, Option<f64>) = (None, None);
        let (mut rate, mut rounds) = (self.rate, 0);
        while rate >= 1.0 {
            let mut peak = Peak::of(subject.gauge);
            let round = unless_early(self.flood(rounds, rate, subject, &mut peak, run))?;
            // A round that was cut short has shown nothing.
            let Some(round) = round.filter(|_| !run.stop.over()) else { break };
            rounds += 1;
            let held = round.holds(limit);
            let word = if held { "held" } else { "not held" };
            run.monitor.phase(format!("{rate:.0} broadcasts a second: {word}"));
            if held {
                good = Some((rate, round, peak))
            } else {
                bad = Some(rate)
            }
            rate = match (&good, bad) {
                (Some((good, ..)), None) => good * 2.0,
                (None, Some(bad)) => bad / 2.0,
                (Some((good, ..)), Some(bad)) if bad / good > 1.0 + EXACT => (good * bad).sqrt(),
                _ => break,
            };
        }
        let mut report = Report::new("flood");
        report.figure("streams", self.streams, "");
        report.figure("seconds", self.seconds, "s a rate");
        report.figure("p99_limit", limit, "ms");
        report.figure("rates_tried", rounds, "");
        report.require(good.is_some());
        if let Some((rate, round, peak)) = good {
            report.figure("highest_rate", rate, "/s");
            report.figure("deliveries_per_second", round.per_second(), "/s");
            report.measured("rss_max", peak.bytes(), "bytes");
            tell_sums(&mut report, vec![round]);
        }
        Ok(report)
    }

    fn report(&self, served: Vec<Flooded>, looped: Vec<Saturated>, peak: &Peak) -> Report {
        let mut report = Report::new("flood");
        report.figure("streams", self.streams, "");
        report.figure("rate", self.rate, "/s");
        report.figure("seconds", self.seconds, "s");
        let each = |pick: fn(&Flooded) -> f64| Some(served.iter().map(pick).collect());
        let rate = report.rounds("deliveries_per_second", each(Flooded::per_second), "/s");
        if !looped.is_empty() {
            let each = |pick: fn(&Saturated) -> f64| Some(looped.iter().map(pick).collect());
            let plain =
                report.rounds("loop_deliveries_per_second", each(|round| round.per_second), "/s");
            report.measured("ratio", rate.zip(plain).map(|(rate, plain)| rate / plain), "");
            let cores = looped.iter().map(|round| round.cores).collect();
            report.rounds("loop_cores", cores, "cores");
            let offered = self.rate * self.streams as f64;
            report.measured("highest_ratio_at_this_rate", plain.map(|plain| offered / plain), "");
            report.require(!looped.iter().any(|round| round.tally.faulty()));
        }
        report.measured("rss_max", peak.bytes(), "bytes");
        report.rounds("seconds_until_all_had_all", each(|round| round.seconds), "s");
        report.rounds("bytes_per_delivery", each(|round| round.bytes_per_delivery), "bytes");
        let server_cores =
            served.iter().map(|round| Some(round.server_cpu? / round.seconds)).collect();
        report.rounds("server_cores", server_cores, "cores");
        report.rounds("client_cores", each(|round| round.client_cpu / round.seconds), "cores");
        tell_sums(&mut report, served);
        report
    }
}

impl Flooded {
    fn per_second(&self) -> f64 {
        self.tally.deliveries as f64 / self.seconds
    }

    /// Whether all came, and in time.
    fn holds(&self, limit: f64) -> bool {
        let late = self.latency.millis(99.0).is_none_or(|p99| p99 > limit);
        !late && !self.tally.faulty() && self.results.all_kept()
    }
}

/// Adds what the rounds showed together.
fn tell_sums(report: &mut Report, rounds: Vec<Flooded>) {
    let (mut latency, mut results, mut tally) =
        (Histogram::default(), Results::default(), Tally::default());
    for round in rounds {
        latency.add(&round.latency);
        results.add(round.results);
        tally.add(round.tally);
    }
    report.times("to_last_receiver", &latency);
    results.tell(report);
    report.tally(&tally);
}
