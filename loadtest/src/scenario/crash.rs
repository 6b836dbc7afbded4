//! kill -9 while publishing, again and again on the same data: what was answered must be replayed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use rand::RngExt;

use super::beside;
use crate::child::Child;
use crate::cli::count;
use crate::clock;
use crate::courier::Courier;
use crate::failure::{Failure, While};
use crate::history::History;
use crate::listener;
use crate::publishers::{Next, Outcome, Script};
use crate::report::{Histogram, Report};
use crate::run::Run;
use crate::stamp::{Scope, Stamp};
use crate::stop::Stop;
use crate::subject::{Directory, Kind, Server};
use crate::target::{Audience, Order, Target};

/// Who gets everything.
const USER: u32 = 0;

/// The moment of the kill is random within this time after a random number of answers.
const JITTER: Duration = Duration::from_millis(2);

/// So many answers come within this time, or the run fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the contract replays by default is 10,000 events. A run that may need more raises it.
const REPLAY_LIMIT: usize = 9_000;

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often the server is killed
    #[arg(long, default_value_t = 50, value_parser = count)]
    rounds: usize,
    /// Publisher connections
    #[arg(long, default_value_t = 8, value_parser = count)]
    publishers: usize,
    /// A round's kill comes after 1 to so many answers
    #[arg(long, default_value_t = 150, value_parser = count)]
    answers: usize,
}

/// Publishes to one user, each lane when its last event is answered, until the server is gone.
struct UntilKilled<'a> {
    history: &'a mut History,
    /// Each lane's next number. One whose outcome is unknown is not used again.
    next: &'a mut [u32],
    answered: &'a AtomicU64,
    gone: &'a AtomicBool,
}

impl Script for UntilKilled<'_> {
    fn next(&mut self, lane: usize, now: u64) -> Next {
        if self.gone.load(Ordering::Relaxed) {
            return Next::Done;
        }
        let k = self.next[lane];
        self.next[lane] += 1;
        Next::Publish(order(lane, k, now))
    }

    fn ended(
        &mut self,
        _lane: usize,
        order: Order,
        outcome: Outcome,
        _now: u64,
    ) -> Result<(), Failure> {
        match outcome {
            Outcome::Kept(receipt) => {
                self.history.answered(order.stamp, receipt.id);
                self.answered.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Outcome::Refused(refusal) => Err(refusal),
            Outcome::Unknown(_) => {
                self.history.unknown(order.stamp);
                self.gone.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

fn order(lane: usize, k: u32, t: u64) -> Order {
    Order { audience: Audience::User(USER), stamp: Stamp { scope: Scope::Lane(lane as u32), k, t } }
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    if run.common.attached().is_some() {
        return Err(Failure::Usage("crash kills its server, so that it has to start it"));
    }
    let (common, stop) = (&run.common, &run.stop);
    let dialect = run.dialect(&Kind::Rill.dialect(), 1)?;
    let directory = Directory::of(common, common.over_unix())?;
    let mut server = Server::new(run, &directory, 16)?;
    if options.rounds * options.answers * 2 > REPLAY_LIMIT {
        server = server.with("RILL_LOG_REPLAY_LIMIT", "1000000");
    }
    let mut history = History::default();
    let mut next = vec![0; options.publishers + 1];
    let mut restarts = Histogram::default();
    let mut round = 0;
    loop {
        let began = clock::now();
        let started = server.start(stop);
        if round > 0 && stop.over() {
            return Ok(report(round, options.publishers, &history, &restarts));
        }
        let (mut child, endpoint) = started?;
        if round > 0 {
            restarts.record(clock::now() - began);
        }
        let target = Target::new(endpoint, dialect.clone()).with(&common.header, 0);
        options.verify(round as u32, &target, &mut history, stop)?;
        if round == options.rounds || stop.over() {
            return Ok(report(round, options.publishers, &history, &restarts));
        }
        options.kill_while_publishing(&target, &mut child, &mut history, &mut next, run)?;
        round += 1;
    }
}

impl Options {
    /// Replays everything from before the first publish on. The last of it is an event that is
    /// published now, which also shows that publishing goes on.
    fn verify(
        &self,
        round: u32,
        target: &Target,
        history: &mut History,
        stop: &Stop,
    ) -> Result<(), Failure> {
        if history.start().is_empty() {
            history.begin(listener::head(target, USER, stop)?);
        }
        let last = order(self.publishers, round, clock::now());
        let receipt = Courier::connect(target)?.publish(&last)?;
        history.answered(last.stamp, receipt.id);
        let replay = listener::replay(target, USER, history.start(), last.stamp, stop)?;
        history.verify(&replay);
        Ok(())
    }

    fn kill_while_publishing(
        &self,
        target: &Target,
        child: &mut Child,
        history: &mut History,
        next: &mut [u32],
        run: &Run,
    ) -> Result<(), Failure> {
        let (answered, gone) = (AtomicU64::new(0), AtomicBool::new(false));
        let mut script = UntilKilled { history, next, answered: &answered, gone: &gone };
        let goal = rand::rng().random_range(1..=self.answers as u64);
        beside(target, self.publishers, &mut script, run, || {
            let reached = wait_for(&answered, goal, &gone, &run.stop);
            std::thread::sleep(JITTER.mul_f64(rand::rng().random()));
            // Also when the wait failed: it is the server's end that ends the script.
            child.kill();
            reached
        })
    }
}

fn wait_for(
    answered: &AtomicU64,
    goal: u64,
    gone: &AtomicBool,
    stop: &Stop,
) -> Result<(), Failure> {
    let end = clock::now() + clock::nanos(PATIENCE);
    while answered.load(Ordering::Relaxed) < goal && !gone.load(Ordering::Relaxed) {
        if stop.over() {
            return Ok(());
        }
        if clock::now() > end {
            let late: std::io::Error = std::io::ErrorKind::TimedOut.into();
            return Err(late).while_("waiting for answers to publishes");
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}

fn report(kills: usize, publishers: usize, history: &History, restarts: &Histogram) -> Report {
    let mut report = Report::new("crash");
    report.figure("kills", kills, "");
    report.figure("publishers", publishers, "");
    history.tell(&mut report);
    report.times("restart", restarts);
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_never_used_again() {
        let (mut history, mut next) = (History::default(), [0; 2]);
        let (answered, gone) = (AtomicU64::new(0), AtomicBool::new(false));
        let mut script = UntilKilled {
            history: &mut history,
            next: &mut next,
            answered: &answered,
            gone: &gone,
        };
        let Next::Publish(first) = script.next(0, 1) else { panic!() };
        script
            .ended(0, first, Outcome::Unknown(std::io::ErrorKind::ConnectionReset.into()), 2)
            .unwrap();
        assert_eq!(script.next(0, 3), Next::Done);
        assert_eq!((next, answered.into_inner()), ([1, 0], 0));
    }
}
