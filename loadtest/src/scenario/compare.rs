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
use crate::failure::{Failure, unless_early};
use crate::ledger::Tally;
use crate::report::{Histogram, Report, median};
use crate::run::Run;
use crate::subject::{Kind, Subject};
use crate::table::{Cell, Table};

/// What an event of Rill's takes on the wire here; the send loop's is as large.
const FRAME_BYTES: usize = 211;

/// How long streams are open before their memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// How many broadcasts a round has, for all streams together: more of them tell nothing new.
const DELIVERIES_OF_ROUND: usize = 500_000;
const BROADCASTS_OF_ROUND: std::ops::RangeInclusive<usize> = 100..=500;

/// A percentile needs so many times what lies beyond it.
const SAMPLES_BEYOND: f64 = 1.0;

/// Rounds at full speed have numberings of their own.
const FULL_SPEED: u32 = 100;

/// Where the table goes in a document.
const MARK: &str = "compare";

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Numbers of streams
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000], value_parser = count)]
    streams: Vec<usize>,
    /// Who takes part, separated by commas; a server at --url, asked by --dialect, comes besides
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
    /// None for the server at --url.
    contender: Option<Contender>,
    subject: Subject,
    per_stream: Option<f64>,
    rounds: Vec<Round>,
    saturated: Vec<Saturated>,
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
        let mut entrants = Vec::new();
        let measured = options.measure(streams, &mut entrants, run);
        let whole = unless_early(measured)?.is_some();
        report.table(table(streams, &entrants));
        if !whole {
            break;
        }
        for entrant in entrants {
            report.require(!entrant.faulty());
        }
    }
    if let Some(path) = options.document.as_ref().filter(|_| !run.stop.over()) {
        document::insert(path, MARK, &run.facts.document(&report))?;
    }
    Ok(report)
}

impl Options {
    fn measure(
        &self,
        streams: usize,
        entrants: &mut Vec<Entrant>,
        run: &Run,
    ) -> Result<(), Failure> {
        self.line_up(streams, entrants, run)?;
        for number in 0..self.rounds as u32 {
            for entrant in entrants.iter_mut() {
                run.stop.check()?;
                self.round(number, streams, entrant, run)?;
            }
        }
        Ok(())
    }

    /// Starts the servers one after the other, each measured for its memory while it is fresh.
    fn line_up(
        &self,
        streams: usize,
        entrants: &mut Vec<Entrant>,
        run: &Run,
    ) -> Result<(), Failure> {
        for contender in &self.servers {
            let subject = contender.start(streams, run)?;
            let (name, of) = (contender.name().into(), Some(*contender));
            entrants.push(Entrant::new(name, of, subject, streams, run)?);
        }
        if let Some(endpoint) = run.common.attached() {
            let subject = Subject::attach(Kind::Rill, endpoint.clone(), streams, run)?;
            entrants.push(Entrant::new(endpoint.to_string(), None, subject, streams, run)?);
        }
        Ok(())
    }

    /// One broadcast at a time, then as many as pass.
    fn round(
        &self,
        number: u32,
        streams: usize,
        entrant: &mut Entrant,
        run: &Run,
    ) -> Result<(), Failure> {
        let (fewest, most) = BROADCASTS_OF_ROUND.into_inner();
        let broadcasts = (DELIVERIES_OF_ROUND / streams).clamp(fewest, most);
        let shape = Shape { streams, broadcasts, warm_up: 10 };
        run.monitor.phase(format!("{streams} streams, round {number}: {}", entrant.name));
        entrant.rounds.push(shape.round(number, &entrant.subject, run)?);
        let duration = Duration::from_secs_f64(self.seconds);
        let lane = FULL_SPEED + number;
        entrant.saturated.push(flood::saturate(&entrant.subject, streams, duration, lane, run)?);
        Ok(())
    }
}

impl Entrant {
    fn new(
        name: String,
        contender: Option<Contender>,
        subject: Subject,
        streams: usize,
        run: &Run,
    ) -> Result<Entrant, Failure> {
        run.monitor.phase(format!("{streams} streams, memory: {name}"));
        let shape = density::Shape { streams, pace: run.common.pace(), settle: SETTLE };
        let density = density::measure(&subject, shape, None, run)?;
        let per_stream = density.per_stream();
        let (rounds, saturated) = (Vec::new(), Vec::new());
        Ok(Entrant { name, contender, subject, per_stream, rounds, saturated })
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

    /// The bytes of one event on the wire.
    fn bytes(&self) -> Option<f64> {
        let each: Vec<f64> = self.rounds.iter().map(|round| round.bytes_per_delivery).collect();
        (!each.is_empty()).then(|| median(each))
    }

    /// Deliveries a second.
    fn speed(&self) -> Option<f64> {
        let each: Vec<f64> = self.saturated.iter().map(|round| round.per_second).collect();
        (!each.is_empty()).then(|| median(each))
    }

    fn faulty(&self) -> bool {
        let saturated = self.saturated.iter().map(|saturated| &saturated.tally);
        self.rounds.iter().map(|round| &round.tally).chain(saturated).any(Tally::faulty)
    }
}

fn table(streams: usize, entrants: &[Entrant]) -> Table {
    let mut table = Table::new(
        format!("{streams} streams"),
        &[
            "server",
            "RSS of a stream, bytes",
            "bytes of an event",
            "CPU of a delivery, µs",
            "CPU to Rill's",
            "deliveries a second",
            "speed to Rill's",
            "p50, ms",
            "p99, ms",
            "p99.9, ms",
        ],
    );
    let rill = entrants.iter().find(|entrant| entrant.contender == Some(Contender::Rill));
    for entrant in entrants {
        let latency = entrant.latency();
        let to_rill = |of: fn(&Entrant) -> Option<f64>| of(entrant).zip(rill.and_then(of));
        let ratio = |pair: Option<(f64, f64)>| Cell::ratio(pair.map(|(own, rills)| own / rills));
        let percentile = |percent: f64| {
            let beyond = latency.len() as f64 * (1.0 - percent / 100.0);
            latency.millis(percent).filter(|_| beyond >= SAMPLES_BEYOND).into()
        };
        table.row(vec![
            Cell::text(&entrant.name),
            entrant.per_stream.into(),
            entrant.bytes().into(),
            entrant.cpu().into(),
            ratio(to_rill(Entrant::cpu)),
            entrant.speed().into(),
            ratio(to_rill(Entrant::speed)),
            percentile(50.0),
            percentile(99.0),
            percentile(99.9),
        ]);
    }
    table
}
