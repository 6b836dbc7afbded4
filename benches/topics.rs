//! Topics: what it costs that a connection listens to many of them, that there are many, and that an
//! event names many.
//!
//! The deliveries are a shard's turns without sockets, as in `fanout`. Coming and going is what the
//! table of topics does for a stream: it gives each topic a number, counts the stream and lets go.
//!
//! Look for: an event of one topic costs the same whether its listeners listen to 3 others or to
//! 9,999 (the logarithm of it, to be exact), and whatever number of other topics there is. What may
//! grow with the number of topics is what has to name each: coming, going, and an event for many.

mod hall;

use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use hall::{Hall, event, user};
use rill::event::Event;
use rill::topic::{Topic, Topics};

const SIZES: [u64; 5] = [1, 10, 100, 1_000, 10_000];
const PRESENT: [u64; 4] = [10, 1_000, 100_000, 1_000_000];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(10)
        .configure_from_args();
    listening_to_many(&mut criterion);
    among_many(&mut criterion);
    naming_many(&mut criterion);
    coming_and_going(&mut criterion);
    criterion.final_summary();
}

fn topic(number: u64) -> Topic {
    Topic::room(&user(number))
}

/// 100 connections listen to the same so many topics each; an event has one of them.
fn listening_to_many(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topics/each listens to");
    for topics in SIZES {
        let listens: Vec<Topic> = (0..topics).map(topic).collect();
        let mut hall = Hall::new();
        for _ in 0..100 {
            hall.seat(&listens);
        }
        measure(&mut group, topics, &mut hall, &event(vec![topic(topics / 2)], 100));
    }
    group.finish();
}

/// There are so many topics, and 10 connections listen to each; an event has one of them.
fn among_many(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topics/one of");
    for topics in SIZES {
        let mut hall = Hall::new();
        for number in 0..10 * topics {
            hall.seat(&[topic(number % topics)]);
        }
        measure(&mut group, topics, &mut hall, &event(vec![topic(topics / 2)], 100));
    }
    group.finish();
}

/// 10,000 connections listen to one topic each; an event has so many of these.
fn naming_many(criterion: &mut Criterion) {
    let mut hall = Hall::new();
    for number in 0..10_000 {
        hall.seat(&[topic(number)]);
    }
    let mut group = criterion.benchmark_group("topics/event names");
    for topics in SIZES {
        let event = event((0..topics).map(topic).collect(), 100);
        measure(&mut group, topics, &mut hall, &event);
    }
    group.finish();
}

/// Times the turn that delivers an event.
fn measure(group: &mut BenchmarkGroup<'_, WallTime>, topics: u64, hall: &mut Hall, event: &Event) {
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(hall.listeners(&event.topics)));
    group.bench_function(BenchmarkId::from_parameter(topics), |bencher| {
        bencher.iter_custom(|turns| (0..turns).map(|_| hall.turn(event, 1)).sum());
    });
}

/// A stream subscribes and leaves: beside so many others, and to so many topics.
fn coming_and_going(criterion: &mut Criterion) {
    let come_and_go = |topics: &Arc<Topics>, listens: &[Topic]| drop(topics.subscribe(listens));
    let own = |number| [Topic::notifications(), Topic::notifications_of(&user(number))];

    let mut group = criterion.benchmark_group("topics/come and go, beside streams");
    for present in PRESENT {
        let topics = Arc::new(Topics::default());
        let streams: Vec<_> = (0..present).map(|number| topics.subscribe(&own(number))).collect();
        let newcomer = own(present);
        group.bench_function(BenchmarkId::from_parameter(present), |bencher| {
            bencher.iter(|| come_and_go(&topics, &newcomer));
        });
        drop(streams);
    }
    group.finish();

    let mut group = criterion.benchmark_group("topics/come and go, topics");
    let topics = Arc::new(Topics::default());
    for number in SIZES {
        let listens: Vec<Topic> = (0..number).map(topic).collect();
        group.throughput(Throughput::Elements(number));
        group.bench_function(BenchmarkId::from_parameter(number), |bencher| {
            bencher.iter(|| come_and_go(&topics, &listens));
        });
    }
    group.finish();
}
