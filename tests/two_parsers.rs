//! Two parsers that we did not write read the same events out of the same bytes as our reader does, however the bytes
//! are cut.

mod support;

use std::convert::Infallible;

use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_util::{Stream as Blocks, StreamExt, stream};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;
use sse_stream::SseStream;
use support::*;

/// What any parser sees of an event.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    id: Option<String>,
    event: String,
    data: String,
    retry: Option<u64>,
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
        seen.extend(events.iter().map(|event| Seen {
            id: event.id.clone(),
            event: event.name().into(),
            data: event.data.clone().expect("data"),
            retry: event.retry,
        }));
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
