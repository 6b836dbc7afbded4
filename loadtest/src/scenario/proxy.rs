//! What nginx in front costs: its memory and CPU for each stream and delivery with a profile as it
//! ships, and with one of its settings changed at a time.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::density;
use super::fanout::Shape;
use crate::cli::{count, positive};
use crate::document;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::nginx::{Change, Nginx, Profile};
use crate::report::Report;
use crate::run::Run;
use crate::subject::{Kind, Subject};
use crate::table::{Table, cell};
use crate::versions::nginx;

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Streams, each of another user
    #[arg(long, default_value_t = 1_000, value_parser = count)]
    streams: usize,
    /// The profiles of deploy/nginx
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Profile::Http, Profile::Stream])]
    profiles: Vec<Profile>,
    /// Broadcasts, each once the one before has reached everybody
    #[arg(long, default_value_t = 100, value_parser = count)]
    broadcasts: usize,
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

/// Where the tables go in a document.
const MARK: &str = "proxy";

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    if let Some(path) = &options.document {
        document::check(path, MARK)?;
    }
    let mut report = Report::new("proxy");
    for &profile in &options.profiles {
        let title = format!("{} profile, {} streams", profile.name(), options.streams);
        let mut table = Table::new(
            title,
            &[
                "setting",
                "nginx, bytes a stream",
                "Rill, bytes a stream",
                "nginx, µs a delivery",
                "Rill, µs a delivery",
                "p50, ms",
                "p99, ms",
            ],
        );
        table.row(options.measure("no nginx", None, run, &mut report)?);
        table.row(options.measure("as it ships", Some((profile, None)), run, &mut report)?);
        for change in profile.changes().iter().filter(|_| !options.unchanged) {
            if run.stop.over() {
                break;
            }
            let place = Some((profile, Some(change)));
            table.row(options.measure(change.name, place, run, &mut report)?);
        }
        report.table(table);
    }
    if let Some(path) = options.document.as_ref().filter(|_| !run.stop.over()) {
        document::insert(path, MARK, &document_text(&report))?;
    }
    Ok(report)
}

impl Options {
    /// One row: fresh servers, streams opened and closed for the memory, again for the broadcasts.
    fn measure(
        &self,
        name: &str,
        place: Option<(Profile, Option<&Change>)>,
        run: &Run,
        report: &mut Report,
    ) -> Result<Vec<String>, Failure> {
        run.monitor.phase(name);
        let mut subject = Subject::start(Kind::Rill, true, self.streams, run)?;
        if let Some((profile, change)) = place {
            let nginx = Nginx::start(profile, change, &subject.target.publishers, &run.stop)?;
            subject = subject.behind(nginx, run)?;
        }
        let settle = Duration::from_secs_f64(self.settle);
        let shape = density::Shape { streams: self.streams, pace: run.common.pace(), settle };
        let density = density::measure(&subject, shape, None, run)?;
        let shape = Shape { streams: self.streams, broadcasts: self.broadcasts, warm_up: 10 };
        let round = shape.round(0, &subject, run)?;
        report.require(!round.tally.faulty());
        Ok(vec![
            name.to_owned(),
            cell(density.of_proxy()),
            cell(density.per_stream()),
            cell(round.proxy_cpu),
            cell(round.cpu),
            cell(round.latency.millis(50.0)),
            cell(round.latency.millis(99.0)),
        ])
    }
}

fn document_text(report: &Report) -> String {
    let facts = Facts::now();
    let mut text = format!(
        "{}; {}; nginx {}. Streams go through nginx, publishers do not. Made by\n`{}`:\n",
        facts.date(),
        facts.machine,
        nginx().unwrap_or_default(),
        facts.command,
    );
    for table in report.tables() {
        text += &format!("\n**{}**\n\n{}", table.title(), table.markdown());
    }
    text
}
