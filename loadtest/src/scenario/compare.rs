//! Rill next to others, in the same run and in turn: memory of a stream, CPU of a delivery, how fast
//! broadcasts pass, and how long one takes to the last receiver.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::density;
use super::fanout::{Round, Shape};
use super::flood::{self, Saturated};
use crate::cli::{count, positive};
use crate::document;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::ledger::Tally;
use crate::report::{Histogram, Report, median};
use crate::run::Run;
use crate::subject::{Kind, Subject};
use crate::table::{Table, cell};
use crate::versions::versions;

/// The send loop sends events as large as Rill's when a broadcast has the message that is measured.
const FRAME_BYTES: usize = 268;

/// How long streams are open before their memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// How many broadcasts a round has, for all streams together: more of them tell nothing new.
const DELIVERIES_OF_ROUND: usize = 400_000;
const FEWEST_BROADCASTS: usize = 60;

/// Where the table goes in a document.
const MARK: &str = "compare";

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Numbers of streams
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000], value_parser = count)]
    streams: Vec<usize>,
    /// Who takes part; a server at --url, asked by --dialect, comes besides
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Contender::ALL)]
    servers: Vec<Contender>,
    /// Rounds; the servers take turns, and medians are given
    #[arg(long, default_value_t = 3, value_parser = count)]
    rounds: usize,
    /// How long broadcasts are sent as fast as they arrive
    #[arg(long, default_value_t = 4.0, value_parser = positive)]
    seconds: f64,
    /// Write the tables into this document, between <!-- compare --> and <!-- /compare -->
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Contender {
    Rill,
    RillUnix,
    SendLoop,
    SendLoopUnix,
    Nchan,
    Axum,
}

impl Contender {
    const ALL: [Contender; 6] = [
        Contender::Rill,
        Contender::RillUnix,
        Contender::SendLoop,
        Contender::SendLoopUnix,
        Contender::Nchan,
        Contender::Axum,
    ];

    fn name(self) -> &'static str {
        match self {
            Contender::Rill => "Rill",
            Contender::RillUnix => "Rill, unix socket",
            Contender::SendLoop => "send loop",
            Contender::SendLoopUnix => "send loop, unix socket",
            Contender::Nchan => "nchan",
            Contender::Axum => "axum",
        }
    }

    fn start(self, streams: usize, run: &Run) -> Result<Subject, Failure> {
        let (kind, over_unix) = match self {
            Contender::Rill => (Kind::Rill, false),
            Contender::RillUnix => (Kind::Rill, true),
            Contender::SendLoop => (Kind::SendLoop { frame_bytes: FRAME_BYTES }, false),
            Contender::SendLoopUnix => (Kind::SendLoop { frame_bytes: FRAME_BYTES }, true),
            Contender::Nchan => (Kind::Nchan, false),
            Contender::Axum => (Kind::Axum, false),
        };
        Subject::start(kind, over_unix, streams, run)
    }
}

/// One server and what it has shown so far.
struct Entrant {
    name: String,
    subject: Subject,
    per_stream: Option<f64>,
    rounds: Vec<Round>,
    saturated: Option<Saturated>,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    if let Some(path) = &options.document {
        document::check(path, MARK)?;
    }
    let mut report = Report::new("compare");
    for &streams in &options.streams {
        if run.stop.over() {
            break;
        }
        let mut entrants = options.line_up(streams, run)?;
        options.broadcast(streams, &mut entrants, run)?;
        options.saturate(streams, &mut entrants, run)?;
        report.table(table(streams, &entrants));
        for entrant in entrants {
            report.require(!entrant.faulty());
        }
    }
    if let Some(path) = options.document.as_ref().filter(|_| !run.stop.over()) {
        document::insert(path, MARK, &options.document(&report))?;
    }
    Ok(report)
}

impl Options {
    /// Starts the servers one after the other, each measured for its memory while it is fresh.
    fn line_up(&self, streams: usize, run: &Run) -> Result<Vec<Entrant>, Failure> {
        let mut entrants = Vec::new();
        for contender in &self.servers {
            let subject = contender.start(streams, run)?;
            entrants.push(Entrant::new(contender.name().into(), subject, streams, run)?);
        }
        if let Some(endpoint) = run.common.attached() {
            let subject = Subject::attach(endpoint.clone(), run)?;
            entrants.push(Entrant::new(endpoint.to_string(), subject, streams, run)?);
        }
        Ok(entrants)
    }

    fn broadcast(
        &self,
        streams: usize,
        entrants: &mut [Entrant],
        run: &Run,
    ) -> Result<(), Failure> {
        let broadcasts = (DELIVERIES_OF_ROUND / streams).max(FEWEST_BROADCASTS);
        let shape = Shape { streams, broadcasts, warm_up: 10 };
        for number in 0..self.rounds as u32 {
            for entrant in entrants.iter_mut() {
                if run.stop.over() {
                    return Ok(());
                }
                run.monitor.phase(format!("{streams} streams, round {number}: {}", entrant.name));
                entrant.rounds.push(shape.round(number, &entrant.subject, run)?);
            }
        }
        Ok(())
    }

    fn saturate(&self, streams: usize, entrants: &mut [Entrant], run: &Run) -> Result<(), Failure> {
        let duration = Duration::from_secs_f64(self.seconds);
        for entrant in entrants.iter_mut().filter(|_| !run.stop.over()) {
            run.monitor.phase(format!("{streams} streams, at full speed: {}", entrant.name));
            let subject = &entrant.subject;
            entrant.saturated = Some(flood::saturate(subject, streams, duration, 100, run)?);
        }
        Ok(())
    }

    /// The tables with all that is needed to make them anew.
    fn document(&self, report: &Report) -> String {
        let facts = Facts::now();
        let versions = versions().into_iter().map(|(name, version)| format!("{name} {version}"));
        let mut text = format!(
            "{}; {}; {}. The client runs on the same cores. Made by\n`{}`:\n",
            facts.date(),
            facts.machine,
            versions.collect::<Vec<_>>().join(", "),
            facts.command,
        );
        for table in report.tables() {
            text += &format!("\n**{}**\n\n{}", table.title(), table.markdown());
        }
        text
    }
}

impl Entrant {
    fn new(name: String, subject: Subject, streams: usize, run: &Run) -> Result<Entrant, Failure> {
        run.monitor.phase(format!("{streams} streams, memory: {name}"));
        let shape = density::Shape { streams, pace: run.common.pace(), settle: SETTLE };
        let density = density::measure(&subject, shape, None, run)?;
        let per_stream = density.per_stream();
        Ok(Entrant { name, subject, per_stream, rounds: Vec::new(), saturated: None })
    }

    fn cpu(&self) -> Option<f64> {
        let each: Option<Vec<f64>> = self.rounds.iter().map(|round| round.cpu).collect();
        each.filter(|each| !each.is_empty()).map(median)
    }

    fn latency(&self) -> Histogram {
        let mut sum = Histogram::default();
        self.rounds.iter().for_each(|round| sum.add(&round.latency));
        sum
    }

    fn faulty(&self) -> bool {
        let saturated = self.saturated.as_ref().map(|saturated| &saturated.tally);
        self.rounds.iter().map(|round| &round.tally).chain(saturated).any(Tally::faulty)
    }
}

fn table(streams: usize, entrants: &[Entrant]) -> Table {
    let mut table = Table::new(
        format!("{} streams", cell(Some(streams as f64))),
        &[
            "server",
            "RSS of a stream, bytes",
            "CPU of a delivery, µs",
            "of Rill's",
            "deliveries a second",
            "of Rill's",
            "p50, ms",
            "p99, ms",
            "p99.9, ms",
        ],
    );
    let rill = entrants.first();
    let speed = |entrant: &Entrant| entrant.saturated.as_ref().map(|one| one.per_second);
    for entrant in entrants {
        let latency = entrant.latency();
        let ratio = |figure: Option<f64>, of: Option<f64>| {
            figure.zip(of).map_or("–".into(), |(figure, of)| format!("{:.2} x", figure / of))
        };
        table.row(vec![
            entrant.name.clone(),
            cell(entrant.per_stream),
            cell(entrant.cpu()),
            ratio(entrant.cpu(), rill.and_then(Entrant::cpu)),
            cell(speed(entrant)),
            ratio(speed(entrant), rill.and_then(speed)),
            cell(latency.millis(50.0)),
            cell(latency.millis(99.0)),
            cell(latency.millis(99.9)),
        ]);
    }
    table
}
