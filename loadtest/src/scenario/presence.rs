//! Users who share conversations with a watcher: all streams are cut at once and come back, which
//! nobody may take for leaving; then some leave for good, which the watcher has to be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;

use super::beside;
use super::storm::Cut;
use crate::cli::{count, positive, seconds, share};
use crate::clock;
use crate::conversations::Conversations;
use crate::failure::{Failure, unless_early};
use crate::fleet::{Fleet, Plan};
use crate::gauge::{Gauge, ListenQueues, Peak};
use crate::opening::Pace;
use crate::report::Report;
use crate::run::Run;
use crate::scripts::{Mix, OpenLoop};
use crate::subject::{Kind, Subject};
use crate::target::Target;
use crate::watched::{Marks, Watched};
use crate::witness::{Heard, Witness};

/// How long the server grants a user to come back before he has left.
const GRACE: Duration = Duration::from_secs(5);

/// How much later the watcher may be told.
const MARGIN: Duration = Duration::from_secs(1);

/// Publisher connections.
const PUBLISHERS: usize = 4;

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Users who are connected, each with a stream of his own
    #[arg(long, default_value_t = 10_000, value_parser = count)]
    connections: usize,
    /// How many of them share a conversation, besides the watcher, who is in all
    #[arg(long, default_value_t = 10, value_parser = count)]
    group: usize,
    /// Events a second, each for one random user, before and after the cut
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    rate: f64,
    /// How all streams are cut, and later those who leave for good
    #[arg(long, value_enum, default_value_t = Cut::Reset)]
    cut: Cut,
    /// Publishing before the cut
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    before: f64,
    /// How long all stay away
    #[arg(long, default_value_t = 0.0, value_parser = seconds)]
    away: f64,
    /// The share of the users who leave for good in the end
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    leave: f64,
}

/// How all were cut and came back.
struct Return {
    cut: u64,
    /// From the cut until the last stream was live.
    took: Duration,
    /// What the server used meanwhile, and the load client.
    server_cpu: Option<Duration>,
    own_cpu: Duration,
    queues: Option<ListenQueues>,
    retries: u64,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    // The watcher is the user after the last one.
    let subject = Subject::obtain_as(Kind::RillService, run, options.connections + 1)?;
    options.gather(&subject.target, run)?;
    let watcher = Witness::open(&subject.target, options.connections as u32, &run.stop)?;
    let publishers = PUBLISHERS.min(options.connections);
    let plan = Plan::new(options.connections, 0..publishers as u32);
    let fleet = Fleet::open_all(&subject.target, &plan, run)?;
    let all_seen = |heard: &[Heard]| Watched::arrivals(heard) >= options.connections;
    watcher.wait(run.common.patience(), &run.stop, all_seen);
    let rss = subject.rss()?;

    let mut peak = Peak::of(subject.gauge);
    let until = Arc::new(AtomicU64::new(u64::MAX));
    let mix = Mix { broadcasts: 0.0, users: options.connections, lanes: publishers };
    let mut script = OpenLoop::new(options.rate, clock::now(), until.clone(), mix, 0);
    let returned = beside(&subject.target, publishers, &mut script, run, || {
        let returned = options.cut_all(&fleet, &subject, &mut peak, run)?;
        until.store(clock::now(), Ordering::Relaxed);
        Ok(returned)
    })?;
    let results = script.results;
    let due = results.published.deliveries(options.connections);
    let complete = fleet.board.wait_deliveries(due, run.common.patience(), || peak.look());
    let left = options.leave_for_good(&fleet, &mut peak, run);
    // Before the others leave too.
    let heard = watcher.finish()?;
    let tally = fleet.finish(results.published.clone())?;

    let mut report = Report::new("presence");
    report.figure("connections", options.connections, "");
    report.figure("conversations", options.conversations(), "");
    report.measured("rss_with_streams", rss, "bytes");
    report.measured("rss_max", peak.bytes(), "bytes");
    let marks = Marks { cut: returned.as_ref().map(|returned| returned.cut), left };
    if let Some(returned) = returned {
        returned.tell(&mut report, options);
    }
    let watched = Watched::sort(&heard, marks);
    watched.tell(&mut report, options.connections, options.leaving(), GRACE..GRACE + MARGIN);
    report.times("opening", &tally.openings);
    report.times("unicast", &tally.unicast);
    results.tell(&mut report);
    report.tally(&tally);
    report.require(complete);
    Ok(report)
}

impl Options {
    fn conversations(&self) -> usize {
        self.connections.div_ceil(self.group)
    }

    fn leaving(&self) -> usize {
        (self.connections as f64 * self.leave).round() as usize
    }

    /// Puts the users into conversations, in turn, and the watcher into each.
    fn gather(&self, target: &Target, run: &Run) -> Result<(), Failure> {
        let mut conversations = Conversations::connect(target)?;
        let count = self.conversations();
        run.monitor.phase(format!("putting {count} lists"));
        for number in 0..count {
            run.stop.check()?;
            let users = (number..self.connections).step_by(count).chain([self.connections]);
            conversations.put(&format!("c{number}"), users)?;
        }
        Ok(())
    }

    /// None when the run has to end before all are back.
    fn cut_all(
        &self,
        fleet: &Fleet,
        subject: &Subject,
        peak: &mut Peak,
        run: &Run,
    ) -> Result<Option<Return>, Failure> {
        run.stop.sleep(Duration::from_secs_f64(self.before));
        if run.stop.over() {
            return Ok(None);
        }
        let usage = || Ok::<_, Failure>((subject.cpu()?, Gauge::own().cpu()?));
        let (queues, retries) = (ListenQueues::now(), fleet.board.retries());
        let (before, cut) = (usage()?, clock::now());
        fleet.cut(0..self.connections as u32, self.cut == Cut::Reset);
        run.stop.sleep(Duration::from_secs_f64(self.away));
        // As in a storm: no bound that would hide an accept queue that is too short.
        let concurrency = run.common.concurrency.unwrap_or(usize::MAX);
        let pace = Pace { concurrency, per_second: None };
        if unless_early(fleet.open(pace, run))?.is_none() {
            return Ok(None);
        }
        let (after, took) = (usage()?, Duration::from_nanos(clock::now() - cut));
        // If somebody was late, it is told now.
        peak.watch(GRACE + MARGIN, &run.stop);
        Ok(Some(Return {
            cut,
            took,
            server_cpu: before.0.zip(after.0).map(|(before, after)| after.saturating_sub(before)),
            own_cpu: after.1.saturating_sub(before.1),
            queues: queues.zip(ListenQueues::now()).map(|(before, after)| after.since(before)),
            retries: fleet.board.retries() - retries,
        }))
    }

    /// When the first users left for good; None if nobody does, or the run has to
    /// end before that is over.
    fn leave_for_good(&self, fleet: &Fleet, peak: &mut Peak, run: &Run) -> Option<u64> {
        if run.stop.over() || self.leaving() == 0 {
            return None;
        }
        let left = clock::now();
        fleet.cut(0..self.leaving() as u32, self.cut == Cut::Reset);
        peak.watch(GRACE + MARGIN, &run.stop);
        (!run.stop.over()).then_some(left)
    }
}

impl Return {
    fn tell(&self, report: &mut Report, options: &Options) {
        let took = self.took.as_secs_f64();
        report.figure("seconds_until_all_back", took, "s");
        report.figure("grace", GRACE.as_secs_f64(), "s");
        let cores = |cpu: Duration| cpu.as_secs_f64() / took;
        report.measured("server_cores_of_return", self.server_cpu.map(cores), "cores");
        report.figure("client_cores_of_return", cores(self.own_cpu), "cores");
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / options.connections as f64;
        report.measured("server_cpu_per_return", self.server_cpu.map(each), "µs");
        report.figure("retried_openings", self.retries, "");
        report.measured("listen_overflows", self.queues.map(|queues| queues.overflows), "");
        report.measured("listen_drops", self.queues.map(|queues| queues.drops), "");
    }
}
