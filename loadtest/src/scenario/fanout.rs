//! One broadcast at a time: CPU per delivery and latency to the last receiver, in turn with the
//! plain send loop.

use std::time::Duration;

use clap::Args;

use crate::cli::{Common, count};
use crate::clock;
use crate::courier::Courier;
use crate::failure::Failure;
use crate::fleet::{Fleet, Plan};
use crate::gauge::Gauge;
use crate::ledger::{Published, Tally};
use crate::reference::Reference;
use crate::report::{Histogram, Report};
use crate::stamp::{Scope, Stamp};
use crate::stop::Stop;
use crate::subject::Subject;
use crate::target::{Audience, Order, Target};

/// What is left of the connects is done by then, and not measured.
const SETTLE: Duration = Duration::from_millis(300);

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Streams, each of another user
    #[arg(long, default_value_t = 1_000, value_parser = count)]
    streams: usize,
    /// Broadcasts in a round
    #[arg(long, default_value_t = 100, value_parser = count)]
    broadcasts: usize,
    /// Broadcasts before them, not measured
    #[arg(long, default_value_t = 10)]
    warm_up: usize,
    /// Rounds; the server and the send loop take turns, and medians are given
    #[arg(long, default_value_t = 3, value_parser = count)]
    rounds: usize,
}

/// Makes one broadcast with this mark.
trait Source {
    fn broadcast(&mut self, stamp: Stamp) -> Result<(), Failure>;
}

impl Source for Courier {
    fn broadcast(&mut self, stamp: Stamp) -> Result<(), Failure> {
        self.publish(&Order { audience: Audience::Everybody, stamp }).map(drop)
    }
}

impl Source for Reference {
    fn broadcast(&mut self, stamp: Stamp) -> Result<(), Failure> {
        let Scope::Lane(lane) = stamp.scope else { return Ok(()) };
        self.send(lane, stamp.k, stamp.t)
    }
}

/// What one round of one of the two showed.
struct Round {
    /// Microseconds of CPU per delivery.
    cpu: Option<f64>,
    /// The part of it in the kernel, to the clock tick.
    system: Option<f64>,
    bytes_per_delivery: f64,
    latency: Histogram,
    tally: Tally,
}

/// Measures it.
pub(crate) fn run(options: &Options, common: &Common, stop: &Stop) -> Result<Report, Failure> {
    let subject = Subject::obtain(common, options.streams, stop)?;
    let target = subject.target(common);
    let (mut served, mut looped, mut reference) = (Vec::new(), Vec::new(), None);
    for number in 0..options.rounds as u32 {
        let mut courier = Courier::connect(&target)?;
        let round = options.round(number, common, &target, subject.gauge, &mut courier, stop)?;
        let mut reference = match reference.take() {
            Some(reference) => reference,
            None => {
                Reference::start(&target.endpoint, round.bytes_per_delivery.round() as usize, stop)?
            }
        };
        served.push(round);
        let gauge = Some(reference.gauge());
        looped.push(options.round(
            number,
            common,
            &reference.target(common),
            gauge,
            &mut reference,
            stop,
        )?);
    }
    Ok(options.report(served, looped))
}

impl Options {
    /// Opens all streams, broadcasts, closes them.
    fn round(
        &self,
        lane: u32,
        common: &Common,
        target: &Target,
        gauge: Option<Gauge>,
        source: &mut impl Source,
        stop: &Stop,
    ) -> Result<Round, Failure> {
        let plan = Plan { streams: self.streams, threads: common.threads, lanes: lane..lane + 1 };
        let fleet = Fleet::start(target, &plan)?;
        fleet.open(common.pace(), stop, common.opening_limit())?;
        stop.sleep(SETTLE)?;
        let measured = self.warm_up as u32..(self.warm_up + self.broadcasts) as u32;
        self.broadcast(&fleet, common, lane, 0..measured.start, source, stop)?;

        let usage = || {
            gauge
                .map(|gauge| Ok::<_, Failure>((gauge.cpu()?, gauge.user_and_system()?.1)))
                .transpose()
        };
        let (before, bytes, since) = (usage()?, fleet.board.bytes(), clock::now());
        self.broadcast(&fleet, common, lane, measured.clone(), source, stop)?;
        let after = usage()?;
        let bytes = fleet.board.bytes() - bytes;

        let tally = fleet.finish(Published { lanes: vec![measured.end], users: Vec::new() })?;
        let deliveries = (self.streams * self.broadcasts) as f64;
        let per_delivery = |time: Duration| time.as_secs_f64() * 1e6 / deliveries;
        let used = before.zip(after);
        Ok(Round {
            cpu: used.map(|(before, after)| per_delivery(after.0 - before.0)),
            system: used.map(|(before, after)| per_delivery(after.1 - before.1)),
            bytes_per_delivery: bytes as f64 / deliveries,
            latency: tally.to_last_receiver(self.streams, since),
            tally,
        })
    }

    /// The broadcasts of these numbers, each once the one before has reached everybody.
    fn broadcast(
        &self,
        fleet: &Fleet,
        common: &Common,
        lane: u32,
        numbers: std::ops::Range<u32>,
        source: &mut impl Source,
        stop: &Stop,
    ) -> Result<(), Failure> {
        for k in numbers {
            source.broadcast(Stamp { scope: Scope::Lane(lane), k, t: clock::now() })?;
            let wanted = (u64::from(k) + 1) * self.streams as u64;
            if !fleet.board.wait_deliveries(wanted, stop, common.patience(), || ())? {
                let missing = wanted - fleet.board.deliveries();
                let (seconds, fault) = (common.patience().as_secs(), fleet.board.fault());
                return Err(Failure::Undelivered { missing, wanted, seconds, fault });
            }
        }
        Ok(())
    }

    fn report(&self, served: Vec<Round>, looped: Vec<Round>) -> Report {
        let mut report = Report::new("fanout");
        report.figure("streams", self.streams, "");
        report.figure("broadcasts", self.broadcasts, "a round");
        report.figure("rounds", self.rounds, "");
        let server_cpu = tell(&mut report, "server", &served);
        let loop_cpu = tell(&mut report, "loop", &looped);
        report.measured(
            "cpu_ratio",
            server_cpu.zip(loop_cpu).map(|(server, plain)| server / plain),
            "",
        );
        let sum = served.into_iter().chain(looped).fold(Tally::default(), |mut sum, round| {
            sum.add(round.tally);
            sum
        });
        report.tally(&sum);
        report
    }
}

/// Adds the figures of one of the two, and returns its median CPU per delivery.
fn tell(report: &mut Report, who: &str, rounds: &[Round]) -> Option<f64> {
    let each = |pick: fn(&Round) -> Option<f64>| rounds.iter().map(pick).collect();
    let cpu = report.rounds(&format!("{who}_cpu_per_delivery"), each(|round| round.cpu), "µs");
    let system = each(|round| round.system);
    report.rounds(&format!("{who}_system_per_delivery"), system, "µs, to the tick");
    let bytes = each(|round| Some(round.bytes_per_delivery));
    report.rounds(&format!("{who}_bytes_per_delivery"), bytes, "bytes");
    let mut latency = Histogram::default();
    rounds.iter().for_each(|round| latency.add(&round.latency));
    report.times(&format!("{who}_to_last_receiver"), &latency);
    cpu
}
