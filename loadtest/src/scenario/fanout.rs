//! One broadcast at a time: CPU per delivery and latency to the last receiver, in turn with the
//! plain send loop.

use std::time::Duration;

use clap::Args;

use crate::cli::count;
use crate::clock;
use crate::courier::Courier;
use crate::endpoint::Endpoint;
use crate::failure::{Failure, unless_early};
use crate::fleet::{Fleet, Plan};
use crate::ledger::{Published, Tally};
use crate::report::{Histogram, Report};
use crate::run::Run;
use crate::stamp::{Scope, Stamp};
use crate::subject::{Kind, Subject};
use crate::target::{Audience, Order};

/// What is left of the connects is done by then, and not measured.
const SETTLE: Duration = Duration::from_millis(300);

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// Rounds; the server and the send loop take turns, and medians are given
    #[arg(long, default_value_t = 3, value_parser = count)]
    rounds: usize,
}

/// What one round consists of.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Shape {
    /// Streams, each of another user
    #[arg(long, default_value_t = 1_000, value_parser = count)]
    pub(crate) streams: usize,
    /// Broadcasts in a round
    #[arg(long, default_value_t = 100, value_parser = count)]
    pub(crate) broadcasts: usize,
    /// Broadcasts before them, not measured
    #[arg(long, default_value_t = 10)]
    pub(crate) warm_up: usize,
}

/// What one round of one server showed.
pub(crate) struct Round {
    /// Microseconds of CPU per delivery.
    pub(crate) cpu: Option<f64>,
    /// The part of it in the kernel, to the clock tick.
    system: Option<f64>,
    /// Microseconds of the proxy's CPU per delivery, if there is one.
    pub(crate) proxy_cpu: Option<f64>,
    /// What a delivery's bytes were on the wire.
    pub(crate) bytes_per_delivery: f64,
    /// To the last receiver.
    pub(crate) latency: Histogram,
    /// What was counted.
    pub(crate) tally: Tally,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    let subject = Subject::obtain(run, options.shape.streams)?;
    let (mut served, mut looped, mut plain) = (Vec::new(), Vec::new(), None);
    for lane in 0..options.rounds as u32 {
        let mut turns = || {
            let round = options.shape.round(lane, &subject, run)?;
            let frame_bytes = round.bytes_per_delivery.round() as usize;
            served.push(round);
            let plain = match &mut plain {
                Some(plain) => plain,
                none => none.insert(plain_loop(&subject, frame_bytes, options.shape.streams, run)?),
            };
            looped.push(options.shape.round(lane, plain, run)?);
            Ok(())
        };
        let done = turns();
        if served.is_empty() {
            done?;
        } else if unless_early(done)?.is_none() {
            break;
        }
    }
    Ok(options.report(served, looped))
}

/// The send loop, on the same kind of socket as the server.
pub(super) fn plain_loop(
    like: &Subject,
    frame_bytes: usize,
    streams: usize,
    run: &Run,
) -> Result<Subject, Failure> {
    let over_unix = matches!(like.target.streams, Endpoint::Unix(_));
    Subject::start(Kind::SendLoop { frame_bytes }, over_unix, streams, run)
}

impl Shape {
    /// Opens all streams, broadcasts, closes them. The end of the run cuts it short.
    pub(crate) fn round(&self, lane: u32, subject: &Subject, run: &Run) -> Result<Round, Failure> {
        let plan = Plan::new(self.streams, lane..lane + 1);
        let plan = Plan { told: !subject.is_reference(), ..plan };
        let mut courier = Courier::connect(&subject.target)?;
        let fleet = Fleet::open_all(&subject.target, &plan, run)?;
        run.stop.sleep(SETTLE);
        let mut broadcast = |count| self.broadcast(&fleet, run, lane, count, &mut courier);
        let warm = broadcast(0..self.warm_up as u32)?;
        let usage = || {
            let system = subject.gauge.map(|gauge| gauge.user_and_system()).transpose()?;
            Ok::<_, Failure>(subject.cpu()?.zip(system.map(|(_, system)| system)))
        };
        let proxy = || subject.proxy_gauge().map(|gauge| gauge.cpu()).transpose();
        let (before, proxy_before) = (usage()?, proxy()?);
        let (bytes, since) = (fleet.board.bytes(), clock::now());
        let sent = broadcast(warm..warm + self.broadcasts as u32)?;
        let (after, proxy_after) = (usage()?, proxy()?);
        let bytes = fleet.board.bytes() - bytes;

        let tally = fleet.finish(Published { lanes: vec![sent], users: Vec::new() })?;
        let deliveries = (self.streams as u64 * u64::from(sent - warm)).max(1) as f64;
        let per_delivery = |before: Duration, after: Duration| {
            after.saturating_sub(before).as_secs_f64() * 1e6 / deliveries
        };
        // Interrupted before the first of them, there is nothing to divide.
        let used = before.zip(after).filter(|_| sent > warm);
        Ok(Round {
            cpu: used.map(|(before, after)| per_delivery(before.0, after.0)),
            system: used.map(|(before, after)| per_delivery(before.1, after.1)),
            proxy_cpu: proxy_before
                .zip(proxy_after)
                .map(|(before, after)| per_delivery(before, after)),
            bytes_per_delivery: bytes as f64 / deliveries,
            latency: tally.to_last_receiver(self.streams, since),
            tally,
        })
    }

    /// The broadcasts of these numbers, each once the one before has reached everybody; one that does
    /// not ends this. Returns the number after the last of them.
    fn broadcast(
        &self,
        fleet: &Fleet,
        run: &Run,
        lane: u32,
        numbers: std::ops::Range<u32>,
        courier: &mut Courier,
    ) -> Result<u32, Failure> {
        for k in numbers.clone() {
            if run.stop.over() {
                return Ok(k);
            }
            let stamp = Stamp { scope: Scope::Lane(lane), k, t: clock::now() };
            courier.publish(&Order { audience: Audience::Everybody, stamp })?;
            let wanted = (u64::from(k) + 1) * self.streams as u64;
            if !fleet.board.wait_deliveries(wanted, run.common.patience(), || ()) {
                // The books say what is lost.
                return Ok(k + 1);
            }
        }
        Ok(numbers.end)
    }
}

impl Options {
    fn report(&self, served: Vec<Round>, looped: Vec<Round>) -> Report {
        let mut report = Report::new("fanout");
        report.figure("streams", self.shape.streams, "");
        report.figure("broadcasts", self.shape.broadcasts, "a round");
        report.figure("rounds", served.len(), "");
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
