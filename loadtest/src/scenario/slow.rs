//! A share of the streams reads a few bytes a second: the others must not notice, the server must
//! not grow, and in the end the slow ones have everything too.

use clap::Args;

use super::weather::Weather;
use crate::cli::{count, positive, share};
use crate::diet::Slow;
use crate::failure::Failure;
use crate::report::Report;
use crate::run::Run;

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Streams, each of another user
    #[arg(long, default_value_t = 1_000, value_parser = count)]
    streams: usize,
    /// The share of them that is slow
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    slow_share: f64,
    /// What a slow one reads a second
    #[arg(long, default_value_t = 40, value_parser = count, value_name = "BYTES")]
    slow_bytes: usize,
    /// Broadcasts a second
    #[arg(long, default_value_t = 200.0, value_parser = positive)]
    rate: f64,
    /// How long it lasts
    #[arg(long, default_value_t = 30.0, value_parser = positive)]
    seconds: f64,
    /// Publisher connections
    #[arg(long, default_value_t = 8, value_parser = count)]
    publishers: usize,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    let slow = Slow { share: options.slow_share, bytes_per_second: options.slow_bytes };
    let calm = Weather::calm(options.streams, options.seconds, options.rate, options.publishers);
    let weather = Weather { slow: Some(slow), ..calm };
    let subject = weather.subject(run)?;
    let outcome = weather.pass(&subject, run, |_| ())?;
    let mut report = Report::new("slow");
    report.figure("slow_share", options.slow_share, "");
    report.figure("slow_bytes", options.slow_bytes, "bytes/s");
    outcome.tell(&mut report);
    Ok(report)
}
