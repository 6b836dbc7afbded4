//! What a shard tells of a connection: how far it has come, and how long it has not been level.

use std::time::Duration;

use super::kit::*;
use crate::cursor::Position;
use crate::reactor::{CloseReason, Progress, Report};

fn report(house: &House, peer: &Peer) -> Report {
    house.shard.report(peer.key, house.now()).expect("a connection")
}

/// How it reads, up to where, and behind since so many milliseconds.
fn progress(house: &House, peer: &Peer) -> (Progress, Position, u128) {
    let Report { progress, cursor, lag, .. } = report(house, peer);
    (progress, cursor.position, lag.as_millis())
}

#[test]
fn a_live_one_is_where_the_shard_is() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    house.wait(25);
    house.publish("b", "of no concern");
    house.turn();
    assert_eq!(progress(&house, &peer), (Progress::Live, place(1), 0));
    let Report { age, expires, .. } = report(&house, &peer);
    assert_eq!((age, expires), (Duration::from_millis(2_500), None));
}

#[test]
fn one_who_replays_has_not_been_level_since_he_came() {
    let mut house = House::new();
    house.publish_many("a", 3, 20);
    house.turn();
    let peer = house.seat(to("a").after(place(1)).scripted(&[Take::All]).blocked());
    house.wait(7);
    assert_eq!(progress(&house, &peer), (Progress::Replaying, place(1), 700));
    peer.opens();
    house.writable(&peer);
    assert_eq!(progress(&house, &peer), (Progress::Live, place(3), 0));
}

#[test]
fn one_who_is_behind_keeps_his_cursor_and_lags_since_he_was_level() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    house.publish("a", "taken");
    house.turn();
    house.wait(30);
    peer.then_blocks(&[]);
    for _ in 0..3 {
        house.publish("a", "not taken");
        house.turn();
        house.wait(5);
    }
    assert_eq!(progress(&house, &peer), (Progress::CatchingUp, place(1), 1_500));
    peer.opens();
    house.writable(&peer);
    assert_eq!(progress(&house, &peer), (Progress::Live, place(4), 0));
}

#[test]
fn the_end_of_a_credential_is_told_to_the_second() {
    let mut house = House::new();
    let peer = house.seat(to("a").expiring(600));
    let expires = report(&house, &peer).expires.expect("an end");
    let since = expires.duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    assert_eq!(since, Duration::from_secs(65));
}

#[test]
fn of_one_who_closes_there_is_nothing_to_tell() {
    let mut house = House::new();
    let peer = house.seat(to("a").blocked());
    house.close(&peer, CloseReason::Replaced);
    assert_eq!(house.shard.report(peer.key, house.now()), None);
    assert!(!peer.is_closed());
    house.wait(100);
    assert!(peer.is_closed());
    assert_eq!(house.shard.report(peer.key, house.now()), None);
}
