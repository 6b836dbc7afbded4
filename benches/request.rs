//! What a request costs from its first byte to the last of its answer, on one connection that is kept
//! alive, over a unix socket: the head is judged and parsed, the path and the query are read, and an
//! event is checked and published to a log in memory. Most of the smallest figure is the kernel's and
//! the wake-ups of three threads; what to look at is what comes on top of it.
//!
//! Look for: time grows with the bytes and the fields of a request, and by some nanoseconds for each.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use governor::clock::DefaultClock;
use rill::http::auth::jwt::Rules;
use rill::http::auth::keys::Keys;
use rill::http::auth::{self, Authority};
use rill::http::cors::{Cors, Origins};
use rill::http::hosts::Hosts;
use rill::http::listen::{Address, Listener};
use rill::http::proxies::{ClientAddress, Proxies};
use rill::http::query::Query;
use rill::http::rates::{self, Rates};
use rill::http::{self, Doors, Front, Server, body};
use rill::hub::admission::Limits;
use rill::hub::{self, Hub};
use rill::log::{self, Durability, EventLog, Retention, Store};
use rill::reactor;
use rill::topic::Topics;
use tokio::runtime::Runtime;

/// The reference's demo token, of an admin.
const TOKEN: &str = "dGVzdDEyMzp0ZXN0dXNlcjp0ZXN0QGV4YW1wbGUuY29tOnVzZXIsYWRtaW4=";
const PAYLOADS: [(&str, usize); 4] =
    [("100 B", 100), ("1 KB", 1 << 10), ("16 KB", 16 << 10), ("64 KB", 64 << 10)];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    queries(&mut criterion);
    let directory = tempfile::tempdir().expect("a directory");
    let service = Service::start(&directory.path().join("socket"));
    let mut client = service.client();
    heads(&mut criterion, &mut client);
    publishes(&mut criterion, &mut client);
    drop(client);
    service.stop();
    criterion.final_summary();
}

/// The query alone, as many parameters as its length allows.
fn queries(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request/query");
    for parameters in [1, 10, 100, 600] {
        let query: Vec<String> =
            (0..parameters).map(|number| format!("p{number}=a+b%2Cc")).collect();
        let query = query.join("&");
        group.throughput(Throughput::Elements(parameters));
        group.bench_function(BenchmarkId::from_parameter(parameters), |bencher| {
            bencher.iter(|| Query::parse(Some(&query)).is_ok());
        });
    }
    group.finish();
}

/// A short answer to heads with few and many fields, short and long.
fn heads(criterion: &mut Criterion, client: &mut Client) {
    let mut group = criterion.benchmark_group("request/fields");
    for (fields, value) in [(1, 20), (16, 20), (60, 20), (60, 240)] {
        let field = |number| format!("X-Field-{number}: {}\r\n", "v".repeat(value));
        let fields_text: String = (0..fields).map(field).collect();
        let head = format!("GET /healthz HTTP/1.1\r\nHost: bench\r\n{fields_text}\r\n");
        let name = BenchmarkId::new(format!("{fields} of"), format!("{value} B"));
        group.throughput(Throughput::Bytes(head.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| client.ask(head.as_bytes())));
    }
    group.finish();
}

/// Events of some sizes, and for one user or many.
fn publishes(criterion: &mut Criterion, client: &mut Client) {
    let mut group = criterion.benchmark_group("request/publish");
    for (name, bytes) in PAYLOADS {
        let message = "x".repeat(bytes);
        let request = post(&format!(r#"{{"message":"{message}","broadcast":true}}"#));
        group.throughput(Throughput::Bytes(request.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| client.ask(&request)));
    }
    group.finish();
    let mut group = criterion.benchmark_group("request/publish to users");
    for users in [1, 10, 100, 1_000, 10_000] {
        let names: Vec<String> = (0..users).map(|number| format!("\"user-{number}\"")).collect();
        let request = post(&format!(r#"{{"message":"x","userIds":[{}]}}"#, names.join(",")));
        group.throughput(Throughput::Elements(users));
        group.bench_function(BenchmarkId::from_parameter(users), |bencher| {
            bencher.iter(|| client.ask(&request));
        });
    }
    group.finish();
}

fn post(body: &str) -> Vec<u8> {
    format!(
        "POST /notifications/send HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A whole server, in this process.
struct Service {
    runtime: Runtime,
    hub: Arc<Hub>,
    front: Front,
    address: Address,
}

impl Service {
    fn start(path: &Path) -> Service {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let hub = start_hub();
        let address = Address::Unix(path.to_owned());
        let listener = Listener::bind(&address).expect("a listener");
        let server = Server::new(settings(), doors(), Arc::clone(&hub));
        let front = runtime.block_on(async { server.listen(vec![listener]) }).expect("a server");
        Service { runtime, hub, front, address }
    }

    fn client(&self) -> Client {
        let Address::Unix(path) = &self.address else { unreachable!("it is one") };
        Client { socket: UnixStream::connect(path).expect("a connection"), answer: Vec::new() }
    }

    fn stop(mut self) {
        self.runtime.block_on(self.front.close(Instant::now()));
        drop(self.runtime);
        self.hub.stop();
    }
}

fn start_hub() -> Arc<Hub> {
    let topics = Arc::new(Topics::default());
    // Little is kept, so that it stays small however long this runs.
    let retention = Retention { age: Duration::MAX, count: 1_000, bytes: 64 << 20 };
    let (store, durability) = (Store::Memory, Durability::Interval);
    let log = EventLog::open(&log::Settings { store, durability, retention }, &topics);
    let limits = reactor::Limits { heartbeat: 300, idle: 3_000, max_lag: 600, expiry_notice: 300 };
    let streams = reactor::Settings { limits, heartbeat_carries_id: true };
    let settings = hub::Settings {
        limits: Limits { per_holder: 5, total: 1_000 },
        replay_limit: 10_000,
        status_interval: Duration::from_secs(10),
        ticket_ttl: Duration::from_secs(60),
        announced: None,
    };
    Hub::start(settings, streams, 1, log.expect("a log"), topics).expect("a hub")
}

fn settings() -> http::Settings {
    http::Settings {
        head_timeout: Duration::from_secs(10),
        keep_alive: Duration::from_secs(75),
        body: body::Limits { size: 256 << 10, time: Duration::from_secs(15) },
        heartbeat: Duration::from_secs(30),
        retry_streams: false,
        errors_in_streams: false,
        durable: true,
    }
}

/// Demo tokens count, and nothing is limited.
fn doors() -> Doors {
    let rules = Rules { issuer: None, audience: Vec::new(), leeway: Duration::ZERO };
    let settings = auth::Settings {
        demo_tokens: true,
        trust_user_id: true,
        query_tokens: true,
        cookie: "rill_session".to_owned(),
        rules,
    };
    Doors {
        proxies: Proxies::new(Vec::new(), ClientAddress::XForwardedFor),
        hosts: Hosts::new(Vec::new()),
        cors: Cors::new(Origins::Any, false),
        rates: Rates::new(rates::Settings::default(), DefaultClock::default()),
        authority: Authority::new(settings, Keys::new(Vec::new(), Vec::new())),
    }
}

/// A connection that is kept alive.
struct Client {
    socket: UnixStream,
    answer: Vec<u8>,
}

impl Client {
    /// Sends a request and reads its answer, which must be a good one.
    fn ask(&mut self, request: &[u8]) {
        self.socket.write_all(request).expect("sent");
        self.answer.clear();
        while !self.is_whole() {
            let mut part = [0; 4096];
            let read = self.socket.read(&mut part).expect("an answer");
            assert!(read > 0, "the server hung up");
            self.answer.extend_from_slice(&part[..read]);
        }
        let text = String::from_utf8_lossy(&self.answer);
        assert!(self.answer.starts_with(b"HTTP/1.1 200 "), "{text}");
    }

    /// The answers that are asked for here are JSON objects without an object in them.
    fn is_whole(&self) -> bool {
        self.answer.ends_with(b"}")
    }
}
