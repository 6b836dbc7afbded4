//! Which charts a run has, and what is on them.

use std::io;

use super::plot::{Line, Plot, Scale};
use crate::gauge::Usage;
use crate::samples::Sample;
use crate::timeline::{Timeline, Window};

/// Rates are taken over at most so many spans, so that they do not flicker.
const SPANS: usize = 240;

const MIB: f64 = 1024.0 * 1024.0;

/// A chart that was drawn.
pub(super) struct Chart {
    /// Its name in the folder.
    pub(super) file: &'static str,
    /// The drawing.
    pub(super) svg: String,
}

/// Draws what there is something to show for.
pub(super) fn draw(samples: &[Sample], timeline: Option<&Timeline>) -> io::Result<Vec<Chart>> {
    let windows: Vec<Window> = timeline.map(Timeline::windows).into_iter().flatten().collect();
    let ends = (samples.last().map(|sample| sample.at), windows.last().map(|it| it.to_seconds));
    let seconds = ends.0.unwrap_or(0.0).max(ends.1.unwrap_or(0.0));
    let plots = [
        ("latency.svg", latency(&windows)),
        ("deliveries.svg", deliveries(samples)),
        ("streams.svg", streams(samples)),
        ("memory.svg", memory(samples)),
        ("cpu.svg", cpu(samples)),
        ("descriptors.svg", descriptors(samples)),
    ];
    plots
        .into_iter()
        .filter(|(_, plot)| !plot.is_empty())
        .map(|(file, plot)| Ok(Chart { file, svg: plot.draw(seconds)? }))
        .collect()
}

fn latency(windows: &[Window]) -> Plot {
    let line = |name, pick: fn(&Window) -> u64| Line { name, parts: steps_of(windows, pick) };
    Plot {
        title: "Latency of deliveries",
        scale: Scale::Latency,
        lines: vec![
            line("max", |window| window.max),
            line("p99.9", |window| window.p999),
            line("p99", |window| window.p99),
            line("p50", |window| window.p50),
        ],
    }
}

/// A horizontal piece for each window; a window without deliveries interrupts the line.
fn steps_of(windows: &[Window], pick: fn(&Window) -> u64) -> Vec<Vec<(f64, f64)>> {
    let together = windows.split(|window| window.deliveries == 0);
    let ends = |window: &Window| {
        let micros = pick(window).max(1) as f64;
        [(window.from_seconds, micros), (window.to_seconds, micros)]
    };
    together.map(|windows| windows.iter().flat_map(ends).collect()).collect()
}

fn deliveries(samples: &[Sample]) -> Plot {
    let delivered = |sample: &Sample| Some(sample.deliveries as f64);
    Plot {
        title: "Deliveries a second",
        scale: Scale::Linear,
        lines: vec![Line { name: "", parts: vec![rates(samples, delivered)] }],
    }
}

fn streams(samples: &[Sample]) -> Plot {
    let live = samples.iter().map(|sample| (sample.at, sample.live as f64)).collect();
    Plot {
        title: "Live streams",
        scale: Scale::Linear,
        lines: vec![Line { name: "", parts: vec![live] }],
    }
}

fn memory(samples: &[Sample]) -> Plot {
    of_processes("Resident memory, MiB", |of| {
        values(samples, of, |usage| Some(usage.rss as f64 / MIB))
    })
}

fn cpu(samples: &[Sample]) -> Plot {
    of_processes("CPU, cores", |of| rates(samples, |sample| of(sample).map(|usage| usage.cpu)))
}

fn descriptors(samples: &[Sample]) -> Plot {
    of_processes("Open descriptors", |of| {
        values(samples, of, |usage| usage.descriptors.map(|count| count as f64))
    })
}

type Process = fn(&Sample) -> Option<Usage>;

/// One line for the server, one for the proxy.
fn of_processes(title: &'static str, points: impl Fn(Process) -> Vec<(f64, f64)>) -> Plot {
    let line = |name, process: Process| Line { name, parts: vec![points(process)] };
    Plot {
        title,
        scale: Scale::Linear,
        lines: vec![line("proxy", |sample| sample.proxy), line("server", |sample| sample.server)],
    }
}

fn values(samples: &[Sample], process: Process, pick: fn(Usage) -> Option<f64>) -> Vec<(f64, f64)> {
    let value = |sample: &Sample| Some((sample.at, process(sample).and_then(pick)?));
    samples.iter().filter_map(value).collect()
}

/// By how much a sum grew a second; a horizontal piece for each span of time.
fn rates(samples: &[Sample], sum: impl Fn(&Sample) -> Option<f64>) -> Vec<(f64, f64)> {
    let sums: Vec<(f64, f64)> =
        samples.iter().filter_map(|sample| Some((sample.at, sum(sample)?))).collect();
    let span = sums.len().div_ceil(SPANS).max(1);
    let ends: Vec<(f64, f64)> = sums.into_iter().step_by(span).collect();
    let pieces = ends.windows(2).filter(|ends| ends[1].0 > ends[0].0).flat_map(|ends| {
        // A server that was started anew begins at zero.
        let rate = ((ends[1].1 - ends[0].1) / (ends[1].0 - ends[0].0)).max(0.0);
        [(ends[0].0, rate), (ends[1].0, rate)]
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_by_time() {
        let sample = |at, deliveries| Sample { at, live: 1, deliveries, server: None, proxy: None };
        let samples = [sample(1.0, 10), sample(1.5, 20), sample(3.5, 20)];
        let rates = rates(&samples, |sample| Some(sample.deliveries as f64));
        assert_eq!(rates, [(1.0, 20.0), (1.5, 20.0), (1.5, 0.0), (3.5, 0.0)]);
    }

    #[test]
    fn silence_interrupts_the_line() {
        let mut timeline = Timeline::new(0);
        for now in [0, 600_000_000] {
            timeline.record(now, 5_000);
        }
        let windows: Vec<Window> = timeline.windows().collect();
        let parts = steps_of(&windows, |window| window.max);
        assert_eq!(parts, [[(0.0, 5.0), (0.25, 5.0)], [(0.5, 5.0), (0.75, 5.0)]]);
    }
}
