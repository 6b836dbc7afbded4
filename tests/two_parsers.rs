//! Two parsers that we did not write, and the EventSource of Chromium, read the same events out of the same bytes as our
//! reader does, however the bytes are cut.

mod support;

use std::convert::Infallible;

use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_util::{Stream as Blocks, StreamExt, stream};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sse_stream::SseStream;
use support::tokens::{in_seconds, jwt, jwt_with, with_tokens};
use support::*;

/// What any parser sees of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    id: Option<String>,
    event: String,
    data: String,
    retry: Option<u64>,
}

impl Seen {
    /// None for a comment.
    fn of(event: &Event) -> Option<Self> {
        let data = event.data.clone()?;
        Some(Self { id: event.id.clone(), event: event.name().into(), data, retry: event.retry })
    }
}

/// With the last id carried over to an event without one, as a browser does it.
fn carried(seen: &[Seen]) -> Vec<Seen> {
    let mut last = String::new();
    let carry = |seen: &Seen| {
        last = seen.id.clone().unwrap_or_else(|| last.clone());
        Seen { id: Some(last.clone()), ..seen.clone() }
    };
    seen.iter().map(carry).collect()
}

/// The bytes of streams, and what our reader made of them.
#[derive(Default)]
struct Recording {
    raw: Vec<u8>,
    seen: Vec<Seen>,
}

impl Recording {
    /// A stream that nothing was read from, to its end.
    fn add(&mut self, mut stream: Stream) {
        self.seen.extend(Seen::of(&stream.connected));
        while let Some(event) = stream.poll() {
            self.seen.extend(Seen::of(&event));
        }
        self.raw.append(&mut stream.raw);
    }

    /// A refusal that is a stream.
    fn add_refusal(&mut self, server: &Server, request: &Request) {
        let mut peer = server.connect();
        peer.send(request.bytes());
        let head = peer.head();
        let body = peer.body(&head);
        let block = std::str::from_utf8(&body).expect("text");
        self.seen.extend(Seen::of(&Event::parse(block)));
        self.raw.extend(body);
    }
}

/// Names of events that look like something else on the wire.
const NAMES: [&str; 10] =
    ["a: b", ":", " lead", "trail ", "data: x", "id", "message", "日本語", "👍🏽", "a\u{a0}b"];

/// Data as it is published: what breaks lines elsewhere, what only looks like a field, and values that are no objects.
const DATA: [&str; 14] = [
    r#""Grüße 👋🏽""#,
    "\"\u{2028}\u{2029}\u{85}\u{feff}\"",
    r#""a\rb\nc\r\nd\u0000""#,
    r#""\u2028\ud83d\udc4b""#,
    r#""data: x\n\nid: 1\nevent: forged""#,
    "\"data: x\"",
    "{\r\n  \"a\": [1,\n\t2 ]\r}",
    "{\": \":\" \"}",
    "\"\"",
    "null",
    "false",
    "-0.10e+400",
    "[]",
    "{}",
];

/// Everything that a server says by itself is told to these, and what is published to all.
const STREAMS: [&str; 7] = [
    "/notifications/stream?lastEventId=x",
    "/realtime/stream",
    "/chat/stream?room=r",
    "/system/status/stream",
    "/api/notifications/stream?channels=c",
    "/sse/connect",
    "/api/sse",
];

fn publish_everything(server: &Server) {
    for event in ["notification", "system-notification", "error-notification"] {
        let body = json!({ "message": "M\r\n\u{2028}", "event": event, "broadcast": true });
        server.publish("/notifications/send", DEMO, body);
    }
    for action in ["updated", "created", "deleted", "status-changed"] {
        let body = json!({ "entityType": "t", "entityId": "1", "action": action });
        server.publish("/realtime/update", DEMO, body);
    }
    server.publish("/system/maintenance", DEMO, json!({ "message": "M" }));
    server.publish("/chat/send", DEMO, json!({ "roomId": "r", "message": "\n\n" }));
    server.post("/chat/typing", DEMO, json!({ "roomId": "r" })).assert_status(200);
    server.publish("/api/notifications", DEMO, json!({ "message": "M", "broadcast": true }));
    let update = json!({ "entity": "e", "action": "updated", "payload": {}, "broadcast": true });
    server.publish("/api/updates", DEMO, update);
    let any = |event: &str, data: &str| {
        let event = Value::from(event);
        let body = format!(r#"{{"event":{event},"data":{data},"broadcast":true}}"#);
        server.publish("/api/events", DEMO, body);
    };
    NAMES.iter().for_each(|name| any(name, "1"));
    DATA.iter().for_each(|data| any("data", data));
    any("long", &format!("\"{}\"", "👍🏽 ".repeat(20_000)));
    let ephemeral = json!({ "event": "user:typing", "data": 1, "ephemeral": true });
    server.post("/sse/users/ann/events", DEMO, ephemeral).assert_status(200);
}

/// Streams of every kind, from `connected` to `disconnected`.
fn record_everything() -> Recording {
    let mut recording = Recording::default();
    let setup = rill().flags(&["--heartbeat", "1s", "--max-connections-per-user", "9"]);
    let server = setup.start();
    let list = put("/sse/conversations/c/members", r#"{"members":["ann","bob","eve"]}"#);
    server.send(&list.bearer(DEMO)).assert_status(200);
    let streams = STREAMS.map(|path| server.stream(path, &user("ann")));
    let watching = ["/chat/stream?room=r", "/sse/connect"];
    let mut watchers = watching.map(|path| server.stream(path, &user("eve")));
    drop(watching.map(|path| server.stream(path, &user("bob"))));
    publish_everything(&server);
    watchers[0].next_named("user-left");
    watchers[1].next_named("user:offline");
    server.post("/api/sse/disconnect-all", DEMO, "").assert_status(200);
    streams.into_iter().for_each(|stream| recording.add(stream));
    record_ends(&mut recording);
    recording
}

/// What only a server with real tokens says: refusals as events, and that a token ends; comments; and the end.
fn record_ends(recording: &mut Recording) {
    let setup = with_tokens().flags(&["--heartbeat", "1s"]).env("RILL_HEARTBEAT_MODE", "comment");
    let setup = setup.env("RILL_AUTH_ERRORS", "stream").env("RILL_DRAIN_TIMEOUT", "1s");
    let server = setup.start();
    recording.add_refusal(&server, &get("/api/sse").bearer("nonsense"));
    let stream = server.stream("/api/sse", &jwt("bob"));
    let short = jwt_with("ann", json!({ "exp": in_seconds(2) }));
    recording.add(server.stream("/api/sse", &short));
    let adding = std::thread::spawn(move || {
        let mut rest = Recording::default();
        rest.add(stream);
        rest
    });
    server.stop();
    let rest = adding.join().expect("the rest");
    recording.raw.extend(rest.raw);
    recording.seen.extend(rest.seen);
}

/// The bytes of a stream that had everything, and what our reader made of them.
fn record() -> (Vec<u8>, Vec<Seen>) {
    let server = rill().flags(&["--heartbeat", "1s"]).start();
    let start = server.notify("ann", "the start");
    for text in [
        "",
        "plain",
        "Grüße 👋🏽",
        "data: x\n\nid: 1\r\nevent: y\n",
        "\u{feff}\u{2028}\0",
        &"long ".repeat(200),
    ] {
        let body =
            json!({ "userId": "ann", "message": format!("x{text}"), "title": format!("t{text}") });
        server.publish("/notifications/send", DEMO, body);
    }
    let mut stream = server
        .open(&get("/notifications/stream").bearer(&user("ann")).cursor("x".to_owned() + &start));
    let mut again = server.resume(&user("ann"), &start);
    server.notify("ann", "live");
    let mut raw = Vec::new();
    let mut seen = Vec::new();
    for stream in [&mut again, &mut stream] {
        let mut events = vec![stream.connected.clone()];
        while events.last().is_none_or(|event| event.name() != "heartbeat") {
            events.push(stream.next_of_all());
        }
        raw.append(&mut stream.raw);
        seen.extend(events.iter().filter_map(Seen::of));
    }
    (raw, seen)
}

/// The bytes, cut after each multiple of these lengths in turn.
fn cut(raw: &[u8], lengths: &[usize]) -> impl Blocks<Item = Result<Bytes, Infallible>> + Unpin {
    let mut blocks = Vec::new();
    let mut rest = raw;
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (block, others) = rest.split_at(rest.len().min(*length));
        blocks.push(Ok(Bytes::copy_from_slice(block)));
        rest = others;
    }
    stream::iter(blocks)
}

async fn by_sse_stream(raw: &[u8], lengths: &[usize]) -> Vec<Seen> {
    let events =
        SseStream::from_bytes_stream(cut(raw, lengths)).map(|event| event.expect("an event"));
    let seen = events.map(|event| Seen {
        id: event.id,
        event: event.event.expect("a name"),
        data: event.data.expect("data"),
        retry: event.retry,
    });
    seen.collect().await
}

/// This parser carries the last id over to an event without one, as a browser does.
async fn by_eventsource_stream(raw: &[u8], lengths: &[usize]) -> Vec<Seen> {
    let events = cut(raw, lengths).eventsource().map(|event| event.expect("an event"));
    let seen = events.map(|event| Seen {
        id: Some(event.id),
        event: event.event,
        data: event.data,
        retry: event
            .retry
            .map(|retry| retry.as_millis().try_into().expect("milliseconds that fit")),
    });
    seen.collect().await
}

#[test]
fn two_other_parsers_agree() {
    let (raw, seen) = record();
    assert!(seen.iter().any(|event| event.event == "gap"), "{seen:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let config =
        ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let lengths = prop::collection::vec(1_usize..400, 1..20);
    let run = TestRunner::new(config).run(&lengths, |lengths| {
        prop_assert_eq!(&runtime.block_on(by_sse_stream(&raw, &lengths)), &seen);
        prop_assert_eq!(&runtime.block_on(by_eventsource_stream(&raw, &lengths)), &seen);
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}

/// Reads a recording, and tells what it saw when that ends. An event called `error` is told apart from an error.
const LISTEN: &str = "
const source = new EventSource('/recording');
const seen = [];
for (const name of $names)
  source.addEventListener(name, (event) => {
    if (event instanceof MessageEvent) seen.push([event.lastEventId, event.type, event.data]);
  });
source.onerror = (event) => {
  if (event instanceof MessageEvent) return;
  source.close();
  tell(seen);
};
";

fn by_chromium(raw: &[u8], names: &[&str]) -> Value {
    let site = Site::open();
    site.recording("/recording", raw);
    site.page("/", &LISTEN.replace("$names", &json!(names).to_string()));
    let _chromium = site.visit("page.example", "/");
    site.report()
}

#[test]
fn everything_that_a_server_says_is_the_same_to_all() {
    let Recording { raw, seen } = record_everything();
    let mut names: Vec<&str> = seen.iter().map(|seen| seen.event.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in [
        "connected",
        "gap",
        "heartbeat",
        "status",
        "disconnected",
        "error",
        "token-expiring",
        "user-joined",
        "user-left",
        "typing",
        "user:online",
        "user:offline",
        "user:typing",
        "status-change",
        "maintenance",
    ]
    .iter()
    .chain(&NAMES)
    {
        assert!(names.contains(name), "no {name:?} in {names:?}");
    }
    assert!(raw.windows(3).any(|bytes| bytes == b"\n:\n"), "no comment");

    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let lengths = [64 * 1024 + 1];
    assert_eq!(runtime.block_on(by_sse_stream(&raw, &lengths)), seen);
    let carried = carried(&seen);
    assert_eq!(runtime.block_on(by_eventsource_stream(&raw, &lengths)), carried);
    let plain: Vec<Value> =
        carried.iter().map(|seen| json!([seen.id, seen.event, seen.data])).collect();
    let in_chromium = by_chromium(&raw, &names);
    let in_chromium = in_chromium.as_array().expect("events");
    for (in_chromium, plain) in in_chromium.iter().zip(&plain) {
        assert_eq!(in_chromium, plain);
    }
    assert_eq!(in_chromium.len(), plain.len());
}
