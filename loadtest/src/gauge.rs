//! Measures a process, and the machine's listen queues, from outside: through `/proc` and its CPU
//! clock.

use std::fs;
use std::io;
use std::time::Duration;

use nix::time::ClockId;
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::failure::Failure;

/// One process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gauge {
    pid: i32,
}

impl Gauge {
    /// Measures process `pid`.
    pub(crate) fn of(pid: i32) -> Gauge {
        Gauge { pid }
    }

    /// Measures this process.
    pub(crate) fn own() -> Gauge {
        Gauge::of(std::process::id() as i32)
    }

    /// User and system time of all its threads, also the ended ones, to the nanosecond.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(self.pid));
        let time = clock.and_then(ClockId::now).map_err(|error| self.lost(error.into()))?;
        Ok(time.into())
    }

    /// User and system time apart, to the clock tick (10 ms).
    pub(crate) fn user_and_system(&self) -> Result<(Duration, Duration), Failure> {
        let stat = self.read("stat")?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64;
        let time = |ticks: u64| Duration::from_secs_f64(ticks as f64 / per_second);
        // Fields 14 and 15 of proc(5); the split starts at field 3.
        let (user, system) =
            ticks(11).zip(ticks(12)).ok_or_else(|| self.lost(io::ErrorKind::InvalidData.into()))?;
        Ok((time(user), time(system)))
    }

    /// Resident memory in bytes, summed up exactly (`smaps_rollup`); costs the process a walk
    /// through its pages.
    pub(crate) fn rss(&self) -> Result<u64, Failure> {
        let rollup = self.read("smaps_rollup")?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
        let kilobytes =
            line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        kilobytes
            .map(|count| count * 1024)
            .ok_or_else(|| self.lost(io::ErrorKind::InvalidData.into()))
    }

    /// Resident memory in bytes as `statm` has it: cheap, and some dozen pages inexact.
    pub(crate) fn rss_roughly(&self) -> Result<u64, Failure> {
        let statm = self.read("statm")?;
        let pages = statm.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
        let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096) as u64;
        pages.map(|count| count * size).ok_or_else(|| self.lost(io::ErrorKind::InvalidData.into()))
    }

    fn read(&self, file: &str) -> Result<String, Failure> {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid)).map_err(|source| self.lost(source))
    }

    fn lost(&self, source: io::Error) -> Failure {
        Failure::Unmeasurable { pid: self.pid, source }
    }
}

/// The highest of several looks at a process's memory.
#[derive(Debug)]
pub(crate) struct Peak {
    gauge: Option<Gauge>,
    bytes: Option<u64>,
}

impl Peak {
    /// Nothing seen yet.
    pub(crate) fn of(gauge: Option<Gauge>) -> Peak {
        Peak { gauge, bytes: None }
    }

    /// Looks once.
    pub(crate) fn look(&mut self) {
        let now = self.gauge.and_then(|gauge| gauge.rss_roughly().ok());
        self.bytes = self.bytes.max(now);
    }

    /// The highest so far.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.bytes
    }
}

/// The machine's counters of connections that no accept queue had room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenQueues {
    /// `TcpExtListenOverflows`.
    pub(crate) overflows: u64,
    /// `TcpExtListenDrops`.
    pub(crate) drops: u64,
}

impl ListenQueues {
    /// As they stand now; None where the kernel does not say.
    pub(crate) fn now() -> Option<ListenQueues> {
        ListenQueues::parse(&fs::read_to_string("/proc/net/netstat").ok()?)
    }

    fn parse(netstat: &str) -> Option<ListenQueues> {
        let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
        let (names, values) = (lines.next()?, lines.next()?);
        let value = |wanted: &str| {
            let mut pairs = names.split_whitespace().zip(values.split_whitespace());
            pairs.find(|(name, _)| *name == wanted).and_then(|(_, value)| value.parse().ok())
        };
        Some(ListenQueues { overflows: value("ListenOverflows")?, drops: value("ListenDrops")? })
    }

    /// What was added since `before`.
    pub(crate) fn since(self, before: ListenQueues) -> ListenQueues {
        ListenQueues {
            overflows: self.overflows - before.overflows,
            drops: self.drops - before.drops,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_measured() {
        let gauge = Gauge::own();
        assert!(gauge.rss().unwrap() > 100_000 && gauge.rss_roughly().unwrap() > 100_000);
        let before = gauge.cpu().unwrap();
        while gauge.cpu().unwrap() - before < Duration::from_millis(30) {}
        let (user, system) = gauge.user_and_system().unwrap();
        assert!(user + system >= Duration::from_millis(20));
        assert!(Gauge::of(i32::MAX).rss().is_err());
    }

    #[test]
    fn listen_queues_are_found_by_name() {
        let netstat = "TcpExt: A ListenOverflows ListenDrops\nTcpExt: 1 2 3\nIpExt: B\nIpExt: 4\n";
        assert_eq!(ListenQueues::parse(netstat), Some(ListenQueues { overflows: 2, drops: 3 }));
        assert!(ListenQueues::now().is_some());
    }
}
