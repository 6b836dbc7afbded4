//! Everything at once, as on a real day: events for one and for all, streams that come and go, slow
//! readers, floods, and now and then a cut of all.

use std::time::Duration;

use clap::Args;

use super::weather::Weather;
use crate::cli::{count, positive, rate_or_none, seconds, share};
use crate::diet::Slow;
use crate::failure::Failure;
use crate::report::Report;
use crate::run::Run;
use crate::scripts::Burst;

/// What a flood is: broadcasts, and how many of them come a second.
const FLOOD: (u64, f64) = (200, 400.0);

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(super) day: Day,
    /// How long it lasts
    #[arg(long, default_value_t = 60.0, value_parser = positive)]
    seconds: f64,
    /// Time from one cut of all streams to the next; 0 is never
    #[arg(long, default_value_t = 20.0, value_parser = seconds)]
    cut_every: f64,
}

/// What happens all the time, here and in `soak`.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Day {
    /// Streams, each of another user
    #[arg(long, default_value_t = 2_000, value_parser = count)]
    streams: usize,
    /// Events a second
    #[arg(long, default_value_t = 500.0, value_parser = positive)]
    rate: f64,
    /// The share of them that is for everybody; the others are for one random user each
    #[arg(long, default_value_t = 0.02, value_parser = share)]
    broadcast_share: f64,
    /// Streams a second that leave and come back
    #[arg(long, default_value_t = 50.0, value_parser = rate_or_none)]
    churn: f64,
    /// The share of streams that is slow
    #[arg(long, default_value_t = 0.02, value_parser = share)]
    slow_share: f64,
    /// What a slow one reads a second
    #[arg(long, default_value_t = 200, value_parser = count, value_name = "BYTES")]
    slow_bytes: usize,
    /// Time from one flood (200 broadcasts within half a second) to the next; 0 is never
    #[arg(long, default_value_t = 15.0, value_parser = seconds)]
    flood_every: f64,
    /// Publisher connections
    #[arg(long, default_value_t = 16, value_parser = count)]
    publishers: usize,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    let weather = options.day.weather(options.seconds, options.cut_every);
    let subject = weather.subject(run)?;
    let outcome = weather.pass(&subject, run, |_| ())?;
    let mut report = Report::new("mixed");
    outcome.tell(&mut report);
    Ok(report)
}

impl Day {
    /// As long as that, with cuts.
    pub(super) fn weather(&self, seconds: f64, cut_every: f64) -> Weather {
        let time = |seconds: f64| (seconds > 0.0).then(|| Duration::from_secs_f64(seconds));
        let (count, rate) = FLOOD;
        let slow = Slow { share: self.slow_share, bytes_per_second: self.slow_bytes };
        Weather {
            broadcast_share: self.broadcast_share,
            churn: self.churn,
            slow: (self.slow_share > 0.0).then_some(slow),
            burst: time(self.flood_every).map(|every| Burst { every, count, rate }),
            cut_every: time(cut_every),
            ..Weather::calm(self.streams, seconds, self.rate, self.publishers)
        }
    }
}
