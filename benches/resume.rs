//! What a stream that comes back costs, by how many events there were while it was away and how many
//! of them concern it: all, one in a hundred, none.
//!
//! `start` is the way through the hub, which finds where the stream begins: that takes a look at what
//! concerns it if there were more events than are replayed (10,000). `gather` is what its shard then
//! reads for one write out of the ring of recent events, and `page` what a reader fetches for it from
//! the disk. A log in memory is a ring of all its events; one on disk has a ring of 32 MB.
//!
//! Look for: on disk a figure grows up to a bound, that of a page or of the replay, and no further,
//! since an index leads to what concerns a stream. In a ring each event is looked at until enough are
//! found, so who is concerned by few pays for all: some nanoseconds for each.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode};
use rill::cursor::{Cursor, Position, Requested};
use rill::event::{Event, Name, Payload};
use rill::hub::admission::{Holder, Limits, Origin};
use rill::hub::{Hub, Request, Settings};
use rill::log::{self, Durability, EventLog, Retention, Store};
use rill::reactor;
use rill::topic::{Topic, Topics};
use tokio::runtime::Runtime;

/// Events while the stream was away.
const MISSED: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const BATCH: usize = 1_000;
/// What a shard gathers for one write, in bytes.
const GATHER: usize = 64 << 10;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300))
        .sample_size(10)
        .configure_from_args();
    let directory = tempfile::tempdir().expect("a directory");
    for (name, store) in
        [("memory", Store::Memory), ("disk", Store::Embedded(directory.path().join("data")))]
    {
        let past = Past::of(store);
        past.gather(&mut criterion, name);
        if name == "disk" {
            past.page(&mut criterion);
        }
        past.start(&mut criterion, name);
    }
    criterion.final_summary();
}

/// A log full of messages in chat rooms, of which there are a hundred.
struct Past {
    runtime: Runtime,
    topics: Arc<Topics>,
    log: EventLog,
    /// Where a client stands that has missed so many events.
    cursors: Vec<(usize, Cursor)>,
}

/// Streams by what concerns them.
fn streams() -> [(&'static str, Topic); 3] {
    [("all", Topic::rooms()), ("1 %", Topic::room(&room(7))), ("none", Topic::notifications())]
}

fn room(number: usize) -> Name {
    Name::new(&format!("room-{}", number % 100)).expect("a name")
}

impl Past {
    fn of(store: Store) -> Past {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let topics = Arc::new(Topics::default());
        let retention = Retention { age: Duration::MAX, count: 2_000_000, bytes: u64::MAX };
        let settings = log::Settings { store, durability: Durability::Interval, retention };
        let log = EventLog::open(&settings, &topics).expect("a log");
        let mut past = Past { runtime, topics, log, cursors: Vec::new() };
        past.fill();
        past
    }

    fn fill(&mut self) {
        let all = MISSED[MISSED.len() - 1];
        let message = |number| {
            let payload = Payload::object().id().text("message", Some(&"x".repeat(100))).finish();
            Event::new(vec![Topic::room(&room(number)), Topic::rooms()], "message", payload)
        };
        for begun in (0..all).step_by(BATCH) {
            if MISSED.contains(&(all - begun)) {
                self.cursors.push((all - begun, self.head()));
            }
            let append = |number| self.log.append(message(number), None);
            let appends: Vec<_> = (begun..begun + BATCH).map(append).collect();
            appends.into_iter().for_each(|append| {
                self.runtime.block_on(append).expect("published");
            });
        }
        self.cursors.reverse();
    }

    fn head(&self) -> Cursor {
        Cursor { position: self.log.ring().extent().head, epoch: self.log.epoch() }
    }

    /// One write's worth out of the ring, as far as the ring reaches back.
    fn gather(&self, criterion: &mut Criterion, name: &str) {
        let mut group = criterion.benchmark_group(format!("resume/gather, {name}"));
        let (ring, head) = (self.log.ring(), self.head().position);
        for (concerned, topic) in streams() {
            let stream = self.topics.subscribe(&[topic]);
            let mut frames = Vec::new();
            for (missed, cursor) in &self.cursors {
                let mut gather = || {
                    frames.clear();
                    ring.matching(cursor.position, head, stream.set(), GATHER, &mut frames)
                };
                if gather().is_ok() {
                    group.bench_function(BenchmarkId::new(concerned, missed), |bencher| {
                        bencher.iter(&mut gather);
                    });
                }
            }
        }
        group.finish();
    }

    /// One page from the disk.
    fn page(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("resume/page, disk");
        for (concerned, topic) in streams() {
            for (missed, cursor) in &self.cursors {
                group.bench_function(BenchmarkId::new(concerned, missed), |bencher| {
                    bencher.iter(|| self.fetch(cursor.position, topic.clone()));
                });
            }
        }
        group.finish();
    }

    fn fetch(&self, after: Position, topic: Topic) -> usize {
        let (sender, pages) = mpsc::channel();
        self.log.page(after, vec![topic], move |page| drop(sender.send(page)));
        let page = pages.recv().expect("an answer").unwrap_or_else(|error| panic!("{error}"));
        page.frames.len()
    }

    /// A stream admitted with its cursor, and given up before it reaches its shard.
    fn start(self, criterion: &mut Criterion, name: &str) {
        let limits =
            reactor::Limits { heartbeat: 300, idle: 3_000, max_lag: 600, expiry_notice: 300 };
        let shards = reactor::Settings { limits, heartbeat_carries_id: true };
        let settings = Settings {
            limits: Limits { per_holder: 5, total: 10 },
            replay_limit: 10_000,
            status_interval: Duration::from_secs(10),
            announced: None,
            ticket_ttl: Duration::from_secs(60),
        };
        let hub = Hub::start(settings, shards, 1, self.log, self.topics).expect("a hub");
        let mut group = criterion.benchmark_group(format!("resume/start, {name}"));
        // The longest takes as long as many of the shortest.
        group.sampling_mode(SamplingMode::Flat);
        for (concerned, topic) in streams() {
            for (missed, Cursor { position, epoch }) in &self.cursors {
                let request = || Request {
                    holder: Holder::Nobody,
                    origin: Origin { address: None, path: 0 },
                    client: None,
                    topics: vec![topic.clone()],
                    reader: None,
                    identity: None,
                    ticket: None,
                    requested: Some(Requested::After { position: *position, epoch: Some(*epoch) }),
                    enters: None,
                };
                group.bench_function(BenchmarkId::new(concerned, missed), |bencher| {
                    bencher.iter(|| self.runtime.block_on(hub.admit(request())).is_ok());
                });
            }
        }
        group.finish();
        hub.stop();
    }
}
