//! What it costs to encode an event, once for all its listeners, and to check a publisher's JSON.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use rill::cursor::{Epoch, Position};
use rill::event::{Event, Payload};
use rill::frame::Frame;
use rill::json::Object;
use rill::topic::{Topic, Topics};

const SIZES: [(&str, usize); 3] = [("100 B", 100), ("1 KB", 1 << 10), ("64 KB", 64 << 10)];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    encode(&mut criterion);
    parse(&mut criterion);
    criterion.final_summary();
}

/// An event with a data line of this size becomes a chunk, its topics are held and given back.
fn encode(criterion: &mut Criterion) {
    let topics = Arc::new(Topics::default());
    let (position, epoch) = (Position::start(1_642_678_901_234), Epoch::from_bits(10));
    let mut group = criterion.benchmark_group("frame/encode");
    for (name, size) in SIZES {
        let payload = Payload::object().id().text("message", Some(&"x".repeat(size))).finish();
        let event = Event::new(vec![Topic::notifications()], "notification", payload);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            let encode = || Frame::encode(position, epoch, &event, topics.hold(&event.topics));
            bencher.iter(encode);
        });
    }
    group.finish();
}

/// A body is checked and its data made compact.
fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame/json");
    for (name, size) in SIZES {
        let body = body(size);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let object = Object::parse(black_box(body.as_bytes())).expect("an object");
                object.json("data").expect("data")
            });
        });
    }
    group.finish();
}

/// A body of about this size as a backend writes it: numbers, texts, escapes, white space.
fn body(size: usize) -> String {
    let record = r#"{ "id": 12345678, "name": "A \"name\" \u00e9", "tags": [1, 2.50, null] }"#;
    let records = vec![record; (size / record.len()).max(1)].join(", ");
    format!(r#"{{ "event": "update", "data": [{records}] }}"#)
}
