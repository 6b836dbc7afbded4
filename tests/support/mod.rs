//! The kit of the black-box tests: the real binary as a child process (`setup`, `server`), raw bytes over a socket (`request`, `http`),
//! a reader that takes an event stream apart and refuses whatever the contract does not allow on the wire (`sse`),
//! tokens as issuers make them (`tokens`), the tickets that they are traded for (`tickets`), a backend for webhooks
//! (`receiver`), and a real browser (`browser`) whose pages can be driven (`devtools`), ours in their own words (`pages`).
#![allow(dead_code, unused_imports, reason = "each test file uses its own part of the kit")]

mod browser;
mod clogged;
mod devtools;
mod elsewhere;
mod http;
mod pages;
pub(crate) mod receiver;
mod request;
mod server;
mod setup;
mod sse;
pub(crate) mod tickets;
pub(crate) mod tokens;

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;

pub(crate) use browser::{Browser, Site};
pub(crate) use clogged::{clogged_stream, clogged_stream_of};
pub(crate) use devtools::Tab;
pub(crate) use elsewhere::{connect_from, peer_from};
pub(crate) use http::{Head, Peer, Piece, Response};
pub(crate) use request::{Request, get, post, put, request};
pub(crate) use server::Server;
pub(crate) use setup::{Setup, rill};
pub(crate) use sse::{Event, Stream};

/// The reference's demo token: test123, testuser, test@example.com, roles user and admin.
pub(crate) const DEMO: &str = "dGVzdDEyMzp0ZXN0dXNlcjp0ZXN0QGV4YW1wbGUuY29tOnVzZXIsYWRtaW4=";

/// What tokens are signed with where demo tokens do not count.
pub(crate) const SECRET: &str = "C7kQy0eVb3uZ9pRmXw2tHsL5nAfJ8dGi4oBxMqTzWvE";

/// How long a test waits for anything before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What the contract wants within 1 s; as much again for a machine that is busy with other tests.
pub(crate) const ONE_SECOND: Duration = Duration::from_secs(2);

/// What the contract wants within 5 s, likewise.
pub(crate) const FIVE_SECONDS: Duration = Duration::from_secs(7);

/// A demo token of the user `id`, who is called `id-name`.
pub(crate) fn token(id: &str, roles: &str) -> String {
    base64::engine::general_purpose::STANDARD
        .encode(format!("{id}:{id}-name:{id}@example.com:{roles}"))
}

/// A demo token of the ordinary user `id`.
pub(crate) fn user(id: &str) -> String {
    token(id, "user")
}

/// A demo token that may send to anyone.
pub(crate) fn publisher() -> String {
    token("pub", "publisher")
}

/// Asks until the answer is yes.
#[track_caller]
pub(crate) fn eventually(within: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// RFC 3339, UTC, milliseconds, `Z`, and of these minutes.
#[track_caller]
pub(crate) fn assert_timestamp(text: &str) {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "the timestamp {text}");
    let time = humantime::parse_rfc3339(text).expect("a timestamp that exists");
    let now = SystemTime::now();
    let away = now
        .duration_since(time)
        .or_else(|_| time.duration_since(now))
        .expect("one of the two is earlier");
    assert!(away < Duration::from_secs(120), "the timestamp {text} is {away:?} away");
}

/// `<milliseconds>-<sequence>.<epoch>`. A client treats it as opaque; only tests of cursors look inside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    pub(crate) ms: u64,
    pub(crate) seq: u64,
    pub(crate) epoch: String,
}

impl Cursor {
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        let parse = || {
            let (position, epoch) = text.split_once('.')?;
            let (ms, seq) = position.split_once('-')?;
            let number =
                |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?;
            Some(Self { ms: number(ms)?, seq: number(seq)?, epoch: epoch.to_owned() })
        };
        match parse() {
            Some(cursor) if !cursor.epoch.is_empty() => cursor,
            _ => panic!("{text:?} is not <milliseconds>-<sequence>.<epoch>"),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}.{}", self.ms, self.seq, self.epoch)
    }
}
