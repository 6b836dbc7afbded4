//! Heartbeats: a quiet client's cursor moves.

use super::kit::*;
use crate::frame::Framing;

#[test]
fn a_quiet_stream_is_told_how_far_it_has_come() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    house.publish("b", "not for it");
    house.turn();
    house.wait(299);
    assert_eq!(peer.take(), OPENING);
    house.wait(1);
    assert_eq!(peer.take(), heartbeat(1));
    house.wait(299);
    assert_eq!(peer.take(), "");
    house.wait(1);
    assert_eq!(peer.take(), heartbeat(1));
}

#[test]
fn the_heartbeat_of_an_http_1_0_peer_has_no_chunk() {
    let mut house = House::new();
    let peer = house.seat(to("a").framed(Framing::UntilClose));
    peer.take();
    house.wait(300);
    assert_eq!(peer.take(), "id: 1000-0.0000000a\nevent: heartbeat\ndata: {}\n\n");
}

#[test]
fn a_comment_is_a_heartbeat_too() {
    let mut house = House::with(LIMITS, false, None);
    let (one, two) = (house.seat(to("a")), house.seat(to("a").framed(Framing::UntilClose)));
    house.wait(300);
    house.wait(300);
    assert_eq!(one.take(), OPENING.to_owned() + "2\r\n:\n\r\n2\r\n:\n\r\n");
    assert_eq!(two.take(), OPENING.to_owned() + ":\n:\n");
}

#[test]
fn an_event_postpones_it_and_the_wheel_finds_out_when_it_gets_there() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    house.wait(200);
    house.publish("a", "hi");
    house.turn();
    peer.take();
    assert_eq!(house.shard.next_visit(), Some(300), "an event touches no timer");
    house.wait(100);
    assert_eq!(house.shard.next_visit(), Some(500));
    house.wait(199);
    assert_eq!(peer.take(), "");
    house.wait(1);
    assert_eq!(peer.take(), heartbeat(1));
}

#[test]
fn an_ephemeral_event_does_not_postpone_it() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    house.wait(200);
    house.ephemeral("a", "no id");
    peer.take();
    house.wait(100);
    assert_eq!(peer.take(), heartbeat(0));
}

#[test]
fn one_who_is_behind_gets_none_before_what_it_missed() {
    let mut house = House::new();
    let (late, fresh) = (house.seat(to("a")), house.seat(to("a").blocked()));
    late.take();
    late.then_blocks(&[]);
    house.publish("a", "missed");
    house.turn();
    house.wait(400);
    let missed = chunks(&house.kept);
    for (peer, expected) in [(&late, missed.clone()), (&fresh, OPENING.to_owned() + &missed)] {
        peer.opens();
        house.writable(peer);
        assert_eq!(peer.take(), expected);
    }
    house.wait(299);
    assert_eq!(late.take() + &fresh.take(), "");
    house.wait(1);
    assert_eq!([late.take(), fresh.take()], [heartbeat(1), heartbeat(1)]);
}

#[test]
fn a_heartbeat_that_was_begun_is_finished_before_the_next_event() {
    let expected = heartbeat(0);
    for cut in 1..expected.len() {
        let mut house = House::new();
        let peer = house.seat(to("a"));
        peer.take();
        peer.then_blocks(&[Take::Bytes(cut)]);
        house.wait(300);
        let event = house.publish("a", "hi");
        house.turn();
        assert_eq!(peer.take(), expected[..cut]);
        peer.opens();
        house.writable(&peer);
        assert_eq!(peer.take(), expected[cut..].to_owned() + &chunks([&event]));
    }
}

#[test]
fn a_heartbeat_that_finds_no_space_makes_the_stream_behind_and_is_left_out() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    peer.take();
    peer.then_blocks(&[]);
    house.wait(300);
    assert!(house.watches(&peer));
    house.publish("a", "hi");
    house.turn();
    peer.opens();
    house.writable(&peer);
    assert_eq!(peer.take(), chunks(&house.kept));
}

#[test]
fn an_empty_shard_sleeps() {
    let mut house = House::new();
    assert_eq!(house.shard.next_visit(), None);
    let peer = house.seat(to("a"));
    assert_eq!(house.shard.next_visit(), Some(300));
    peer.says(&[Says::Fin]);
    house.readable(&peer);
    assert_eq!(house.shard.next_visit(), None);
}
