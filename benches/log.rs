//! The log: what a publish costs, alone and with 63 others, and how fast the ring is searched.
//!
//! The figures with `fsync` are the disk's; the temporary directory decides which one that is.

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use rill::event::{Event, Name, Payload};
use rill::log::{Durability, EventLog, Retention, Settings, Store};
use rill::topic::{Topic, Topics};
use tokio::runtime::Runtime;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    append(&mut criterion);
    matching(&mut criterion);
    criterion.final_summary();
}

fn open(store: Store, durability: Durability, topics: &Arc<Topics>) -> EventLog {
    let age = Duration::from_secs(24 * 60 * 60);
    let retention = Retention { age, count: 1_000_000, bytes: 1 << 30 };
    EventLog::open(&Settings { store, durability, retention }, topics).expect("a log")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

fn event(topic: Topic) -> Event {
    let payload = Payload::object().id().text("message", Some(&"x".repeat(100))).finish();
    Event::new(vec![topic], "notification", payload)
}

/// From the call to the answer.
fn append(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let on_disk = |name| Store::Embedded(directory.path().join(name));
    let logs = [
        ("fsync", open(on_disk("fsync"), Durability::Fsync, &Arc::default())),
        ("interval", open(on_disk("interval"), Durability::Interval, &Arc::default())),
        ("memory", open(Store::Memory, Durability::Interval, &Arc::default())),
    ];
    let runtime = runtime();
    let mut group = criterion.benchmark_group("log/append");
    for (name, log) in &logs {
        for at_once in [1_u64, 64] {
            group.throughput(Throughput::Elements(at_once));
            group.bench_function(BenchmarkId::new(*name, at_once), |bencher| {
                bencher.iter(|| publish(&runtime, log, at_once));
            });
        }
    }
    group.finish();
    logs.iter().for_each(|(_, log)| log.close());
}

/// Publishes this many events at once and waits for all answers.
fn publish(runtime: &Runtime, log: &EventLog, at_once: u64) {
    let append = |_| log.append(event(Topic::notifications()), None);
    let answers: Vec<_> = (0..at_once).map(append).collect();
    for answer in answers {
        runtime.block_on(answer).expect("published");
    }
}

/// What a stream that comes back costs: 3,000 events are looked at, and few or all concern it.
fn matching(criterion: &mut Criterion) {
    let topics = Arc::new(Topics::default());
    let log = open(Store::Memory, Durability::Interval, &topics);
    let (ring, runtime) = (log.ring(), runtime());
    let start = ring.extent().head;
    let user = |number: u32| {
        Topic::notifications_of(&Name::new(&format!("user-{}", number % 100)).expect("a name"))
    };
    for number in 0..3_000 {
        runtime.block_on(log.append(event(user(number)), None)).expect("published");
    }
    let everyone: Vec<Topic> = (0..100).map(user).collect();
    let mut group = criterion.benchmark_group("log/matching");
    group.throughput(Throughput::Elements(3_000));
    for (name, listens) in [
        ("0 of 3000", &[Topic::notifications(), Topic::system()][..]),
        ("30 of 3000", &[Topic::notifications(), user(7)][..]),
        ("3000 of 3000", &everyone[..]),
    ] {
        let stream = topics.subscribe(listens);
        let mut frames = Vec::with_capacity(3_000);
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                frames.clear();
                ring.matching(start, ring.extent().head, stream.set(), usize::MAX, &mut frames)
            });
        });
    }
    group.finish();
}
