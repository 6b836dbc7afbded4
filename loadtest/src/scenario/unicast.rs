//! Each event is for one user of many: what it costs to find him.

use clap::Args;

use super::weather::Weather;
use crate::cli::{count, positive};
use crate::failure::Failure;
use crate::report::Report;
use crate::run::Run;

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Streams, each of another user
    #[arg(long, default_value_t = 10_000, value_parser = count)]
    streams: usize,
    /// Events a second, each for one random user
    #[arg(long, default_value_t = 10_000.0, value_parser = positive)]
    rate: f64,
    /// How long they are sent
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    seconds: f64,
    /// Publisher connections
    #[arg(long, default_value_t = 64, value_parser = count)]
    publishers: usize,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    let calm = Weather::calm(options.streams, options.seconds, options.rate, options.publishers);
    let weather = Weather { broadcast_share: 0.0, ..calm };
    let subject = weather.subject(run)?;
    let outcome = weather.pass(&subject, run, |_| ())?;
    let mut report = Report::new("unicast");
    outcome.tell(&mut report);
    Ok(report)
}
