//! A conversation of many members, some of them connected: what its list costs, how long it takes to
//! change it, and one publisher who speaks to all.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clap::Args;

use super::beside;
use crate::cli::{count, positive, rate_or_none};
use crate::clock;
use crate::conversations::{Conversations, EVERYBODY};
use crate::courier::Courier;
use crate::failure::Failure;
use crate::fleet::{Fleet, Plan};
use crate::gauge::Peak;
use crate::ledger::{Published, Tally};
use crate::report::{Histogram, Report};
use crate::results::Results;
use crate::run::Run;
use crate::scripts::{ClosedLoop, Mix, OpenLoop};
use crate::stamp::{Scope, Stamp};
use crate::subject::{Kind, Subject};
use crate::target::{Audience, Order};
use crate::witness::{Heard, Witness};

/// What a change of the list leaves behind is done by then.
const SETTLE: Duration = Duration::from_secs(1);

/// The numberings of what the publisher sends, and of what is sent while the list changes.
const PUBLISHER: u32 = 0;
const CHANGES: u32 = 1;

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Members of the conversation; Rill takes up to 10,000 in one list
    #[arg(long, default_value_t = 10_000, value_parser = count)]
    members: usize,
    /// Members who are connected, each with a stream of his own
    #[arg(long, default_value_t = 1_000, value_parser = count)]
    connections: usize,
    /// Events a second; 0: each when the one before is answered
    #[arg(long, default_value_t = 100.0, value_parser = rate_or_none)]
    rate: f64,
    /// How long they are published
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    seconds: f64,
    /// How often the whole list is deleted and put again before that, with the streams open
    #[arg(long, default_value_t = 10)]
    lists: usize,
    /// How often one user joins after that, hears one event, leaves, and misses one
    #[arg(long, default_value_t = 200)]
    changes: usize,
}

/// The server's memory at one stage after the other.
#[derive(Default)]
struct Memory {
    before: Option<u64>,
    with_list: Option<u64>,
    with_streams: Option<u64>,
}

/// What changes of the list took, and what the one who came and went had of it.
#[derive(Default)]
struct Changes {
    list_put: Histogram,
    list_deleted: Histogram,
    user_put: Histogram,
    user_deleted: Histogram,
    /// Events while it changed.
    published: u32,
    /// The numbers of those that he was a member for.
    his: Vec<u32>,
}

/// What publishing at length showed.
struct Speech {
    since: u64,
    seconds: f64,
    results: Results,
    cpu: Option<f64>,
    rss_max: Option<u64>,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    if options.connections > options.members {
        return Err(Failure::Usage("--connections are members: there are not more than --members"));
    }
    let subject = Subject::obtain_as(Kind::RillService, run, options.connections + 1)?;
    // Before any memory is read, so that no figure has what a server's first stream costs.
    let guest = Witness::open(&subject.target, options.guest() as u32, &run.stop)?;
    let rss = || {
        run.stop.sleep(SETTLE);
        subject.rss()
    };
    let mut memory = Memory { before: rss()?, ..Memory::default() };
    let mut first_list = Histogram::default();
    let mut conversations = Conversations::connect(&subject.target)?;
    timed(&mut first_list, || conversations.put(EVERYBODY, options.list()))?;
    memory.with_list = rss()?;
    let plan = Plan::new(options.connections, PUBLISHER..CHANGES + 1);
    let fleet = Fleet::open_all(&subject.target, &plan, run)?;
    memory.with_streams = rss()?;

    let changes = options.change(&subject, &fleet, &guest, run)?;
    let speech = options.speak(&subject, run)?;
    let lanes = vec![speech.results.published.lanes[0], changes.published];
    let published = Published { lanes, users: Vec::new() };
    let due = published.deliveries(options.connections);
    fleet.board.wait_deliveries(due, run.common.patience(), || ());
    let heard = guest.finish()?;
    let tally = fleet.finish(published)?;

    let mut report = Report::new("conversation");
    report.figure("members", options.members, "");
    report.figure("connections", options.connections, "");
    memory.tell(&mut report, options);
    report.measured("first_list_put", first_list.millis(100.0), "ms");
    changes.tell(&mut report, &heard);
    speech.tell(&mut report, options, &tally);
    report.tally(&tally);
    Ok(report)
}

impl Options {
    /// Connected, and on the list only now and then.
    fn guest(&self) -> usize {
        self.connections
    }

    /// The connected ones are the first of them.
    fn list(&self) -> impl Iterator<Item = usize> {
        let guest = self.guest();
        (0..=self.members).filter(move |user| *user != guest)
    }

    fn change(
        &self,
        subject: &Subject,
        fleet: &Fleet,
        guest: &Witness,
        run: &Run,
    ) -> Result<Changes, Failure> {
        let mut conversations = Conversations::connect(&subject.target)?;
        let mut courier = Courier::connect(&subject.target)?;
        let mut changes = Changes::default();
        for _ in 0..self.lists {
            if run.stop.over() {
                break;
            }
            timed(&mut changes.list_deleted, || conversations.delete(EVERYBODY))?;
            timed(&mut changes.list_put, || conversations.put(EVERYBODY, self.list()))?;
        }
        for _ in 0..self.changes {
            if run.stop.over() {
                break;
            }
            timed(&mut changes.user_put, || conversations.add(EVERYBODY, self.guest()))?;
            let his = changes.publish(&mut courier)?;
            changes.his.push(his);
            let has_it = |heard: &[Heard]| got(heard).any(|(k, _)| k == his);
            guest.wait(run.common.patience(), &run.stop, has_it);
            timed(&mut changes.user_deleted, || conversations.remove(EVERYBODY, self.guest()))?;
            changes.publish(&mut courier)?;
            // He may get it after all if he joins again before each shard has come to it.
            let due = u64::from(changes.published) * self.connections as u64;
            fleet.board.wait_deliveries(due, run.common.patience(), || ());
        }
        Ok(changes)
    }

    fn speak(&self, subject: &Subject, run: &Run) -> Result<Speech, Failure> {
        let (since, mut peak) = (clock::now(), Peak::of(subject.gauge));
        let duration = Duration::from_secs_f64(self.seconds);
        let until = since + clock::nanos(duration);
        let meanwhile = || {
            let before = subject.cpu()?;
            peak.watch(duration, &run.stop);
            let used = before.zip(subject.cpu()?);
            Ok(used.map(|(before, after)| after.saturating_sub(before).as_secs_f64()))
        };
        let (cpu, results) = if self.rate > 0.0 {
            let mix = Mix { broadcasts: 1.0, users: 0, lanes: 1 };
            let until = Arc::new(AtomicU64::new(until));
            let mut script = OpenLoop::new(self.rate, since, until, mix, PUBLISHER);
            (beside(&subject.target, 1, &mut script, run, meanwhile)?, script.results)
        } else {
            let mut script = ClosedLoop::new(1, since, until);
            (beside(&subject.target, 1, &mut script, run, meanwhile)?, script.results)
        };
        let seconds = clock::now().min(until).saturating_sub(since) as f64 / 1e9;
        Ok(Speech { since, seconds, results, cpu, rss_max: peak.bytes() })
    }
}

/// Enters how long it took.
fn timed(
    times: &mut Histogram,
    change: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let began = clock::now();
    change()?;
    times.record(clock::now() - began);
    Ok(())
}

/// The events that the guest got: the number of each, and how long it took. What was not published
/// while the list changed has no number of these, and was not for him.
fn got(heard: &[Heard]) -> impl Iterator<Item = (u32, u64)> {
    heard.iter().filter_map(|heard| {
        let stamp = Stamp::find(heard.data.as_bytes())?;
        let k = if stamp.scope == Scope::Lane(CHANGES) { stamp.k } else { u32::MAX };
        Some((k, heard.at.saturating_sub(stamp.t)))
    })
}

impl Memory {
    fn tell(&self, report: &mut Report, options: &Options) {
        let growth = |before: Option<u64>, after: Option<u64>| {
            before.zip(after).map(|(before, after)| after as i64 - before as i64)
        };
        report.measured("rss_before", self.before, "bytes");
        report.measured("rss_with_list", self.with_list, "bytes");
        let list = growth(self.before, self.with_list);
        report.measured("rss_of_list", list, "bytes");
        let member = list.map(|list| list as f64 / options.members as f64);
        report.measured("rss_per_member", member, "bytes");
        report.measured("rss_with_streams", self.with_streams, "bytes");
        let streams = growth(self.with_list, self.with_streams);
        let stream = streams.map(|streams| streams as f64 / options.connections as f64);
        report.measured("rss_per_stream", stream, "bytes");
    }
}

impl Changes {
    /// Sends an event to the members of the moment; its number.
    fn publish(&mut self, courier: &mut Courier) -> Result<u32, Failure> {
        let k = self.published;
        let stamp = Stamp { scope: Scope::Lane(CHANGES), k, t: clock::now() };
        courier.publish(&Order { audience: Audience::Everybody, stamp })?;
        self.published += 1;
        Ok(k)
    }

    fn tell(&self, report: &mut Report, heard: &[Heard]) {
        report.times("list_put", &self.list_put);
        report.times("list_deleted", &self.list_deleted);
        report.times("user_put", &self.user_put);
        report.times("user_deleted", &self.user_deleted);
        let (mut after_joining, mut numbers) = (Histogram::default(), Vec::new());
        for (k, took) in got(heard) {
            after_joining.record(took);
            numbers.push(k);
        }
        report.times("event_after_joining", &after_joining);
        let missed = self.his.iter().filter(|k| !numbers.contains(k)).count();
        let not_his = numbers.iter().filter(|k| !self.his.contains(k)).count();
        report.figure("joined_and_left", self.his.len(), "");
        report.figure("missed_after_joining", missed, "");
        report.figure("heard_after_leaving", not_his, "");
        // Each once, and in order.
        report.require(numbers == self.his);
    }
}

impl Speech {
    fn tell(&self, report: &mut Report, options: &Options, tally: &Tally) {
        report.figure("rate", options.rate, "/s");
        let kept = self.results.published.lanes[0];
        report.figure("publishes_per_second", f64::from(kept) / self.seconds, "/s");
        self.results.tell(report);
        report.times("to_last_receiver", &tally.to_last_receiver(options.connections, self.since));
        let deliveries = f64::from(kept) * options.connections as f64;
        let per_delivery = self.cpu.map(|cpu| cpu * 1e6 / deliveries.max(1.0));
        report.measured("server_cpu_per_delivery", per_delivery, "µs");
        let percent = self.cpu.map(|cpu| cpu / self.seconds * 100.0);
        report.measured("server_cpu_percent", percent, "% of a core");
        report.measured("rss_max", self.rss_max, "bytes");
    }
}
