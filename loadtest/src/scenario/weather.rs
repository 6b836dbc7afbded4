//! What `unicast`, `churn`, `slow`, `mixed`, `soak` and `siege` have in common: events at a rate to streams
//! that behave as people's do. Some leave and come back, some read slowly, now and then all are cut
//! off, now and then there is a flood. In the end everybody must have everything.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use super::beside;
use crate::clock;
use crate::diet::Slow;
use crate::failure::{Failure, unless_early};
use crate::fleet::{Fleet, Plan};
use crate::gauge::Peak;
use crate::ledger::Tally;
use crate::opening::Pace;
use crate::report::{Histogram, Report};
use crate::results::Results;
use crate::run::Run;
use crate::scripts::{Burst, Mix, OpenLoop};
use crate::subject::{Kind, PATIENT_REPLAY_LIMIT, Subject};

/// How long those who are away, or slow, may take to come level in the end.
const HOMECOMING: Duration = Duration::from_secs(120);

/// The most broadcasts whose way is kept: 24 bytes each for every client thread.
const MOST_KEPT: f64 = 1e6;

/// What happens to the streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// Streams, each of another user.
    pub(super) streams: usize,
    /// How long it lasts.
    pub(super) duration: Duration,
    /// Events a second.
    pub(super) rate: f64,
    /// The share of them that is for everybody; the others are for one random user each.
    pub(super) broadcast_share: f64,
    /// Publisher connections.
    pub(super) publishers: usize,
    /// Streams that leave and come back, a second.
    pub(super) churn: f64,
    /// Streams that read slowly.
    pub(super) slow: Option<Slow>,
    /// Floods on top.
    pub(super) burst: Option<Burst>,
    /// Time from one cut of all streams to the next.
    pub(super) cut_every: Option<Duration>,
}

/// What came of it.
pub(super) struct Outcome {
    weather: Weather,
    results: Results,
    /// What was counted.
    pub(super) tally: Tally,
    peak: Peak,
    cuts: u32,
    seconds: f64,
    /// Deliveries within them.
    in_time: u64,
    server_cpu: Option<f64>,
    /// All streams were open in the end.
    all_live: bool,
}

impl Weather {
    /// Events at a rate and nothing else.
    pub(super) fn calm(streams: usize, seconds: f64, rate: f64, publishers: usize) -> Weather {
        Weather {
            streams,
            duration: Duration::from_secs_f64(seconds),
            rate,
            broadcast_share: 1.0,
            publishers,
            churn: 0.0,
            slow: None,
            burst: None,
            cut_every: None,
        }
    }

    /// A server that bears it.
    pub(super) fn subject(&self, run: &Run) -> Result<Subject, Failure> {
        let kind = if self.slow.is_some() { Kind::PatientRill } else { Kind::Rill };
        Subject::obtain_as(kind, run, self.streams)
    }

    /// Runs it against a server; `watch` is called now and then while it lasts.
    pub(super) fn pass(
        self,
        subject: &Subject,
        run: &Run,
        mut watch: impl FnMut(Duration),
    ) -> Result<Outcome, Failure> {
        if self.broadcast_share < 1.0 && !subject.target.knows_users() {
            return Err(Failure::Usage("this server's dialect has no events for one user"));
        }
        // Each user's events go through one connection, and each connection has a user.
        let publishers = self.publishers.min(self.streams);
        let fleet = Fleet::open_all(&subject.target, &self.plan(publishers), run)?;
        let start = clock::now();
        let until = Arc::new(AtomicU64::new(start + clock::nanos(self.duration)));
        let mix = Mix { broadcasts: self.broadcast_share, users: self.streams, lanes: publishers };
        let mut script = OpenLoop::new(self.rate, start, until, mix, 0).with(self.burst);
        let mut peak = Peak::of(subject.gauge);
        let cpu = subject.cpu()?;
        let cuts = beside(&subject.target, publishers, &mut script, run, || {
            self.blow(&fleet, &mut peak, run, &mut watch)
        })?;
        // What comes later is caught up, and no part of the rate.
        let seconds = (clock::now() - start) as f64 / 1e9;
        let in_time = fleet.board.deliveries();
        let server_cpu = cpu.zip(subject.cpu()?);
        let server_cpu =
            server_cpu.map(|(before, after)| after.saturating_sub(before).as_secs_f64());
        let results = script.results;
        let all_live = self.bring_home(&fleet, &results, &mut peak, run);
        let tally = fleet.finish(results.published.clone())?;
        Ok(Outcome {
            weather: self,
            results,
            tally,
            peak,
            cuts,
            seconds,
            in_time,
            server_cpu,
            all_live,
        })
    }

    fn plan(&self, publishers: usize) -> Plan {
        let broadcasts = self.rate * self.broadcast_share * self.duration.as_secs_f64();
        let floods = self.burst.map_or(0.0, |burst| {
            self.duration.as_secs_f64() / burst.every.as_secs_f64() * burst.count as f64
        });
        let keep_every = ((broadcasts + floods) / MOST_KEPT).ceil() as u32;
        let plan = Plan::new(self.streams, 0..publishers as u32);
        Plan { slow: self.slow, keep_every: keep_every.max(1), ..plan }
    }

    /// Lets it last; how often all streams were cut.
    fn blow(
        &self,
        fleet: &Fleet,
        peak: &mut Peak,
        run: &Run,
        watch: &mut impl FnMut(Duration),
    ) -> Result<u32, Failure> {
        const GLANCE: Duration = Duration::from_secs(1);
        fleet.churn(self.churn);
        let (began, mut cuts) = (Instant::now(), 0);
        while began.elapsed() < self.duration && !run.stop.over() {
            if self.cut_every.is_some_and(|every| began.elapsed() >= every * (cuts + 1)) {
                let pace = Pace { concurrency: usize::MAX, per_second: None };
                if unless_early(fleet.storm(true, pace, run))?.is_none() {
                    break;
                }
                cuts += 1;
            }
            peak.watch(GLANCE.min(self.duration.saturating_sub(began.elapsed())), &run.stop);
            watch(began.elapsed());
        }
        fleet.churn(0.0);
        Ok(cuts)
    }

    /// Waits until all streams are open and have everything.
    fn bring_home(&self, fleet: &Fleet, results: &Results, peak: &mut Peak, run: &Run) -> bool {
        fleet.end_diet();
        let limit = if run.stop.over() { run.common.patience() } else { HOMECOMING };
        let all_live = fleet.board.wait_live(self.streams, limit);
        let due = results.published.deliveries(self.streams);
        fleet.board.wait_deliveries(due, run.common.patience(), || peak.look());
        all_live
    }
}

impl Outcome {
    /// From the intended time of sending to the answer.
    pub(super) fn publishing(&self) -> &Histogram {
        &self.results.latency
    }

    /// Those that the server used.
    pub(super) fn cores(&self) -> Option<f64> {
        self.server_cpu.map(|cpu| cpu / self.seconds)
    }

    /// Whether all was published and came to everybody.
    pub(super) fn sound(&self) -> bool {
        self.all_live && self.results.all_kept() && !self.tally.faulty()
    }

    /// Adds its figures.
    pub(super) fn tell(&self, report: &mut Report) {
        let tally = &self.tally;
        report.figure("streams", self.weather.streams, "");
        report.figure("seconds", self.seconds, "s");
        report.figure("rate", self.weather.rate, "/s");
        report.figure("deliveries_per_second", self.in_time as f64 / self.seconds, "/s");
        report.measured("server_cores", self.cores(), "cores");
        let per_delivery = self.server_cpu.map(|cpu| cpu * 1e6 / self.in_time.max(1) as f64);
        report.measured("server_cpu_per_delivery", per_delivery, "µs");
        report.measured("rss_max", self.peak.bytes(), "bytes");
        self.tell_returns(report);
        self.results.tell(report);
        if self.weather.broadcast_share < 1.0 {
            report.times("unicast", &tally.unicast);
        }
        if self.weather.broadcast_share > 0.0 {
            report.times("broadcast_to_last", &tally.to_last_receiver(self.weather.streams, 0));
        }
        report.tally(tally);
        report.require(self.all_live);
    }

    /// Adds what streams that were away, or slow, did.
    fn tell_returns(&self, report: &mut Report) {
        let tally = &self.tally;
        if self.weather.churn > 0.0 {
            report.figure("left_and_came_back", tally.churned, "");
        }
        if self.cuts > 0 {
            report.figure("cuts_of_all", self.cuts, "");
        }
        if self.weather.slow.is_some() {
            report.figure("replay_limit_of_a_server_of_ours", PATIENT_REPLAY_LIMIT, "");
            report.figure("slow_ones_given_up", tally.shed, "");
        }
        if tally.replayed > 0 {
            report.figure("replayed", tally.replayed, "");
            report.times("opening", &tally.openings);
        }
    }
}
