//! What else a shard does than deliver: it takes streams in and lets them go, tells everyone
//! something that is not kept, and sends heartbeats. There are no sockets, so the kernel's share is
//! not in these figures.
//!
//! Look for: a stream's coming and going costs the same beside 10 others and beside a million, but
//! for the processor's caches; so does a heartbeat.

mod hall;

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use hall::{HEARTBEAT, Hall, NOW, at, event, user};
use rill::frame::Ephemeral;
use rill::reactor::wheel::Tick;
use rill::topic::Topic;

const SIZES: [u64; 5] = [10, 1_000, 10_000, 100_000, 1_000_000];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(10)
        .configure_from_args();
    for connections in SIZES {
        let mut hall = Hall::new();
        // They come in the course of a heartbeat's time, and so their heartbeats do not fall together.
        let came = |number: u64| at((number * u64::from(HEARTBEAT) / connections) as Tick);
        for number in 0..connections {
            hall.seat_at(&own(number), came(number));
        }
        come_and_go(&mut criterion, &mut hall, connections);
        ephemeral(&mut criterion, &mut hall, connections);
        heartbeats(&mut criterion, &mut hall, connections);
    }
    criterion.final_summary();
}

fn own(number: u64) -> [Topic; 2] {
    [Topic::notifications(), Topic::notifications_of(&user(number))]
}

/// One more stream, which leaves again: the last of the slots each time.
fn come_and_go(criterion: &mut Criterion, hall: &mut Hall, connections: u64) {
    let newcomer = own(connections);
    criterion.bench_function(&format!("shard/come and go/{connections}"), |bencher| {
        bencher.iter(|| {
            let key = hall.seat(&newcomer);
            hall.shard.readable(key, NOW);
        });
    });
}

/// An event that is not kept, to everyone.
fn ephemeral(criterion: &mut Criterion, hall: &mut Hall, connections: u64) {
    let event = event(vec![Topic::notifications()], 20);
    let event = Arc::new(Ephemeral::encode(&event, hall.topics.hold(&event.topics)));
    let mut group = criterion.benchmark_group("shard/not kept, to everyone");
    group.throughput(Throughput::Elements(connections)).sampling_mode(SamplingMode::Flat);
    group.bench_function(BenchmarkId::from_parameter(connections), |bencher| {
        bencher.iter(|| hall.shard.deliver_ephemeral(std::slice::from_ref(&event), NOW));
    });
    group.finish();
}

/// A heartbeat's time passes without an event, tick by tick, and each gets one.
fn heartbeats(criterion: &mut Criterion, hall: &mut Hall, connections: u64) {
    let mut tick = 0;
    let mut group = criterion.benchmark_group("shard/heartbeats");
    group.throughput(Throughput::Elements(connections)).sampling_mode(SamplingMode::Flat);
    group.bench_function(BenchmarkId::from_parameter(connections), |bencher| {
        bencher.iter(|| {
            let round = tick + 1..=tick + HEARTBEAT;
            tick += HEARTBEAT;
            round.for_each(|tick| hall.shard.tick(at(tick)));
        });
    });
    group.finish();
}
