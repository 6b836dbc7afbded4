//! What nginx in front costs: its memory and CPU for each stream and delivery with a profile as it
//! ships, and with one of its settings changed at a time.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::fanout::{Round, Shape};
use super::{density, flood};
use crate::cli::{count, positive};
use crate::document;
use crate::failure::{Failure, unless_early};
use crate::ledger::Tally;
use crate::nginx::{Change, Nginx, Profile};
use crate::report::{Report, median};
use crate::run::Run;
use crate::subject::{Kind, Subject};
use crate::table::{Cell, Table};

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Numbers of streams; the settings are changed with the first of them
    #[arg(long, value_delimiter = ',', default_values_t = [1_000], value_parser = count)]
    streams: Vec<usize>,
    /// The profiles of deploy/nginx
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Profile::Http, Profile::Stream])]
    profiles: Vec<Profile>,
    /// Broadcasts, each once the one before has reached everybody
    #[arg(long, default_value_t = 100, value_parser = count)]
    broadcasts: usize,
    /// Rounds of them; medians are given
    #[arg(long, default_value_t = 3, value_parser = count)]
    rounds: usize,
    /// How long broadcasts are sent as fast as they arrive
    #[arg(long, default_value_t = 2.0, value_parser = positive)]
    seconds: f64,
    /// How long streams are open before memory is read, in seconds
    #[arg(long, default_value_t = 2.0, value_parser = positive)]
    settle: f64,
    /// Leave the settings as they are
    #[arg(long)]
    unchanged: bool,
    /// Write the tables into this document, between <!-- proxy --> and <!-- /proxy -->
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

/// Rounds at full speed have a numbering of their own.
const FULL_SPEED: u32 = 100;

const COLUMNS: [&str; 8] = [
    "setting",
    "nginx, bytes a stream",
    "Rill, bytes a stream",
    "nginx, µs a delivery",
    "Rill, µs a delivery",
    "deliveries a second",
    "p50, ms",
    "p99, ms",
];

/// A profile, with one setting changed or none.
type Place = (Profile, Option<&'static Change>);

/// Where the tables go in a document.
const MARK: &str = "proxy";

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    if run.common.attached().is_some() {
        return Err(Failure::Usage("proxy puts an nginx of its own before a server of its own"));
    }
    if let Some(path) = &options.document {
        document::check(path, MARK)?;
    }
    let mut report = Report::new("proxy");
    for &profile in &options.profiles {
        for (number, &streams) in options.streams.iter().enumerate() {
            // Nobody needs to see twice what a setting does.
            let changes = if options.unchanged || number > 0 { &[] } else { profile.changes() };
            let mut table =
                Table::new(format!("{} profile, {streams} streams", profile.name()), &COLUMNS);
            let shipped = [None, Some((profile, None))].into_iter();
            for place in shipped.chain(changes.iter().map(|change| Some((profile, Some(change))))) {
                let row = match options.measure(place, streams, run, &mut report) {
                    // That is what the setting does.
                    Err(Failure::NotOpen { .. }) if place.is_some() => Some(no_stream_opens(place)),
                    row => unless_early(row)?,
                };
                let Some(row) = row else { break };
                table.row(row);
            }
            report.table(table);
        }
    }
    if let Some(path) = options.document.as_ref().filter(|_| !run.stop.over()) {
        document::insert(path, MARK, &run.facts.document(&report))?;
    }
    Ok(report)
}

impl Options {
    /// One row: fresh servers, streams opened and closed for the memory, again for each round.
    fn measure(
        &self,
        place: Option<Place>,
        streams: usize,
        run: &Run,
        report: &mut Report,
    ) -> Result<Vec<Cell>, Failure> {
        run.stop.check()?;
        run.monitor.phase(name(place));
        let mut subject = Subject::start(Kind::Rill, true, streams, run)?;
        if let Some((profile, change)) = place {
            let nginx = Nginx::start(profile, change, &subject.target.publishers, &run.stop)?;
            subject = subject.behind(nginx, run)?;
        }
        let settle = Duration::from_secs_f64(self.settle);
        let shape = density::Shape { streams, pace: run.common.pace(), settle };
        let density = density::measure(&subject, shape, None, run)?;
        let shape = Shape { streams, broadcasts: self.broadcasts, warm_up: 10 };
        let rounds = (0..self.rounds as u32).map(|number| shape.round(number, &subject, run));
        let rounds = rounds.collect::<Result<Vec<_>, _>>()?;
        let duration = Duration::from_secs_f64(self.seconds);
        let saturated = flood::saturate(&subject, streams, duration, FULL_SPEED, run)?;
        let faulty = rounds.iter().map(|round| &round.tally).chain([&saturated.tally]);
        report.require(!faulty.into_iter().any(Tally::faulty));
        let middle = |pick: fn(&Round) -> Option<f64>| -> Option<f64> {
            rounds.iter().map(pick).collect::<Option<Vec<_>>>().map(median)
        };
        Ok(vec![
            Cell::text(name(place)),
            density.of_proxy().into(),
            density.per_stream().into(),
            middle(|round| round.proxy_cpu).into(),
            middle(|round| round.cpu).into(),
            Some(saturated.per_second).into(),
            middle(|round| round.latency.millis(50.0)).into(),
            middle(|round| round.latency.millis(99.0)).into(),
        ])
    }
}

fn name(place: Option<Place>) -> &'static str {
    match place {
        None => "no nginx",
        Some((_, None)) => "as it ships",
        Some((_, Some(change))) => change.name,
    }
}

fn no_stream_opens(place: Option<Place>) -> Vec<Cell> {
    let mut row = vec![Cell::text(&format!("{}: no stream opens", name(place)))];
    row.resize(COLUMNS.len(), None.into());
    row
}
