//! nginx's processes, seen from outside: through `/proc`, where nginx names what each of them does.

use std::fs;

use crate::descendants::descendants;

/// What a worker calls itself from its first connection on until it is told to go.
const SERVING: &str = "nginx: worker process";

/// A child of the master.
pub(super) struct Worker {
    /// Its process.
    pub(super) pid: i32,
    title: String,
}

/// All that the master has at this moment; none if it is gone.
pub(super) fn of(master: i32) -> Vec<Worker> {
    // One that ends meanwhile is none.
    let workers = descendants(master).into_iter();
    workers.filter_map(|pid| Some(Worker { pid, title: title(pid)? })).collect()
}

/// Those that take new connections.
pub(super) fn serving(master: i32) -> Vec<i32> {
    let workers = of(master).into_iter();
    workers.filter(|worker| worker.title == SERVING).map(|worker| worker.pid).collect()
}

/// Whether a process is there and has not ended.
pub(super) fn is_running(pid: i32) -> bool {
    title(pid).is_some()
}

/// None once it has ended, even if nobody has asked how.
fn title(pid: i32) -> Option<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let end = line.iter().position(|byte| *byte == 0).unwrap_or(line.len());
    let title = String::from_utf8_lossy(&line[..end]);
    (!title.is_empty()).then(|| title.trim_end().to_owned())
}
