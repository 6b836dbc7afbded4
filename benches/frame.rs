//! What it costs to encode an event, once for all its listeners: the chunk with its lines, and the
//! event's topics held in the table and given back. Neither the log nor a socket is in it.
//!
//! Look for: small events cost some hundred nanoseconds, mostly memory taken and given back; large
//! ones grow by what it costs to copy them, and by no more.

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use rill::cursor::{Epoch, Position};
use rill::event::{Event, Payload};
use rill::frame::Frame;
use rill::topic::{Topic, Topics};

const SIZES: [(&str, usize); 4] =
    [("100 B", 100), ("1 KB", 1 << 10), ("16 KB", 16 << 10), ("64 KB", 64 << 10)];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    encode(&mut criterion);
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
