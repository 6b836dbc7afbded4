//! What the process uses, measured.

use std::time::{Duration, Instant, SystemTime};

use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};
use parking_lot::Mutex;

use crate::event::{ObjectWriter, Payload};
use crate::metrics::Now;

/// The share of a core is measured over at least this long; a shorter time says little.
const WINDOW: Duration = Duration::from_secs(1);

/// Measures from the start of the process on.
pub struct Meter {
    started: Instant,
    last: Mutex<Sample>,
}

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    /// Processor time used until then.
    used: Duration,
    /// The share of one core between this sample and the one before it.
    percent: u64,
}

impl Meter {
    /// Starts to measure.
    pub fn start() -> Meter {
        let now = Instant::now();
        let last = Sample { at: now, used: Duration::ZERO, percent: 0 };
        Meter { started: now, last: Mutex::new(last) }
    }

    /// The status object's members, without a timestamp.
    pub fn status(&self, connections: usize) -> ObjectWriter {
        Payload::object()
            .text("status", Some("healthy"))
            .number("uptime", self.started.elapsed().as_secs())
            .number("connections", connections as u64)
            .text("memory", Some(&format!("{}MB", resident_bytes() >> 20)))
            .text("cpu", Some(&format!("{}%", self.percent())))
    }

    /// The same as an event's payload.
    pub fn event(&self, connections: usize) -> Payload {
        self.status(connections).timestamp(SystemTime::now()).finish()
    }

    fn percent(&self) -> u64 {
        let now = Instant::now();
        let mut last = self.last.lock();
        let passed = now - last.at;
        if passed >= WINDOW || last.at == self.started {
            let used = processor_time();
            let share =
                used.saturating_sub(last.used).as_secs_f64() / passed.as_secs_f64().max(0.001);
            *last = Sample { at: now, used, percent: (share * 100.0).round() as u64 };
        }
        last.percent
    }
}

/// What the process is like, for its metrics.
pub fn now(streams: usize, kept: u64) -> Now {
    Now { streams, kept, memory: resident_bytes(), processor: processor_time() }
}

/// User and system time of the whole process.
fn processor_time() -> Duration {
    let micros = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1_000)
    };
    getrusage(UsageWho::RUSAGE_SELF)
        .map_or(Duration::ZERO, |usage| micros(usage.user_time()) + micros(usage.system_time()))
}

/// Resident memory, from the second field of `/proc/self/statm` (proc(5)), in pages.
fn resident_bytes() -> u64 {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096) as u64;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * page
}
