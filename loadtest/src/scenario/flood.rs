//! Broadcasts at a rate, whether the server keeps up or not, and the plain send loop as fast as it
//! goes.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clap::Args;

use super::beside;
use crate::cli::{Common, count, positive, seconds};
use crate::clock;
use crate::failure::Failure;
use crate::fleet::{Fleet, Plan};
use crate::gauge::{Gauge, Peak};
use crate::ledger::{Published, Tally};
use crate::reference::Reference;
use crate::report::{Histogram, Report};
use crate::scripts::{Mix, OpenLoop, Results};
use crate::stop::Stop;
use crate::subject::Subject;
use crate::target::Target;

/// A little time for the publishers to connect before the first event is due.
const LEAD: u64 = 100_000_000;

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

impl Flooded {
    fn per_second(&self) -> f64 {
        self.tally.deliveries as f64 / self.seconds
    }
}

/// What one round of the send loop showed.
struct Saturated {
    per_second: f64,
    cores: f64,
    tally: Tally,
}

/// Measures it.
pub(crate) fn run(options: &Options, common: &Common, stop: &Stop) -> Result<Report, Failure> {
    let subject = Subject::obtain(common, options.streams, stop)?;
    let mut peak = Peak::of(subject.gauge);
    let (mut served, mut looped, mut reference) = (Vec::new(), Vec::new(), None);
    for number in 0..options.rounds as u32 {
        let round = options.flood(number, common, &subject, &mut peak, stop)?;
        if options.loop_seconds > 0.0 {
            let reference = match &mut reference {
                Some(reference) => reference,
                none => {
                    let bytes = round.bytes_per_delivery.round() as usize;
                    none.insert(Reference::start(&subject.endpoint, bytes, stop)?)
                }
            };
            looped.push(options.saturate(number, common, reference, stop)?);
        }
        served.push(round);
    }
    Ok(options.report(served, looped, &peak))
}

impl Options {
    /// The server's turn.
    fn flood(
        &self,
        number: u32,
        common: &Common,
        subject: &Subject,
        peak: &mut Peak,
        stop: &Stop,
    ) -> Result<Flooded, Failure> {
        let target = subject.target(common);
        let first = number * self.publishers as u32;
        let lanes = first..first + self.publishers as u32;
        let fleet = self.fleet(&target, common, lanes, stop)?;
        let start = clock::now() + LEAD;
        let until = Arc::new(AtomicU64::new(start + (self.seconds * 1e9) as u64));
        let mix = Mix { broadcasts: 1.0, users: 0, lanes: self.publishers };
        let mut script = OpenLoop::new(self.rate, start, until.clone(), mix, first);

        let bytes = fleet.board.bytes();
        let server_cpu = || subject.gauge.map(|gauge| gauge.cpu()).transpose();
        let (server_before, client_before) = (server_cpu()?, Gauge::own().cpu()?);
        let sending = Duration::from_secs_f64(self.seconds) + Duration::from_nanos(LEAD);
        beside(&target, self.publishers, &mut script, &until, stop, || {
            self.watch(sending, peak, stop)
        })?;
        let results = script.results;
        let due = results.published.deliveries(self.streams);
        fleet.board.wait_deliveries(due, stop, common.patience(), || peak.look())?;
        let server_cpu =
            server_before.zip(server_cpu()?).map(|(before, after)| (after - before).as_secs_f64());
        let client_cpu = (Gauge::own().cpu()? - client_before).as_secs_f64();
        let bytes = fleet.board.bytes() - bytes;

        let tally = fleet.finish(results.published.clone())?;
        let end = tally.last_arrival().unwrap_or(start + 1);
        Ok(Flooded {
            results,
            seconds: (end - start) as f64 / 1e9,
            latency: tally.to_last_receiver(self.streams, 0),
            bytes_per_delivery: bytes as f64 / tally.deliveries.max(1) as f64,
            tally,
            server_cpu,
            client_cpu,
        })
    }

    fn watch(&self, duration: Duration, peak: &mut Peak, stop: &Stop) -> Result<(), Failure> {
        let end = clock::now() + clock::nanos(duration);
        while clock::now() < end {
            stop.sleep(Duration::from_millis(50))?;
            peak.look();
        }
        Ok(())
    }

    fn fleet(
        &self,
        target: &Target,
        common: &Common,
        lanes: std::ops::Range<u32>,
        stop: &Stop,
    ) -> Result<Fleet, Failure> {
        let plan = Plan { streams: self.streams, threads: common.threads, lanes };
        let fleet = Fleet::start(target, &plan)?;
        fleet.open(common.pace(), stop, common.opening_limit())?;
        Ok(fleet)
    }

    /// The send loop's turn.
    fn saturate(
        &self,
        lane: u32,
        common: &Common,
        reference: &mut Reference,
        stop: &Stop,
    ) -> Result<Saturated, Failure> {
        let fleet = self.fleet(&reference.target(common), common, lane..lane + 1, stop)?;
        let (start, cpu) = (clock::now(), reference.gauge().cpu()?);
        reference.run(lane)?;
        stop.sleep(Duration::from_secs_f64(self.loop_seconds))?;
        let sent = reference.halt(stop)?;
        let cpu = reference.gauge().cpu()? - cpu;
        let published = Published { lanes: vec![sent], users: Vec::new() };
        let due = published.deliveries(self.streams);
        fleet.board.wait_deliveries(due, stop, common.patience(), || ())?;
        let tally = fleet.finish(published)?;
        let seconds = (tally.last_arrival().unwrap_or(start + 1) - start) as f64 / 1e9;
        let per_second = tally.deliveries as f64 / seconds;
        Ok(Saturated { per_second, cores: cpu.as_secs_f64() / seconds, tally })
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
            report.rounds("loop_cores", each(|round| round.cores), "cores");
            report.measured("ratio", rate.zip(plain).map(|(rate, plain)| rate / plain), "");
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
