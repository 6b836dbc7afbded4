//! A shard's turn without sockets: how long it takes to find the connections that an event concerns,
//! and to hand each of them its bytes. The kernel's share is not in these figures.
//!
//! Every connection is another user's and listens to two topics, as on `/notifications/stream`; one
//! in a hundred also to a third.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use rill::event::{Event, Name, Payload};
use rill::frame::Framing;
use rill::log::{Durability, EventLog, Retention, Store};
use rill::reactor::shard::Shard;
use rill::reactor::{ConnectionId, Guard, Key, Limits, Moment, Pace, Seat, Settings, Socket};
use rill::topic::{Topic, Topics};
use tokio::runtime::Runtime;

const SIZES: [u64; 4] = [10, 1_000, 100_000, 1_000_000];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(10)
        .configure_from_args();
    let mut group = criterion.benchmark_group("fanout");
    // A turn of a million connections takes long, and each needs events published before.
    group.sampling_mode(SamplingMode::Flat);
    for connections in SIZES {
        let mut hall = Hall::of(connections);
        let user = Topic::notifications_of(&user(connections / 2));
        measure(&mut group, &mut hall, "everyone", &Topic::notifications(), 1);
        measure(&mut group, &mut hall, "everyone, 16 frames", &Topic::notifications(), 16);
        if connections >= 100 {
            measure(&mut group, &mut hall, "one in a hundred", &Topic::rooms(), 1);
        }
        measure(&mut group, &mut hall, "one user", &user, 1);
    }
    group.finish();
    criterion.final_summary();
}

/// Times the turn that delivers some events which were published before.
fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    hall: &mut Hall,
    name: &str,
    topic: &Topic,
    events: usize,
) {
    let deliveries = hall.deliveries(topic, events);
    group.throughput(Throughput::Elements(deliveries));
    group.bench_function(BenchmarkId::new(name, hall.shard.len()), |bencher| {
        bencher.iter_custom(|turns| (0..turns).map(|_| hall.turn(topic, events)).sum());
    });
}

/// A socket that swallows everything.
struct Swallow;

impl Socket for Swallow {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn set_pace(&mut self, _: Pace) {}
}

struct Free;

impl Guard for Free {
    fn seated(&self, _: Key) -> bool {
        true
    }
}

/// A shard full of connections, and the log that it reads.
struct Hall {
    runtime: Runtime,
    log: EventLog,
    topics: Arc<Topics>,
    shard: Shard<Swallow, Free>,
}

impl Hall {
    fn of(connections: u64) -> Hall {
        let topics = Arc::new(Topics::default());
        // Little is kept, so that the ring stays small however long this runs.
        let retention = Retention { age: Duration::MAX, count: 1_000, bytes: u64::MAX };
        let (store, durability) = (Store::Memory, Durability::Interval);
        let settings = rill::log::Settings { store, durability, retention };
        let log = EventLog::open(&settings, &topics).expect("a log");
        let limits = Limits { heartbeat: 300, idle: 3_000, max_lag: 600 };
        let settings = Settings { limits, heartbeat_carries_id: true };
        let shard = Shard::new(settings, log.epoch(), Arc::clone(log.ring()), 0);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut hall = Hall { runtime, log, topics, shard };
        (0..connections).for_each(|number| hall.seat(number));
        hall
    }

    fn seat(&mut self, number: u64) {
        let mut listens = vec![Topic::notifications(), Topic::notifications_of(&user(number))];
        listens.extend(number.is_multiple_of(100).then(Topic::rooms));
        let seat = Seat {
            socket: Swallow,
            id: ConnectionId(number),
            topics: self.topics.subscribe(&listens),
            guard: Free,
            start: self.log.ring().extent().head,
            framing: Framing::Chunked,
            opening: Box::new([b'x']),
        };
        self.shard.seat(seat, NOW);
    }

    fn deliveries(&self, topic: &Topic, events: usize) -> u64 {
        (self.topics.streams(std::slice::from_ref(topic)) * events) as u64
    }

    /// Publishes, and times how long the shard takes to deliver.
    fn turn(&mut self, topic: &Topic, events: usize) -> Duration {
        let message = || Payload::object().text("message", Some("Hello, everyone!")).finish();
        let event = || Event::new(vec![topic.clone()], "notification", message());
        let appends: Vec<_> = (0..events).map(|_| self.log.append(event(), None)).collect();
        for append in appends {
            self.runtime.block_on(append).expect("published");
        }
        let began = Instant::now();
        let delivered = self.shard.advance(NOW);
        let took = began.elapsed();
        assert!(delivered, "all of it in one turn");
        took
    }
}

const NOW: Moment = Moment { tick: 0, wall: SystemTime::UNIX_EPOCH };

fn user(number: u64) -> Name {
    Name::new(&format!("user-{number}")).expect("a name")
}
