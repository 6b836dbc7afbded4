//! Those who do not keep up: they read on from their cursor, and not for ever.

use super::kit::*;
use crate::reactor::Limits;
use crate::reactor::Pace;

/// A live stream whose socket takes `fits` bytes of an event and then no more.
fn falls_behind(house: &mut House, fits: usize) -> Peer {
    let peer = house.seat(to("a"));
    peer.take();
    peer.then_blocks(&[Take::Bytes(fits)]);
    house.publish("a", "the first that does not fit");
    house.turn();
    peer
}

#[test]
fn one_who_is_behind_reads_on_and_is_level_again() {
    let mut house = House::new();
    let peer = falls_behind(&mut house, 10);
    assert!(house.watches(&peer) && peer.line().pace != Pace::Level);
    house.publish_many("a", 500, 20);
    while house.turn() {}
    house.publish_many("b", 5, 20);
    house.turn();
    assert_eq!(peer.take().len(), 10, "nothing is tried until the socket has space");
    peer.opens();
    house.writable(&peer);
    assert!(!house.watches(&peer) && peer.line().pace == Pace::Level);
    let late = house.publish("a", "live again");
    house.turn();
    let mine = chunks(&house.kept[..501]) + &chunks([&late]);
    assert_eq!(peer.take(), mine[10..]);
}

#[test]
fn one_who_stays_behind_is_ended_after_the_frame_that_was_begun() {
    for fits in [0, 1, 40] {
        let mut house = House::new();
        house.wait(7);
        let peer = falls_behind(&mut house, fits);
        house.publish("a", "never sent");
        house.turn();
        house.wait(LIMITS.max_lag - 1);
        assert_eq!(peer.given_back(), 0);
        house.wait(1);
        assert_eq!((peer.given_back(), peer.is_closed()), (1, false));
        assert_eq!(house.topics.streams(&topics("a")), 0);
        peer.opens();
        house.writable(&peer);
        let begun = if fits > 0 { chunks(&house.kept[..1]) } else { String::new() };
        assert_eq!(peer.take(), begun + &slow_consumer());
        assert_eq!(peer.line().finished, 1);
    }
}

#[test]
fn lag_counts_from_when_it_was_last_level() {
    let mut house = House::new();
    let peer = falls_behind(&mut house, 10);
    house.wait(LIMITS.max_lag - 1);
    peer.then_blocks(&[Take::All]);
    house.writable(&peer);
    assert!(!house.watches(&peer));
    house.publish("a", "behind again");
    house.turn();
    house.wait(LIMITS.max_lag - 1);
    assert_eq!(peer.given_back(), 0);
    house.wait(1);
    assert_eq!(peer.given_back(), 1);
}

#[test]
fn to_take_some_of_it_does_not_end_the_lag() {
    let mut house = House::new();
    let peer = falls_behind(&mut house, 10);
    for _ in 0..6 {
        assert_eq!(peer.given_back(), 0);
        house.publish("a", "and more");
        house.turn();
        peer.then_blocks(&[Take::Bytes(30)]);
        house.writable(&peer);
        house.wait(100);
    }
    assert_eq!(peer.given_back(), 1);
}

#[test]
fn a_replay_that_nobody_takes_is_idle() {
    let mut house = House::new();
    let peer = house.seat(to("a").scripted(&[Take::Bytes(4)]).blocked());
    house.wait(LIMITS.idle - 1);
    assert_eq!(peer.given_back(), 0);
    house.wait(1);
    peer.opens();
    house.writable(&peer);
    assert_eq!(peer.take(), OPENING.to_owned() + &idle_timeout());
}

#[test]
fn one_who_takes_nothing_is_idle_before_it_is_slow_if_the_limits_say_so() {
    let mut house = House::limited(Limits { idle: 100, ..LIMITS });
    let peer = falls_behind(&mut house, 10);
    house.wait(99);
    assert_eq!(peer.given_back(), 0);
    peer.then_blocks(&[Take::Bytes(1)]);
    house.writable(&peer);
    house.wait(99);
    assert_eq!(peer.given_back(), 0);
    house.wait(1);
    peer.opens();
    house.writable(&peer);
    assert_eq!(peer.take(), chunks(&house.kept) + &idle_timeout());
}

#[test]
fn idle_counts_from_when_bytes_began_to_wait() {
    let mut house = House::limited(Limits { idle: 100, ..LIMITS });
    let peer = house.seat(to("a"));
    house.wait(250);
    peer.then_blocks(&[]);
    house.publish("a", "the buffer was full to the byte");
    house.turn();
    house.wait(99);
    assert_eq!(peer.given_back(), 0, "bytes have waited for 9.9 s of 10");
    house.wait(1);
    assert_eq!(peer.given_back(), 1);
}

#[test]
fn a_quiet_stream_is_never_idle() {
    let mut house = House::limited(Limits { idle: 100, ..LIMITS });
    let peer = house.seat(to("a"));
    for _ in 0..100 {
        house.wait(299);
    }
    assert_eq!(peer.given_back(), 0);
}
