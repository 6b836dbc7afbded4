//! Events on their way through both profiles.

use std::time::Duration;

use super::kit::*;
use crate::nginx::Profile;

/// From the publisher's answer to the listener.
const SOON: Duration = Duration::from_millis(100);

const TRIES: usize = 5;

/// The machine may be busy with something else at one moment.
const IN_TIME: usize = 4;

fn an_event_arrives_soon(profile: Profile) {
    let front = Front::start(profile);
    let mut listener = front.listen();
    let latencies: Vec<Duration> = (0..TRIES)
        .map(|number| {
            let answered = front.publish(&format!("<{number}>"));
            let (arrived, _) = listener.wait_for(&format!("<{number}>"));
            arrived.saturating_duration_since(answered)
        })
        .collect();
    let in_time = latencies.iter().filter(|latency| **latency < SOON).count();
    assert!(in_time >= IN_TIME, "{latencies:?}");
}

#[test]
fn an_event_arrives_soon_through_http() {
    an_event_arrives_soon(Profile::Http);
}

#[test]
fn an_event_arrives_soon_through_stream() {
    an_event_arrives_soon(Profile::Stream);
}

#[test]
fn events_do_not_wait_for_each_other() {
    for profile in [Profile::Http, Profile::Stream] {
        let front = Front::start(profile);
        let mut listener = front.listen();
        for number in 0..20 {
            front.publish(&format!("<{number}>"));
            // The next one is published only when this one is here.
            listener.wait_for(&format!("<{number}>"));
        }
    }
}

#[test]
fn long_events_arrive_whole() {
    for profile in [Profile::Http, Profile::Stream] {
        let front = Front::start(profile);
        let mut listener = front.listen();
        let message = format!("<{}>", "x".repeat(100_000));
        front.publish(&message);
        listener.wait_for(&message);
    }
}

#[test]
fn heartbeats_come_through() {
    for profile in [Profile::Http, Profile::Stream] {
        let front = Front::start(profile);
        let mut listener = front.listen();
        for _ in 0..3 {
            listener.wait_for("event: heartbeat");
        }
    }
}

#[test]
fn a_stream_that_its_client_leaves_gives_its_place_back() {
    for profile in [Profile::Http, Profile::Stream] {
        let front = Front::start(profile);
        // A user has five places.
        for _ in 0..8 {
            drop(front.listen_with(&["--http1.1"]));
            let left = || front.get("/system/status", &[]).contains(r#""connections":0"#);
            let end = std::time::Instant::now() + PATIENCE;
            while !left() {
                assert!(std::time::Instant::now() < end, "the place is not given back");
            }
        }
    }
}
