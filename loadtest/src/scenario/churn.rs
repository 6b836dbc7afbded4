//! Streams connect and leave at a rate, and miss nothing of what is published meanwhile.

use clap::Args;

use super::weather::Weather;
use crate::cli::{count, positive, share};
use crate::failure::Failure;
use crate::report::Report;
use crate::run::Run;

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Streams, each of another user
    #[arg(long, default_value_t = 5_000, value_parser = count)]
    streams: usize,
    /// Streams a second that leave, half of them with a reset, and come back within 0.4 s
    #[arg(long, default_value_t = 1_000.0, value_parser = positive)]
    churn: f64,
    /// Events a second
    #[arg(long, default_value_t = 200.0, value_parser = positive)]
    rate: f64,
    /// The share of them that is for everybody; the others are for one random user each
    #[arg(long, default_value_t = 0.05, value_parser = share)]
    broadcast_share: f64,
    /// How long it lasts
    #[arg(long, default_value_t = 20.0, value_parser = positive)]
    seconds: f64,
    /// Publisher connections
    #[arg(long, default_value_t = 8, value_parser = count)]
    publishers: usize,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    let calm = Weather::calm(options.streams, options.seconds, options.rate, options.publishers);
    let weather =
        Weather { broadcast_share: options.broadcast_share, churn: options.churn, ..calm };
    let subject = weather.subject(run)?;
    let outcome = weather.pass(&subject, run, |_| ())?;
    let mut report = Report::new("churn");
    report.figure("churn", options.churn, "/s");
    outcome.tell(&mut report);
    Ok(report)
}
