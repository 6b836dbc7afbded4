//! A shard's turn without sockets: how long it takes to find the connections that an event concerns,
//! and to hand each of them its bytes. The kernel's share is not in these figures.
//!
//! Every connection is another user's and listens to two topics, as on `/notifications/stream`; one
//! in a hundred also to a third.
//!
//! Look for: the time of a delivery stays the same from 10 connections on until they no longer fit
//! into the processor's caches; an event for one user costs the same however many others there are;
//! and a delivery of 64 KB costs what one of 100 bytes does, because nothing is copied.

mod hall;

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use hall::{Hall, event, user};
use rill::event::Event;
use rill::topic::Topic;

const SIZES: [u64; 5] = [10, 1_000, 10_000, 100_000, 1_000_000];
const PAYLOADS: [(&str, usize); 4] =
    [("100 B", 100), ("1 KB", 1 << 10), ("16 KB", 16 << 10), ("64 KB", 64 << 10)];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(10)
        .configure_from_args();
    shares(&mut criterion);
    payloads(&mut criterion);
    criterion.final_summary();
}

fn full(connections: u64) -> Hall {
    let mut hall = Hall::new();
    for number in 0..connections {
        let mut listens = vec![Topic::notifications(), Topic::notifications_of(&user(number))];
        listens.extend(number.is_multiple_of(100).then(Topic::rooms));
        hall.seat(&listens);
    }
    hall
}

/// Everyone, one in a hundred, and one user of many.
fn shares(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fanout");
    for connections in SIZES {
        let mut hall = full(connections);
        let mut time = |name: &str, topic: Topic, times: usize| {
            let id = BenchmarkId::new(name, connections);
            measure(&mut group, id, &mut hall, &event(vec![topic], 20), times);
        };
        time("everyone", Topic::notifications(), 1);
        time("everyone, 16 frames", Topic::notifications(), 16);
        if connections >= 100 {
            time("one in a hundred", Topic::rooms(), 1);
        }
        time("one user", Topic::notifications_of(&user(connections / 2)), 1);
    }
    group.finish();
}

/// Small and large events to everyone.
fn payloads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fanout/payload");
    for connections in [1_000, 100_000] {
        let mut hall = full(connections);
        for (name, bytes) in PAYLOADS {
            let event = event(vec![Topic::notifications()], bytes);
            measure(&mut group, BenchmarkId::new(name, connections), &mut hall, &event, 1);
        }
    }
    group.finish();
}

/// Times the turn that delivers an event which was published some times before.
fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    hall: &mut Hall,
    event: &Event,
    times: usize,
) {
    // A turn of a million connections takes long, and each needs events published before.
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(hall.listeners(&event.topics) * times as u64));
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|turns| (0..turns).map(|_| hall.turn(event, times)).sum());
    });
}
