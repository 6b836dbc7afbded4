//! The send loop, heard by the same client as a server.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::endpoint::Endpoint;
use crate::fleet::{Fleet, Plan};
use crate::ledger::Published;
use crate::opening::Pace;
use crate::send_loop::{Command, SendLoop, listen};
use crate::stop::Stop;
use crate::target::{Target, TokenIn};

const LIMIT: Duration = Duration::from_secs(20);
const STREAMS: usize = 50;

/// Broadcasts `count` times over `endpoint` and returns how many deliveries of 300 bytes came.
fn broadcast(endpoint: &Endpoint, count: u32) -> u64 {
    let (listener, bound) = listen(endpoint).unwrap();
    let (mut control, theirs) = UnixStream::pair().unwrap();
    let send_loop = SendLoop::new(listener, theirs, std::io::sink(), 300).unwrap();
    let send_loop = thread::spawn(move || send_loop.run());
    let stop = Stop::after(LIMIT);
    let target = Target { endpoint: bound, token_in: TokenIn::Query, message_bytes: 0 };
    let fleet = Fleet::start(&target, &Plan { streams: STREAMS, threads: 2, lanes: 3..4 }).unwrap();
    fleet.open(Pace { concurrency: 7, per_second: None }, &stop, LIMIT).unwrap();
    let before = fleet.board.bytes();
    for k in 0..count {
        control.write_all(&Command::Send { lane: 3, k, t: clock::now() }.encode()).unwrap();
    }
    let wanted = u64::from(count) * STREAMS as u64;
    assert!(fleet.board.wait_deliveries(wanted, &stop, LIMIT, || ()).unwrap());
    assert_eq!(fleet.board.bytes() - before, wanted * 300);
    let tally = fleet.finish(Published { lanes: vec![count], users: vec![] }).unwrap();
    assert!(!tally.faulty(), "{tally:?}");
    assert_eq!(tally.to_last_receiver(STREAMS, 0).len(), u64::from(count));
    drop(control);
    send_loop.join().unwrap().unwrap();
    tally.deliveries
}

#[test]
fn delivers_over_tcp() {
    assert_eq!(broadcast(&Endpoint::Tcp("127.0.0.1:0".parse().unwrap()), 20), 1000);
}

#[test]
fn delivers_over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(broadcast(&Endpoint::Unix(directory.path().join("s")), 20), 1000);
}
