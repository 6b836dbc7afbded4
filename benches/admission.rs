//! What it costs to give a stream its place and to take it back, beside those that are there already:
//! the count alone, and the whole way through the hub, which also subscribes the stream to two topics
//! and finds where it begins.
//!
//! Look for: the same cost beside 10 streams and beside a million, but for the processor's caches.
//! A million streams are a million users here.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use rill::event::Name;
use rill::hub::admission::{Admission, Holder, Limits, Origin};
use rill::hub::{Enters, Hub, Request, Settings, Venue};
use rill::identity::{Credential, Identity, Stamp};
use rill::log::{self, Durability, EventLog, Retention, Store};
use rill::reactor;
use rill::topic::{Topic, Topics};
use tokio::runtime::Runtime;

const PRESENT: [u64; 5] = [10, 1_000, 10_000, 100_000, 1_000_000];
const LIMITS: Limits = Limits { per_holder: 5, total: 2_000_000 };

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(20)
        .configure_from_args();
    count(&mut criterion);
    for (name, request) in [
        ("plain", plain as fn(u64) -> Request),
        ("of a client", of_a_client),
        ("into a room", into_a_room),
    ] {
        hub(&mut criterion, name, request);
    }
    criterion.final_summary();
}

/// A place taken and given back.
fn count(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admission/count");
    for present in PRESENT {
        let admission = Admission::new(LIMITS, Arc::default());
        let origin = Origin { address: None, path: 0 };
        let admit = |holder: &Holder| admission.admit(holder, &origin).expect("a place");
        let permits: Vec<_> =
            (0..present).map(|number| admit(&Holder::User(user(number)))).collect();
        let newcomer = Holder::User(user(present));
        group.bench_function(BenchmarkId::from_parameter(present), |bencher| {
            bencher.iter(|| drop(admit(black_box(&newcomer))));
        });
        drop(permits);
    }
    group.finish();
}

/// A stream admitted, and given up before it reaches its shard.
fn hub(criterion: &mut Criterion, name: &str, request: fn(u64) -> Request) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime");
    let mut group = criterion.benchmark_group(format!("admission/hub, {name}"));
    for present in PRESENT {
        let hub = start(&runtime);
        let admit = |number| {
            let admitted = runtime.block_on(hub.admit(request(number)));
            admitted.unwrap_or_else(|refused| panic!("{refused}"))
        };
        let streams: Vec<_> = (0..present).map(admit).collect();
        group.bench_function(BenchmarkId::from_parameter(present), |bencher| {
            bencher.iter(|| drop(admit(black_box(present))));
        });
        drop(streams);
        hub.stop();
    }
    group.finish();
}

fn start(runtime: &Runtime) -> Arc<Hub> {
    let topics = Arc::new(Topics::default());
    let retention = Retention { age: Duration::MAX, count: 1_000, bytes: u64::MAX };
    let (store, durability) = (Store::Memory, Durability::Interval);
    let log = EventLog::open(&log::Settings { store, durability, retention }, &topics);
    let limits = reactor::Limits { heartbeat: 300, idle: 3_000, max_lag: 600, expiry_notice: 300 };
    let streams = reactor::Settings { limits, heartbeat_carries_id: true };
    let status_interval = Duration::from_secs(10);
    let ticket_ttl = Duration::from_secs(60);
    let settings = Settings {
        limits: LIMITS,
        replay_limit: 10_000,
        status_interval,
        ticket_ttl,
        announced: None,
    };
    let hub = Hub::start(settings, streams, 1, log.expect("a log"), topics).expect("a hub");
    // It forgets those who have left a room.
    let tending = Arc::clone(&hub);
    runtime.spawn(async move { tending.tend().await });
    hub
}

fn plain(number: u64) -> Request {
    let user = user(number);
    let topics = vec![Topic::notifications(), Topic::notifications_of(&user)];
    let expires = Some(Stamp(u64::MAX));
    let credential = Credential { id: None, issued: Stamp(0), expires };
    let identity = Identity { credential: Some(credential), ..Identity::of(user.clone()) };
    Request {
        holder: Holder::User(user),
        origin: Origin { address: None, path: 0 },
        client: None,
        topics,
        reader: None,
        identity: Some(Arc::new(identity)),
        ticket: None,
        requested: None,
        enters: None,
    }
}

fn of_a_client(number: u64) -> Request {
    let client = Some((user(number), name("tab")));
    Request { client, ..plain(number) }
}

fn into_a_room(number: u64) -> Request {
    let (room, user) = (name("general"), user(number));
    let topics = vec![Topic::room(&room)];
    let enters = Some(Enters { venue: Venue::Room(room), user, username: "Somebody".to_owned() });
    Request { topics, enters, ..plain(number) }
}

fn user(number: u64) -> Name {
    name(&format!("user-{number}"))
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}
