//! The send loop, heard by the same client as a server.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::run;
use crate::clock;
use crate::courier::Courier;
use crate::dialect::{Dialect, DialectSource};
use crate::endpoint::Endpoint;
use crate::fleet::{Fleet, Plan};
use crate::ledger::Published;
use crate::send_loop::SendLoop;
use crate::stamp::{Scope, Stamp};
use crate::target::{Audience, Order, Target};

const LIMIT: Duration = Duration::from_secs(20);
const STREAMS: usize = 50;

/// Broadcasts `count` times over `endpoint` and returns how many deliveries of 300 bytes came.
fn broadcast(endpoint: &Endpoint, count: u32) -> u64 {
    let (listener, bound) = endpoint.listen().unwrap();
    let (control, theirs) = UnixStream::pair().unwrap();
    let send_loop = SendLoop::new(listener, theirs, 300).unwrap();
    let send_loop = thread::spawn(move || send_loop.run());
    let target = Target::new(bound, Arc::new(Dialect::load(&DialectSource::SEND_LOOP).unwrap()));
    let run = run("idle --threads 2 --concurrency 7");
    let fleet = Fleet::open_all(&target, &Plan::new(STREAMS, 3..4), &run).unwrap();
    let (before, mut courier) = (fleet.board.bytes(), Courier::connect(&target).unwrap());
    for k in 0..count {
        let stamp = Stamp { scope: Scope::Lane(3), k, t: clock::now() };
        courier.publish(&Order { audience: Audience::Everybody, stamp }).unwrap();
    }
    let wanted = u64::from(count) * STREAMS as u64;
    assert!(fleet.board.wait_deliveries(wanted, LIMIT, || ()));
    assert_eq!(fleet.board.bytes() - before, wanted * 300);
    let tally = fleet.finish(Published { lanes: vec![count], users: vec![] }).unwrap();
    assert!(!tally.faulty(), "{tally:?}");
    assert_eq!(tally.to_last_receiver(STREAMS, 0).len(), u64::from(count));
    control.shutdown(Shutdown::Both).unwrap();
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
