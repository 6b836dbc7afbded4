//! When deliveries came, and how late: latencies by time window, in bounded memory for runs of
//! hours. Once the windows get too many, each two of them become one of twice the width.

use crate::buckets::Buckets;

/// The width of a window at first, in nanoseconds; short enough to show a hiccup.
const FIRST_WIDTH: u64 = 250_000_000;

/// No more windows than this, which a chart can still show; 2.6 MB if all have something.
const MOST_WINDOWS: u64 = 480;

/// One thread's deliveries, or those of several added up.
#[derive(Debug)]
pub(crate) struct Timeline {
    start: u64,
    width: u64,
    /// Those without deliveries take no memory.
    windows: Vec<Option<Box<Buckets>>>,
    /// The window of the latest delivery, since the next one most likely is in it too.
    latest: usize,
    /// When that one begins.
    latest_start: u64,
}

/// What happened in one window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    /// Its begin, counted from the timeline's.
    pub(crate) from_seconds: f64,
    /// Its end.
    pub(crate) to_seconds: f64,
    /// How many deliveries it has.
    pub(crate) deliveries: u64,
    /// The median latency in microseconds; like the others 0 without deliveries.
    pub(crate) p50: u64,
    /// The 99th percentile.
    pub(crate) p99: u64,
    /// The 99.9th percentile.
    pub(crate) p999: u64,
    /// The longest latency.
    pub(crate) max: u64,
}

impl Timeline {
    /// An empty one that begins at `start` by the [`clock`](crate::clock). Those that are to be
    /// added up begin at the same time.
    pub(crate) fn new(start: u64) -> Timeline {
        Timeline { start, width: FIRST_WIDTH, windows: Vec::new(), latest: 0, latest_start: start }
    }

    /// Enters a delivery at `now` that took `latency` nanoseconds.
    #[inline]
    pub(crate) fn record(&mut self, now: u64, latency: u64) {
        let micros = latency / 1_000;
        if now.wrapping_sub(self.latest_start) < self.width
            && let Some(Some(window)) = self.windows.get_mut(self.latest)
        {
            window.record(micros);
        } else {
            self.window_of(now).record(micros);
        }
    }

    /// Adds another thread's.
    pub(crate) fn add(&mut self, other: &Timeline) {
        while self.width < other.width {
            self.widen();
        }
        for (at, theirs) in other.windows.iter().enumerate() {
            if let Some(theirs) = theirs {
                self.window_of(other.start + at as u64 * other.width).add(theirs);
            }
        }
    }

    /// All windows from the start to the last delivery.
    pub(crate) fn windows(&self) -> impl Iterator<Item = Window> {
        let seconds = |at: usize| (at as u64 * self.width) as f64 / 1e9;
        self.windows.iter().enumerate().map(move |(at, window)| {
            let percentile =
                |thousandths| window.as_ref().map_or(0, |window| window.percentile(thousandths));
            Window {
                from_seconds: seconds(at),
                to_seconds: seconds(at + 1),
                deliveries: window.as_ref().map_or(0, |window| window.count()),
                p50: percentile(500),
                p99: percentile(990),
                p999: percentile(999),
                max: percentile(1000),
            }
        })
    }

    #[cold]
    fn window_of(&mut self, now: u64) -> &mut Buckets {
        let since_start = now.saturating_sub(self.start);
        while since_start / self.width >= MOST_WINDOWS {
            self.widen();
        }
        self.turn_to((since_start / self.width) as usize);
        if self.latest >= self.windows.len() {
            self.windows.resize_with(self.latest + 1, || None);
        }
        self.windows[self.latest].get_or_insert_with(Box::default)
    }

    fn widen(&mut self) {
        self.width *= 2;
        let mut halves = std::mem::take(&mut self.windows).into_iter();
        while let Some(first) = halves.next() {
            self.windows.push(joined(first, halves.next().flatten()));
        }
        self.turn_to(self.latest / 2);
    }

    fn turn_to(&mut self, window: usize) {
        self.latest = window;
        self.latest_start = self.start + window as u64 * self.width;
    }
}

fn joined(first: Option<Box<Buckets>>, second: Option<Box<Buckets>>) -> Option<Box<Buckets>> {
    match (first, second) {
        (Some(mut first), Some(second)) => {
            first.add(&second);
            Some(first)
        }
        (first, second) => first.or(second),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn windows(timeline: &Timeline) -> Vec<Window> {
        timeline.windows().collect()
    }

    #[test]
    fn deliveries_are_in_the_window_of_their_time() {
        let mut timeline = Timeline::new(5 * SECOND);
        for (now, latency) in [(5.0, 10e3), (5.1, 20e3), (5.6, 7e9), (5.05, 30e3), (4.0, 40e3)] {
            timeline.record((now * 1e9) as u64, latency as u64);
        }
        let windows = windows(&timeline);
        let counts: Vec<u64> = windows.iter().map(|window| window.deliveries).collect();
        assert_eq!(counts, [4, 0, 1]);
        assert_eq!((windows[0].p50, windows[0].max), (20, 40));
        assert_eq!((windows[1].p50, windows[1].max), (0, 0));
        assert_eq!((windows[2].from_seconds, windows[2].to_seconds), (0.5, 0.75));
        assert_eq!(windows[2].max, 7_000_000);
    }

    #[test]
    fn hours_fit_into_the_same_number_of_windows() {
        let mut timeline = Timeline::new(0);
        for second in 0..3 * 3600 {
            timeline.record(second * SECOND, second * 1_000);
        }
        let windows = windows(&timeline);
        assert!((MOST_WINDOWS / 2..=MOST_WINDOWS).contains(&(windows.len() as u64)));
        assert_eq!(windows.iter().map(|window| window.deliveries).sum::<u64>(), 3 * 3600);
        assert_eq!(windows[1].from_seconds, 32.0, "0.25 s doubled seven times");
        assert!(windows.iter().take(300).all(|window| window.deliveries == 32));
        assert_eq!((windows[2].max, windows[2].p50), (95, 79), "seconds 64 to 95");
    }

    #[test]
    fn timelines_of_different_widths_add_up_to_the_one_of_all() {
        let (mut short, mut long, mut all) =
            (Timeline::new(SECOND), Timeline::new(SECOND), Timeline::new(SECOND));
        for step in 0..5_000 {
            let latency = 1_000 * (step * 7919 % 100_003);
            let (early, late) = (SECOND + step * SECOND / 100, SECOND + step * SECOND / 10);
            short.record(early, latency);
            long.record(late, 2 * latency);
            all.record(early, latency);
            all.record(late, 2 * latency);
        }
        let expected = windows(&all);
        let (mut into_short, mut into_long) = (Timeline::new(SECOND), Timeline::new(SECOND));
        into_short.add(&short);
        into_short.add(&long);
        into_long.add(&long);
        into_long.add(&short);
        assert_eq!(windows(&into_short), expected);
        assert_eq!(windows(&into_long), expected);
        into_short.record(SECOND, 0);
        assert_eq!(windows(&into_short)[0].deliveries, expected[0].deliveries + 1);
    }
}
