//! Bad tokens as fast as they go, while others publish and listen, who must hardly notice.
//!
//! First these are alone, then there is a siege with each kind of bad token. The besiegers have an
//! address of their own, so that a limit on bad credentials, as of
//! `--server-env RILL_RATES_FAILED_CREDENTIALS=100/m`, is for them alone.

use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};

use super::beside;
use super::weather::{Outcome, Weather};
use crate::besiegers::{Bad, Refusals, Siege};
use crate::cli::{count, positive};
use crate::clock;
use crate::failure::{Failure, unless_early};
use crate::ledger::Tally;
use crate::report::{Histogram, Report};
use crate::run::Run;
use crate::subject::Subject;
use crate::table::{Cell, Table};

const COLUMNS: [&str; 11] = [
    "bad tokens",
    "of them a second",
    "answered with 429, %",
    "server, cores",
    "of it for one bad token, µs",
    "publish p50, ms",
    "publish p99, ms",
    "publish p99.9, ms",
    "delivery p50, ms",
    "delivery p99, ms",
    "delivery p99.9, ms",
];

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Streams, each of another user
    #[arg(long, default_value_t = 200, value_parser = count)]
    streams: usize,
    /// Broadcasts a second
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    rate: f64,
    /// How long they are sent, alone and in each siege
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    seconds: f64,
    /// Publisher connections
    #[arg(long, default_value_t = 8, value_parser = count)]
    publishers: usize,
    /// Connections of the besiegers
    #[arg(long, default_value_t = 32, value_parser = count)]
    besiegers: usize,
    /// What they bring
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Bad::value_variants().to_vec())]
    tokens: Vec<Bad>,
    /// A 99th percentile may grow to so many times what it is without a siege
    #[arg(long, default_value_t = 3.0, value_parser = positive)]
    times: f64,
    /// Or to so many milliseconds, if that is more
    #[arg(long, default_value_t = 20.0, value_parser = positive, value_name = "MS")]
    within: f64,
}

/// What the others had of it, and what the besiegers.
struct Besieged {
    /// None while nobody comes.
    bad: Option<Bad>,
    outcome: Outcome,
    /// From when an event was meant to be sent to its last receiver.
    delivery: Histogram,
    refusals: Refusals,
    /// Bad tokens answered a second.
    rate: f64,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    let Some(signer) = &run.signer else {
        return Err(Failure::Usage("siege needs --jwt: a demo token cannot be forged"));
    };
    let forger = signer.forger()?;
    let subject = options.weather().subject(run)?;
    let mut phases = vec![options.calm(&subject, run)?];
    for &bad in &options.tokens {
        if run.stop.over() {
            break;
        }
        let besieged = options.besieged(bad, bad.token(&forger)?, &subject, run);
        phases.extend(unless_early(besieged)?);
    }
    Ok(options.report(phases))
}

impl Options {
    fn weather(&self) -> Weather {
        Weather::calm(self.streams, self.seconds, self.rate, self.publishers)
    }

    fn calm(&self, subject: &Subject, run: &Run) -> Result<Besieged, Failure> {
        run.monitor.phase("no siege");
        let outcome = self.weather().pass(subject, run, |_| ())?;
        let delivery = outcome.tally.to_last_receiver(self.streams, 0);
        Ok(Besieged { bad: None, outcome, delivery, refusals: Refusals::default(), rate: 0.0 })
    }

    fn besieged(
        &self,
        bad: Bad,
        token: String,
        subject: &Subject,
        run: &Run,
    ) -> Result<Besieged, Failure> {
        run.monitor.phase(format!("siege: {}", bad.name()));
        let over = AtomicBool::new(false);
        let (mut siege, began) = (Siege::new(&over), clock::now());
        let stranger = subject.target.of_a_stranger(token);
        let outcome = beside(&stranger, self.besiegers, &mut siege, run, || {
            let outcome = self.weather().pass(subject, run, |_| ());
            over.store(true, Ordering::Relaxed);
            outcome
        })?;
        let (refusals, seconds) = (siege.refusals, (clock::now() - began) as f64 / 1e9);
        let delivery = outcome.tally.to_last_receiver(self.streams, 0);
        let rate = refusals.answered() as f64 / seconds;
        Ok(Besieged { bad: Some(bad), outcome, delivery, refusals, rate })
    }

    fn report(&self, phases: Vec<Besieged>) -> Report {
        let mut report = Report::new("siege");
        report.figure("streams", self.streams, "");
        report.figure("rate", self.rate, "/s");
        report.figure("besiegers", self.besiegers, "");
        let calm = &phases[0];
        let (cores, limits) = (calm.outcome.cores(), calm.p99().map(|calm| self.most(calm)));
        report.figure("publish_p99_limit", limits[0], "ms");
        report.figure("delivery_p99_limit", limits[1], "ms");
        let mut table = Table::new("siege", &COLUMNS);
        let (mut tally, mut refusals) = (Tally::default(), Refusals::default());
        for phase in phases {
            table.row(phase.row(cores));
            let mut pairs = phase.p99().into_iter().zip(limits);
            report.require(pairs.all(|(p99, limit)| p99.is_none_or(|p99| p99 <= limit)));
            report.require(phase.outcome.sound());
            refusals.add(&phase.refusals);
            tally.add(phase.outcome.tally);
        }
        report.figure("bad_tokens_refused", refusals.refused + refusals.limited, "");
        report.figure("bad_tokens_without_answer", refusals.unanswered, "");
        report.figure("bad_tokens_taken", refusals.taken, "");
        report.require(refusals.taken == 0);
        report.tally(&tally);
        report.table(table);
        report
    }

    /// What a 99th percentile may be, in milliseconds.
    fn most(&self, calm: Option<f64>) -> f64 {
        calm.map_or(self.within, |calm| (calm * self.times).max(self.within))
    }
}

impl Besieged {
    /// Of publishing and of delivery, in milliseconds.
    fn p99(&self) -> [Option<f64>; 2] {
        [self.outcome.publishing(), &self.delivery].map(|times| times.millis(99.0))
    }

    /// With what the server uses without a siege.
    fn row(&self, calm: Option<f64>) -> Vec<Cell> {
        let (answered, limited) = (self.refusals.answered() as f64, self.refusals.limited as f64);
        let share = (answered > 0.0).then(|| limited / answered * 100.0);
        let cores = self.outcome.cores();
        let more = cores.zip(calm).map(|(cores, calm)| cores - calm);
        let of_one = more.filter(|_| self.rate > 0.0).map(|more| more / self.rate * 1e6);
        let figures = [self.bad.map(|_| self.rate), share, cores, of_one];
        let mut row = vec![Cell::text(self.bad.map_or("none", Bad::name))];
        row.extend(figures.map(Cell::from));
        for times in [self.outcome.publishing(), &self.delivery] {
            row.extend([50.0, 99.0, 99.9].map(|percentile| Cell::from(times.millis(percentile))));
        }
        row
    }
}
