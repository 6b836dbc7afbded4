//! The timer wheel: one timer for each connection, spread over a heartbeat's 300 ticks.

use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use rill::reactor::wheel::{Tick, Wheel};

const SIZES: [u32; 4] = [10, 1_000, 100_000, 1_000_000];
const HEARTBEAT: Tick = 300;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(10)
        .configure_from_args();
    arm(&mut criterion);
    advance(&mut criterion);
    rearm(&mut criterion);
    criterion.final_summary();
}

/// Not in the order of the slots, as connections do not come in the order of their heartbeats.
fn deadline(slot: u32) -> Tick {
    1 + (u64::from(slot) * 7_919 % u64::from(HEARTBEAT)) as Tick
}

fn armed(timers: u32) -> Wheel {
    let mut wheel = Wheel::new(0);
    (0..timers).for_each(|slot| wheel.arm(slot, deadline(slot)));
    wheel
}

/// A wheel that has room for the timers and none of them.
fn roomy(timers: u32) -> Wheel {
    let mut wheel = armed(timers);
    (0..timers).for_each(|slot| wheel.disarm(slot));
    wheel
}

/// Every timer is armed.
fn arm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wheel/arm");
    for timers in SIZES {
        group.throughput(Throughput::Elements(timers.into()));
        group.bench_function(BenchmarkId::from_parameter(timers), |bencher| {
            let arm = |wheel: &mut Wheel| {
                (0..timers).for_each(|slot| wheel.arm(slot, deadline(slot)));
            };
            bencher.iter_batched_ref(|| roomy(timers), arm, BatchSize::LargeInput);
        });
    }
    group.finish();
}

/// A heartbeat's time passes, tick by tick, and every timer is due.
fn advance(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wheel/advance");
    for timers in SIZES {
        group.throughput(Throughput::Elements(timers.into()));
        group.bench_function(BenchmarkId::from_parameter(timers), |bencher| {
            let mut due = Vec::with_capacity(timers as usize);
            let advance = |wheel: &mut Wheel| {
                due.clear();
                (1..=HEARTBEAT).for_each(|tick| wheel.advance(tick, &mut due));
                assert_eq!(due.len(), timers as usize);
            };
            bencher.iter_batched_ref(|| armed(timers), advance, BatchSize::LargeInput);
        });
    }
    group.finish();
}

/// Every timer is told of a later deadline, which is what nearly every call of a busy shard does.
fn rearm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wheel/later");
    for timers in SIZES {
        let mut wheel = armed(timers);
        group.throughput(Throughput::Elements(timers.into()));
        group.bench_function(BenchmarkId::from_parameter(timers), |bencher| {
            bencher.iter(|| (0..timers).for_each(|slot| wheel.arm(slot, HEARTBEAT + 1)));
        });
    }
    group.finish();
}
