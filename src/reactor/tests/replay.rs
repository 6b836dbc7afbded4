//! Those who come back: what they missed, then what comes, without a seam.

use super::kit::*;
use crate::reactor::Pace;

#[test]
fn a_stream_gets_what_came_after_its_start_and_concerns_it() {
    let mut house = House::new();
    for (room, text) in [("a", "1"), ("b", "2"), ("a", "3"), ("a b", "4")] {
        house.publish(room, text);
    }
    house.turn();
    let peer = house.seat(to("a").after(place(1)));
    assert_eq!(peer.take(), OPENING.to_owned() + &chunks(&house.kept[2..]));
}

#[test]
fn replay_joins_live_when_events_arrive_in_between() {
    for cut in 0..200 {
        let mut house = House::new();
        house.publish_many("a", 3, 5);
        house.turn();
        let peer = house.seat(to("a").after(place(1)).scripted(&[Take::Bytes(cut)]).blocked());
        house.publish_many("a", 2, 5);
        house.turn();
        if house.watches(&peer) {
            peer.then_blocks(&[Take::Bytes(50), Take::Bytes(20)]);
            house.writable(&peer);
        }
        house.publish_many("a", 2, 5);
        house.turn();
        peer.opens();
        if house.watches(&peer) {
            house.writable(&peer);
        }
        house.publish_many("a", 1, 5);
        house.turn();
        assert_eq!(peer.take(), OPENING.to_owned() + &chunks(&house.kept[1..]), "cut at {cut}");
        assert!(!house.watches(&peer) && peer.line().pace == Pace::Level);
    }
}

#[test]
fn a_stream_may_begin_ahead_of_what_the_shard_has_read() {
    let mut house = House::new();
    let old = house.seat(to("a"));
    house.publish_many("a", 3, 5);
    let new = house.seat(to("a").after(place(2)));
    while house.turn() {}
    house.publish("a", "and on");
    house.turn();
    assert_eq!(old.take(), OPENING.to_owned() + &chunks(&house.kept));
    assert_eq!(new.take(), OPENING.to_owned() + &chunks(&house.kept[2..]));
}

#[test]
fn a_stream_that_begins_at_the_head_gets_nothing_old() {
    let mut house = House::new();
    house.publish_many("a", 300, 5);
    let peer = house.seat(to("a"));
    while house.turn() {}
    assert_eq!(peer.take(), OPENING);
}

#[test]
fn a_long_replay_is_spread_over_turns_and_others_are_served_in_between() {
    let mut house = House::new();
    house.publish_many("a", 3_000, 1_000);
    while house.turn() {}
    let other = house.seat(to("b"));
    let peer = house.seat(to("a").after(place(0)));
    let mut turns = 1;
    loop {
        house.publish("b", "in between");
        house.turn();
        turns += 1;
        if !house.go_on() {
            break;
        }
    }
    let sent = house.kept.iter().filter(|frame| frame.position() <= place(3_000));
    assert!(peer.take() == OPENING.to_owned() + &chunks(sent));
    assert!(turns > 2, "1 MiB for each turn");
    assert_eq!(other.take(), OPENING.to_owned() + &chunks(&house.kept[3_000..]));
}

#[test]
fn a_slow_replay_is_not_lag() {
    let mut house = House::limited(crate::reactor::Limits { idle: 500, ..LIMITS });
    house.publish_many("a", 10, 5);
    house.turn();
    let peer = house.seat(to("a").after(place(0)).blocked());
    for _ in 0..10 {
        peer.then_blocks(&[Take::Bytes(1)]);
        house.writable(&peer);
        house.wait(499);
    }
    assert_eq!(peer.given_back(), 0, "50 s at a byte each, and max_lag is 60 s");
    house.wait(1);
    assert_eq!(peer.given_back(), 1, "no byte for 50 s");
}
