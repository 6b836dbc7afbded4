//! Answers that are slow, or do not come.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use super::*;
use crate::dialect::{Dialect, DialectSource};
use crate::endpoint::Endpoint;
use crate::stamp::{Scope, Stamp};
use crate::target::Audience;

const PATIENCE: Duration = Duration::from_millis(400);

/// Publishes an event a lane at each of these times, and counts the answers.
struct Times {
    /// In nanoseconds after `start`, by lane; the last one first.
    lanes: Vec<Vec<u64>>,
    start: u64,
    kept: usize,
}

impl Times {
    /// In milliseconds from now.
    fn new(lanes: &[&[u64]]) -> Times {
        let nanos = |times: &&[u64]| times.iter().rev().map(|time| time * 1_000_000).collect();
        Times { lanes: lanes.iter().map(nanos).collect(), start: clock::now(), kept: 0 }
    }
}

impl Script for Times {
    fn next(&mut self, lane: usize, now: u64) -> Next {
        let due = self.lanes[lane].last().map(|time| self.start + time);
        match due {
            None => Next::Done,
            Some(time) if time > now => Next::At(time),
            Some(t) => {
                self.lanes[lane].pop();
                let stamp = Stamp { scope: Scope::Lane(lane as u32), k: 0, t };
                Next::Publish(Order { audience: Audience::Everybody, stamp })
            }
        }
    }

    fn ended(&mut self, _: usize, _: Order, outcome: Outcome, _: u64) -> Result<(), Failure> {
        assert!(matches!(outcome, Outcome::Kept(_)), "{outcome:?}");
        self.kept += 1;
        Ok(())
    }
}

/// A server that answers after this time; on its first connection never, if it is `deaf` there.
fn server(delay: Duration, deaf: bool) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, socket) in listener.incoming().map_while(Result::ok).enumerate() {
            thread::spawn(move || serve(socket, delay, deaf && number == 0));
        }
    });
    target(address)
}

fn target(address: SocketAddr) -> Target {
    let dialect = Dialect::load(&DialectSource::NCHAN).unwrap();
    Target::new(Endpoint::Tcp(address), Arc::new(dialect))
}

/// Answers each request at its last header.
fn serve(mut socket: TcpStream, delay: Duration, deaf: bool) {
    let reader = BufReader::new(socket.try_clone().unwrap());
    for line in reader.lines().map_while(Result::ok) {
        if line.starts_with("Content-Length") && !deaf {
            thread::sleep(delay);
            let answer = socket.write_all(b"HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n");
            if answer.is_err() {
                return;
            }
        }
    }
}

fn run(target: &Target, script: &mut Times, limit: Duration) -> Result<(), Failure> {
    let lanes = script.lanes.len();
    let mut publishers = Publishers::new(target, lanes, script).unwrap();
    publishers.patience = PATIENCE;
    publishers.run(&Stop::after(limit))
}

#[test]
fn a_pause_between_events_is_no_delay_of_their_answers() {
    let target = server(GLANCE * 3, false);
    let mut script = Times::new(&[&[0, 900]]);
    run(&target, &mut script, Duration::from_secs(60)).unwrap();
    assert_eq!(script.kept, 2);
}

#[test]
fn one_lane_that_stalls_is_noticed_among_busy_ones() {
    let target = server(Duration::ZERO, true);
    let often: Vec<u64> = (0..10_000).collect();
    let mut script = Times::new(&[&[0], &often]);
    let failure = run(&target, &mut script, Duration::from_secs(60)).unwrap_err();
    assert!(failure.to_string().contains("waiting for the answer"), "{failure}");
    assert!(script.kept > 10 && script.kept < 10_000, "{}", script.kept);
}

#[test]
fn the_end_of_the_run_does_not_wait_for_an_answer_that_does_not_come() {
    let target = server(Duration::ZERO, true);
    let mut script = Times::new(&[&[0]]);
    let began = clock::now();
    let mut publishers = Publishers::new(&target, 1, &mut script).unwrap();
    publishers.run(&Stop::after(Duration::from_millis(100))).unwrap();
    assert!(clock::now() - began < clock::nanos(super::PATIENCE) / 2);
    assert_eq!(script.kept, 0);
}
