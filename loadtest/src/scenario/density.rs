//! Memory per open stream: the server's resident memory before the first stream and after the last;
//! and how fast they open.

use std::time::Duration;

use clap::Args;

use crate::cli::{count, positive, seconds};
use crate::failure::Failure;
use crate::fleet::{Fleet, Plan};
use crate::kernel_memory::KernelMemory;
use crate::ledger::{Published, Tally};
use crate::opening::Pace;
use crate::report::Report;
use crate::run::Run;
use crate::subject::Subject;

/// A server that has just started may still be setting itself up.
const CALM: Duration = Duration::from_secs(1);

/// What is special here.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Streams, each of another user
    #[arg(long, default_value_t = 10_000, value_parser = count)]
    streams: usize,
    /// Connects a second [default: at once]
    #[arg(long, value_parser = positive)]
    pace: Option<f64>,
    /// How long after the last stream the memory is read
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    settle: f64,
}

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Streams, each of another user.
    pub(crate) streams: usize,
    /// How they are opened.
    pub(crate) pace: Pace,
    /// How long after the last one the memory is read.
    pub(crate) settle: Duration,
}

/// What the streams did to the server's memory.
pub(crate) struct Density {
    streams: usize,
    before: Option<u64>,
    after: Option<u64>,
    /// The proxy's memory before and after, if there is one.
    proxy: Option<(u64, u64)>,
    /// The kernel's memory for the server before and after, if it was asked for.
    kernel: Option<(u64, u64)>,
    opened: Duration,
    /// What the server used meanwhile.
    cpu: Option<Duration>,
    live: usize,
    retries: u64,
    tally: Tally,
}

/// Measures it.
pub(crate) fn run(options: &Options, run: &Run) -> Result<Report, Failure> {
    let subject = Subject::obtain(run, options.streams)?;
    let pace = Pace { per_second: options.pace, ..run.common.pace() };
    let settle = Duration::from_secs_f64(options.settle);
    // Counted memory costs the kernel time: where time is measured too, it is not counted.
    let kernel = subject.gauge.and_then(|gauge| KernelMemory::of(gauge.pid()));
    let shape = Shape { streams: options.streams, pace, settle };
    Ok(measure(&subject, shape, kernel.as_ref(), run)?.report())
}

/// Opens the streams, lets them settle, and closes them.
pub(crate) fn measure(
    subject: &Subject,
    shape: Shape,
    kernel: Option<&KernelMemory>,
    run: &Run,
) -> Result<Density, Failure> {
    let Shape { streams, pace, settle } = shape;
    let kernel_bytes = || kernel.and_then(KernelMemory::bytes);
    let fleet = Fleet::start(&subject.target, &Plan::new(streams, 0..0), run)?;
    run.stop.sleep(CALM);
    let proxy_rss = || subject.proxy_gauge().map(|gauge| gauge.rss()).transpose();
    let (before, proxy_before, kernel_before) = (subject.rss()?, proxy_rss()?, kernel_bytes());
    let cpu = subject.cpu()?;
    fleet.open(pace, run)?;
    let opened = fleet.board.wave();
    let cpu = cpu.zip(subject.cpu()?).map(|(before, after)| after.saturating_sub(before));
    run.stop.sleep(settle);
    let (after, proxy) = (subject.rss()?, proxy_before.zip(proxy_rss()?));
    let kernel = kernel_before.zip(kernel_bytes());
    let (live, retries) = (fleet.board.live(), fleet.board.retries());
    let tally = fleet.finish(Published::default())?;
    Ok(Density { streams, before, after, proxy, kernel, opened, cpu, live, retries, tally })
}

impl Density {
    fn growth(&self) -> Option<i64> {
        self.before.zip(self.after).map(|(before, after)| after as i64 - before as i64)
    }

    /// Bytes of the server's resident memory for each stream.
    pub(crate) fn per_stream(&self) -> Option<f64> {
        self.share(self.before.zip(self.after))
    }

    /// The same of the proxy's.
    pub(crate) fn of_proxy(&self) -> Option<f64> {
        self.share(self.proxy)
    }

    fn share(&self, bytes: Option<(u64, u64)>) -> Option<f64> {
        bytes.map(|(before, after)| (after as i64 - before as i64) as f64 / self.streams as f64)
    }

    fn report(&self) -> Report {
        let mut report = Report::new("density");
        report.figure("streams", self.streams, "");
        report.measured("rss_before", self.before, "bytes");
        report.measured("rss_after", self.after, "bytes");
        report.measured("rss_growth", self.growth(), "bytes");
        report.measured("rss_per_stream", self.per_stream(), "bytes");
        report.measured("kernel_per_stream", self.share(self.kernel), "bytes");
        report.figure("opening_seconds", self.opened.as_secs_f64(), "s");
        let per_second = self.streams as f64 / self.opened.as_secs_f64();
        report.figure("openings_per_second", per_second, "/s");
        let per_opening = self.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / self.streams as f64);
        report.measured("server_cpu_per_opening", per_opening, "µs");
        report.times("opening", &self.tally.openings);
        report.figure("retried_openings", self.retries, "");
        report.tally(&self.tally);
        report.require(self.live == self.streams);
        report
    }
}
