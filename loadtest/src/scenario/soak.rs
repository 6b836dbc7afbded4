//! A long day: what `mixed` does, for as long as one likes, and a look at whether the server grows.

use std::time::Duration;

use clap::Args;

use super::mixed::Day;
use crate::cli::{positive, seconds, share};
use crate::failure::Failure;
use crate::gauge::Usage;
use crate::report::Report;
use crate::run::Run;

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    day: Day,
    /// How long it lasts; --time-limit has to allow it
    #[arg(long, default_value_t = 900.0, value_parser = positive)]
    seconds: f64,
    /// Time from one cut of all streams to the next; 0 is never
    #[arg(long, default_value_t = 120.0, value_parser = seconds)]
    cut_every: f64,
    /// By how much of it the server's memory may be larger in the last quarter than in the third
    #[arg(long, default_value_t = 0.05, value_parser = share)]
    growth: f64,
}

/// Publishers' connections and the log's files come and go.
const MORE_DESCRIPTORS: u64 = 16;

/// One look at the server.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Duration,
    rss: u64,
    descriptors: u64,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    let weather = options.day.weather(options.seconds, options.cut_every);
    let subject = weather.subject(run)?;
    let mut looks = Vec::new();
    let outcome = weather.pass(&subject, run, |at| {
        let usage = subject.gauge.and_then(|gauge| gauge.usage().ok());
        let look =
            |usage: Usage| Some(Look { at, rss: usage.rss, descriptors: usage.descriptors? });
        looks.extend(usage.and_then(look));
    })?;
    let mut report = Report::new("soak");
    outcome.tell(&mut report);
    tell_growth(&mut report, &looks, options.growth);
    Ok(report)
}

/// Adds how the server's memory and descriptors stood in the third and in the last quarter: what
/// fills in the first half is the recent events and caches.
fn tell_growth(report: &mut Report, looks: &[Look], allowed: f64) {
    let Some(end) = looks.last().map(|look| look.at) else { return };
    let quarter = |number: u32| {
        let within = end * number / 4..end * (number + 1) / 4;
        let within = looks.iter().filter(|look| within.contains(&look.at));
        median(within.map(|look| (look.rss, look.descriptors)).collect())
    };
    let (early, late) = (quarter(2), quarter(3));
    report.measured("rss_third_quarter", early.map(|(rss, _)| rss), "bytes");
    report.measured("rss_last_quarter", late.map(|(rss, _)| rss), "bytes");
    report.measured("descriptors_third_quarter", early.map(|(_, count)| count), "");
    report.measured("descriptors_last_quarter", late.map(|(_, count)| count), "");
    if let Some((early, late)) = early.zip(late) {
        let growth = late.0 as f64 / early.0 as f64 - 1.0;
        report.figure("rss_growth_share", growth, "");
        report.require(growth <= allowed && late.1 <= early.1 + MORE_DESCRIPTORS);
    }
}

/// Each figure's own middle.
fn median(mut figures: Vec<(u64, u64)>) -> Option<(u64, u64)> {
    let middle = figures.len() / 2;
    figures.sort_by_key(|(rss, _)| *rss);
    let rss = figures.get(middle)?.0;
    figures.sort_by_key(|(_, descriptors)| *descriptors);
    Some((rss, figures.get(middle)?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(last: u64) -> Vec<Look> {
        let rss = |second| if second < 75 { 100 } else { last };
        (0..100)
            .map(|second| Look {
                at: Duration::from_secs(second),
                rss: rss(second),
                descriptors: 10,
            })
            .collect()
    }

    #[test]
    fn growth_is_found() {
        for (last, sound) in [(104, true), (106, false)] {
            let mut report = Report::new("soak");
            tell_growth(&mut report, &looks(last), 0.05);
            assert_eq!(report.sound(), sound, "{last}");
        }
    }
}
