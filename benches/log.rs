//! The log: what a publish costs from the call to the answer, alone and with 63 others, and by the
//! size of the events.
//!
//! The figures with `fsync` are the disk's; the temporary directory decides which one that is.
//!
//! Look for: 64 events at once cost little more than one where a disk is waited for, because they
//! share its fsync; large events cost what it takes to write their bytes. What is read back out of
//! the log is the subject of `resume`.

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use rill::event::{Event, Payload};
use rill::log::{Durability, EventLog, Retention, Settings, Store};
use rill::topic::{Topic, Topics};
use tokio::runtime::Runtime;

const PAYLOADS: [(&str, usize); 4] =
    [("100 B", 100), ("1 KB", 1 << 10), ("16 KB", 16 << 10), ("64 KB", 64 << 10)];
/// Publishers of large events, enough to share an fsync.
const SEVERAL: usize = 16;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    let directory = tempfile::tempdir().expect("a directory");
    let on_disk = |name| Store::Embedded(directory.path().join(name));
    let logs = [
        ("fsync", open(on_disk("fsync"), Durability::Fsync)),
        ("interval", open(on_disk("interval"), Durability::Interval)),
        ("memory", open(Store::Memory, Durability::Interval)),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    at_once(&mut criterion, &runtime, &logs);
    // In memory an event is only encoded, which `frame` measures.
    payloads(&mut criterion, &runtime, &logs[..2]);
    logs.iter().for_each(|(_, log)| log.close());
    criterion.final_summary();
}

fn open(store: Store, durability: Durability) -> EventLog {
    let age = Duration::from_secs(24 * 60 * 60);
    let retention = Retention { age, count: 1_000_000, bytes: 1 << 30 };
    let topics = Arc::new(Topics::default());
    EventLog::open(&Settings { store, durability, retention }, &topics).expect("a log")
}

/// One event, and 64.
fn at_once(criterion: &mut Criterion, runtime: &Runtime, logs: &[(&str, EventLog)]) {
    let mut group = criterion.benchmark_group("log/append");
    let event = event(100);
    for (name, log) in logs {
        for at_once in [1, 64] {
            group.throughput(Throughput::Elements(at_once as u64));
            group.bench_function(BenchmarkId::new(*name, at_once), |bencher| {
                bencher.iter(|| publish(runtime, log, &event, at_once));
            });
        }
    }
    group.finish();
}

/// Small events and large ones, some at once.
fn payloads(criterion: &mut Criterion, runtime: &Runtime, logs: &[(&str, EventLog)]) {
    let mut group = criterion.benchmark_group("log/append 16");
    for (name, log) in logs {
        for (size, bytes) in PAYLOADS {
            let event = event(bytes);
            group.throughput(Throughput::Bytes((SEVERAL * bytes) as u64));
            group.bench_function(BenchmarkId::new(*name, size), |bencher| {
                bencher.iter(|| publish(runtime, log, &event, SEVERAL));
            });
        }
    }
    group.finish();
}

/// Publishes this many events at once and waits for all answers.
fn publish(runtime: &Runtime, log: &EventLog, event: &Event, at_once: usize) {
    let appends: Vec<_> = (0..at_once).map(|_| log.append(event.clone(), None)).collect();
    for append in appends {
        runtime.block_on(append).expect("published");
    }
}

fn event(bytes: usize) -> Event {
    let payload = Payload::object().id().text("message", Some(&"x".repeat(bytes))).finish();
    Event::new(vec![Topic::notifications()], "notification", payload)
}
