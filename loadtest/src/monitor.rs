//! Looks at a run from beside: a thread that samples the board and the processes some times a
//! second, and tells the person at the terminal how it stands.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{BinaryBytes, HumanCount};

use crate::board::Board;
use crate::clock;
use crate::failure::{Failure, While};
use crate::gauge::Gauge;
use crate::progress::Progress;
use crate::samples::{Sample, Samples};

/// Between two looks, in nanoseconds.
const GLANCE: u64 = 250_000_000;

/// The rate that is shown is that of so many looks: a second.
const RATE_OVER: usize = 4;

/// Ends its thread when dropped.
pub(crate) struct Monitor {
    news: Option<Sender<News>>,
    thread: Option<JoinHandle<Vec<Sample>>>,
}

/// What the scenario tells the monitor.
enum News {
    Fleet(Arc<Board>),
    Processes { server: Option<Gauge>, proxy: Option<Gauge> },
    Phase(String),
}

impl Monitor {
    /// Begins to look at a run that started at `start`. `progress` says whether to show it.
    pub(crate) fn start(start: u64, progress: bool) -> Result<Monitor, Failure> {
        let (sender, news) = channel();
        let watch = Watch {
            start,
            progress: Progress::new(progress),
            phase: String::new(),
            board: None,
            earlier: 0,
            server: None,
            proxy: None,
            latest: VecDeque::new(),
            samples: Samples::new(),
        };
        let thread = std::thread::Builder::new().name("monitor".into());
        let thread = thread.spawn(move || watch.run(&news)).while_("starting the monitor")?;
        Ok(Monitor { news: Some(sender), thread: Some(thread) })
    }

    /// Looks at this fleet's board from now on; what the one before had delivered still counts.
    pub(crate) fn follow(&self, board: &Arc<Board>) {
        self.tell(News::Fleet(board.clone()));
    }

    /// Measures these processes from now on.
    pub(crate) fn measure(&self, server: Option<Gauge>, proxy: Option<Gauge>) {
        self.tell(News::Processes { server, proxy });
    }

    /// Names what happens now.
    pub(crate) fn phase(&self, phase: impl Into<String>) {
        self.tell(News::Phase(phase.into()));
    }

    /// Looks a last time, and ends.
    pub(crate) fn finish(mut self) -> Vec<Sample> {
        self.end()
    }

    fn tell(&self, news: News) {
        if let Some(sender) = &self.news {
            // A thread that is gone has said why.
            let _ = sender.send(news);
        }
    }

    fn end(&mut self) -> Vec<Sample> {
        drop(self.news.take());
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.end();
    }
}

/// The thread's state.
struct Watch {
    start: u64,
    progress: Progress,
    phase: String,
    board: Option<Arc<Board>>,
    /// Deliveries to the fleets before this one.
    earlier: u64,
    server: Option<Gauge>,
    proxy: Option<Gauge>,
    /// Times and deliveries of the latest looks.
    latest: VecDeque<(f64, u64)>,
    samples: Samples,
}

impl Watch {
    /// Runs until nobody is left to tell it anything.
    fn run(mut self, news: &Receiver<News>) -> Vec<Sample> {
        let mut next = clock::now();
        loop {
            let wait = next.saturating_sub(clock::now());
            match news.recv_timeout(Duration::from_nanos(wait)) {
                Ok(news) => self.hear(news),
                Err(RecvTimeoutError::Timeout) => {
                    self.look();
                    next = (next + GLANCE).max(clock::now());
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.look();
        self.progress.clear();
        self.samples.all()
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Fleet(board) => {
                self.earlier = self.deliveries();
                self.board = Some(board);
            }
            News::Processes { server, proxy } => (self.server, self.proxy) = (server, proxy),
            News::Phase(phase) => {
                self.progress.phase(&phase);
                self.phase = phase;
            }
        }
    }

    fn look(&mut self) {
        let usage = |gauge: Option<Gauge>| gauge.and_then(|gauge| gauge.usage().ok());
        let sample = Sample {
            at: clock::now().saturating_sub(self.start) as f64 / 1e9,
            live: self.live(),
            deliveries: self.deliveries(),
            server: usage(self.server),
            proxy: usage(self.proxy),
        };
        self.latest.push_back((sample.at, sample.deliveries));
        if self.latest.len() > RATE_OVER + 1 {
            self.latest.pop_front();
        }
        self.progress.show(|| self.line(&sample));
        self.samples.push(sample);
    }

    /// A board that nobody else holds is that of a fleet that has closed its streams.
    fn live(&self) -> usize {
        let open = self.board.as_ref().filter(|board| Arc::strong_count(board) > 1);
        open.map_or(0, |board| board.live())
    }

    fn deliveries(&self) -> u64 {
        self.earlier + self.board.as_ref().map_or(0, |board| board.deliveries())
    }

    fn line(&self, sample: &Sample) -> String {
        let mut line = format!(
            "{}  {:.0} s  {} live  {}/s  {} delivered",
            self.phase,
            sample.at,
            HumanCount(sample.live as u64),
            HumanCount(self.rate()),
            HumanCount(sample.deliveries),
        );
        if let Some(server) = sample.server {
            line += &format!("  server {}", BinaryBytes(server.rss));
        }
        line
    }

    /// Deliveries a second in the latest looks.
    fn rate(&self) -> u64 {
        let ends = self.latest.front().zip(self.latest.back());
        ends.filter(|(first, last)| last.0 > first.0)
            .map_or(0, |(first, last)| ((last.1 - first.1) as f64 / (last.0 - first.0)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Turn;

    fn board(live: i64, deliveries: u64) -> Arc<Board> {
        let board = Arc::new(Board::new());
        board.add(Turn { live, deliveries, ..Turn::default() });
        board
    }

    #[test]
    fn deliveries_add_up_over_fleets() {
        let monitor = Monitor::start(clock::now(), false).unwrap();
        let first = board(3, 10);
        monitor.follow(&first);
        first.add(Turn { deliveries: 5, ..Turn::default() });
        let second = board(2, 100);
        monitor.follow(&second);
        monitor.measure(Some(Gauge::own()), None);
        second.add(Turn { deliveries: 7, ..Turn::default() });
        let samples = monitor.finish();
        let last = samples.last().unwrap();
        assert_eq!((last.live, last.deliveries), (2, 122));
        let server = last.server.unwrap();
        assert!(server.rss > 0 && server.cpu > 0.0 && server.descriptors > Some(2));
        assert_eq!(last.proxy, None);
    }

    #[test]
    fn a_closed_fleet_has_no_streams() {
        let monitor = Monitor::start(clock::now(), false).unwrap();
        monitor.follow(&board(3, 10));
        let samples = monitor.finish();
        assert_eq!(samples.last().map(|last| (last.live, last.deliveries)), Some((0, 10)));
    }

    #[test]
    fn the_line_tells_how_it_stands() {
        let watch = Watch {
            start: 0,
            progress: Progress::Silent,
            phase: "flooding".into(),
            board: None,
            earlier: 0,
            server: None,
            proxy: None,
            latest: VecDeque::from([(1.0, 10_000), (2.0, 50_000)]),
            samples: Samples::new(),
        };
        let sample = Sample { at: 2.0, live: 1_000, deliveries: 50_000, server: None, proxy: None };
        assert_eq!(watch.line(&sample), "flooding  2 s  1,000 live  40,000/s  50,000 delivered");
    }
}
