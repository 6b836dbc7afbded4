//! Measures a process with all that descend from it, and the machine's listen queues, from outside:
//! through `/proc` and the CPU clocks.

use std::fs;
use std::io;
use std::iter::Sum;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::descendants::descendants;
use crate::failure::Failure;
use crate::stop::Stop;

/// Time between two looks at a process.
const GLANCE: Duration = Duration::from_millis(50);

/// One process, with its descendants of the moment unless it is our own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gauge {
    pid: i32,
    alone: bool,
}

/// What a process and its descendants hold, and have used so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// Resident memory in bytes, some dozen pages inexact; shared pages count in each process.
    pub(crate) rss: u64,
    /// Seconds of user and system time.
    pub(crate) cpu: f64,
    /// Open descriptors; None where they are another user's secret.
    pub(crate) descriptors: Option<u64>,
}

impl Gauge {
    /// Measures process `pid` and what it forked.
    pub(crate) fn of(pid: i32) -> Gauge {
        Gauge { pid, alone: false }
    }

    /// The process.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Measures this process, without the servers that it started.
    pub(crate) fn own() -> Gauge {
        Gauge { pid: std::process::id() as i32, alone: true }
    }

    /// All at once, at the price of a few small files.
    pub(crate) fn usage(&self) -> Result<Usage, Failure> {
        let others = self.others();
        Ok(Usage {
            rss: self.sum(&others, statm_rss)?,
            cpu: self.sum(&others, |pid| self.cpu_of(pid))?.as_secs_f64(),
            descriptors: self.sum(&others, descriptors).ok(),
        })
    }

    /// User and system time of all threads, also the ended ones, to the nanosecond. What ended
    /// descendants used is in it to the clock tick (10 ms), once their parent has waited for them.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        self.sum(&self.others(), |pid| self.cpu_of(pid))
    }

    /// User and system time apart, to the clock tick (10 ms).
    pub(crate) fn user_and_system(&self) -> Result<(Duration, Duration), Failure> {
        let (others, fields) = (self.others(), if self.alone { 1 } else { 2 });
        let user = self.sum(&others, |pid| time(pid, &[UTIME, CUTIME][..fields]))?;
        let system = self.sum(&others, |pid| time(pid, &[STIME, CSTIME][..fields]))?;
        Ok((user, system))
    }

    /// Resident memory in bytes, summed up exactly (`smaps_rollup`); costs the processes a walk
    /// through their pages. Of pages that several share, each has its part.
    pub(crate) fn rss(&self) -> Result<u64, Failure> {
        let others = self.others();
        let field = if others.is_empty() { "Rss:" } else { "Pss:" };
        self.sum(&others, |pid| rollup(pid, field))
    }

    /// Resident memory in bytes as `statm` has it: cheap, and some dozen pages inexact.
    pub(crate) fn rss_roughly(&self) -> Result<u64, Failure> {
        self.sum(&self.others(), statm_rss)
    }

    fn cpu_of(&self, pid: i32) -> io::Result<Duration> {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid));
        let own = clock.and_then(ClockId::now)?;
        let of_ended = if self.alone { Duration::ZERO } else { time(pid, &[CUTIME, CSTIME])? };
        Ok(Duration::from(own) + of_ended)
    }

    /// The processes that count besides the first.
    fn others(&self) -> Vec<i32> {
        if self.alone { Vec::new() } else { descendants(self.pid) }
    }

    /// One of the others that ended meanwhile counts nothing.
    fn sum<T: Sum>(
        &self,
        others: &[i32],
        measure: impl Fn(i32) -> io::Result<T>,
    ) -> Result<T, Failure> {
        let first =
            measure(self.pid).map_err(|source| Failure::Unmeasurable { pid: self.pid, source })?;
        let others = others.iter().filter_map(|&pid| measure(pid).ok());
        Ok(std::iter::once(first).chain(others).sum())
    }
}

fn rollup(pid: i32, field: &str) -> io::Result<u64> {
    let rollup = read(pid, "smaps_rollup")?;
    let line = rollup.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
    kilobytes.map(|count: u64| count * 1024).ok_or_else(unreadable)
}

fn statm_rss(pid: i32) -> io::Result<u64> {
    let statm = read(pid, "statm")?;
    let pages = statm.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096) as u64;
    pages.map(|count| count * size).ok_or_else(unreadable)
}

/// Since Linux 6.2 the folder's size is their number: nothing has to be listed.
fn descriptors(pid: i32) -> io::Result<u64> {
    let directory = format!("/proc/{pid}/fd");
    match fs::metadata(&directory)?.len() {
        0 => Ok(fs::read_dir(&directory)?.count() as u64),
        count => Ok(count),
    }
}

/// Places in `/proc/PID/stat` after the name, which is field 2 of proc(5): time of its own (14, 15)
/// and of the children that it has waited for (16, 17).
const UTIME: usize = 11;
const STIME: usize = 12;
const CUTIME: usize = 13;
const CSTIME: usize = 14;

/// The sum of these fields of a process.
fn time(pid: i32, fields: &[usize]) -> io::Result<Duration> {
    let stat = read(pid, "stat")?;
    let values: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: &usize| values.get(*at).and_then(|value| value.parse::<u64>().ok());
    let sum: Option<u64> = fields.iter().map(ticks).sum();
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64;
    sum.map(|ticks| Duration::from_secs_f64(ticks as f64 / per_second)).ok_or_else(unreadable)
}

fn read(pid: i32, file: &str) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{pid}/{file}"))
}

fn unreadable() -> io::Error {
    io::ErrorKind::InvalidData.into()
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

    /// Looks again and again for this time.
    pub(crate) fn watch(&mut self, duration: Duration, stop: &Stop) {
        let end = Instant::now() + duration;
        while Instant::now() < end && !stop.over() {
            stop.sleep(GLANCE.min(end.saturating_duration_since(Instant::now())));
            self.look();
        }
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
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

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

    /// A shell that runs `script`, once it has printed a line, and what measures it.
    fn shell(script: &str) -> (Child, Gauge) {
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        BufReader::new(shell.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
        let gauge = Gauge::of(shell.id() as i32);
        (shell, gauge)
    }

    #[test]
    fn what_ended_children_used_is_not_forgotten() {
        let busy = "dd if=/dev/zero of=/dev/null bs=1 count=200000 2>/dev/null; echo; read line";
        let (mut shell, gauge) = shell(busy);
        let alone = Gauge { alone: true, ..gauge };
        let ended = gauge.cpu().unwrap() - alone.cpu().unwrap();
        assert!(ended >= Duration::from_millis(10), "{ended:?}");
        let (user, system) = gauge.user_and_system().unwrap();
        assert!(user + system >= ended);
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

    #[test]
    fn what_a_process_forks_is_measured_with_it() {
        let (mut shell, gauge) = shell("exec 3<&0; sh -c 'echo; read line' <&3 & wait");
        let alone = Gauge { alone: true, ..gauge };
        let (own, all) = (alone.usage().unwrap(), gauge.usage().unwrap());
        assert!(own.descriptors >= Some(4), "three, and number 3: {own:?}");
        assert_eq!(all.descriptors, own.descriptors.map(|own| 2 * own), "all are inherited");
        assert!(all.rss > own.rss && all.cpu > own.cpu);
        let (own, all) = (alone.rss().unwrap(), gauge.rss().unwrap());
        assert!(all > 0 && all < 2 * own, "what both share counts once: {all} {own}");
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

    #[test]
    fn listen_queues_are_found_by_name() {
        let netstat = "TcpExt: A ListenOverflows ListenDrops\nTcpExt: 1 2 3\nIpExt: B\nIpExt: 4\n";
        assert_eq!(ListenQueues::parse(netstat), Some(ListenQueues { overflows: 2, drops: 3 }));
        assert!(ListenQueues::now().is_some());
    }
}
