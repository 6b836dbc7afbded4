//! A stream ends when its credential does, unless there is a new one.

use super::kit::*;
use crate::identity::{Credential, Identity};

fn expiring(left: u64) -> String {
    let seconds = 5 + left / 10;
    let data =
        format!("{{\"expiresAt\":\"1970-01-01T00:{:02}:{:02}.000Z\"}}", seconds / 60, seconds % 60);
    chunk(&format!("event: token-expiring\ndata: {data}\n\n"))
}

fn expired() -> String {
    last_words(&disconnected("token_expired", "The credential of this stream has expired"))
}

fn with_credential(ticks: u64) -> Identity {
    let credential = Credential { id: None, issued: stamp(0), expires: Some(stamp(ticks)) };
    Identity { credential: Some(credential), ..somebody() }
}

#[test]
fn the_end_is_told_before_and_comes() {
    let mut house = House::new();
    let peer = house.seat(to("a").expiring(400));
    peer.take();
    house.wait(99);
    assert_eq!(peer.take(), "");
    house.wait(1);
    assert_eq!(peer.take(), expiring(300));
    // Nothing was written with an id meanwhile.
    house.wait(200);
    assert_eq!(peer.take(), heartbeat(0));
    house.wait(99);
    assert_eq!((peer.take(), peer.given_back()), (String::new(), 0));
    house.wait(1);
    assert_eq!((peer.take(), peer.given_back()), (expired(), 1));
}

#[test]
fn who_comes_late_is_told_at_once_and_too_late_leaves_at_once() {
    let mut house = House::new();
    let (late, too_late) = (house.seat(to("a").expiring(7)), house.seat(to("a").expiring(0)));
    house.wait(1);
    assert_eq!(late.take(), OPENING.to_owned() + &expiring(10));
    assert_eq!(too_late.take(), OPENING.to_owned() + &expired());
}

#[test]
fn a_new_credential_puts_the_end_off_and_is_told_of_anew() {
    let mut house = House::new();
    let peer = house.seat(to("a").expiring(400));
    house.wait(100);
    peer.take();
    house.renew(&peer, &with_credential(1_000));
    house.wait(500);
    assert_eq!(peer.take(), heartbeat(0));
    house.wait(200);
    assert_eq!(peer.take(), expiring(300));
    house.wait(300);
    assert!(peer.take().ends_with(&expired()));
}

#[test]
fn one_that_ends_earlier_is_heard_of_in_time() {
    let mut house = House::new();
    let peer = house.seat(to("a").expiring(2_000));
    peer.take();
    house.renew(&peer, &with_credential(10));
    assert_eq!(house.shard.next_visit(), Some(1), "it is to be told at once");
    house.wait(1);
    assert_eq!(peer.take(), expiring(10));
    house.wait(9);
    assert_eq!(peer.take(), expired());
}

#[test]
fn a_credential_without_end_lets_the_stream_live_on() {
    let mut house = House::new();
    let peer = house.seat(to("a").expiring(20));
    house.renew(&peer, &somebody());
    house.wait(100);
    assert_eq!(peer.take(), OPENING);
}

#[test]
fn a_peer_that_is_behind_is_told_when_it_is_level_and_ended_in_any_case() {
    let mut house = House::new();
    let (slow, slower) = (house.seat(to("a").expiring(400)), house.seat(to("a").expiring(400)));
    for peer in [&slow, &slower] {
        peer.take();
        peer.then_blocks(&[]);
    }
    let frame = house.publish("a", "hi");
    house.turn();
    house.wait(150);
    assert_eq!(slow.take() + &slower.take(), "");
    slow.opens();
    house.writable(&slow);
    house.wait(1);
    assert_eq!(slow.take(), chunks([&frame]) + &expiring(250));
    house.wait(249);
    assert_eq!(slow.take(), expired());
    assert_eq!(slower.given_back(), 1);
    slower.opens();
    house.writable(&slower);
    assert_eq!(slower.take(), expired());
}

#[test]
fn a_notice_that_the_socket_does_not_take_comes_later() {
    let mut house = House::new();
    let peer = house.seat(to("a").expiring(400));
    peer.take();
    peer.then_blocks(&[]);
    house.wait(100);
    assert_eq!(peer.take(), "");
    peer.opens();
    house.writable(&peer);
    house.wait(1);
    assert_eq!(peer.take(), expiring(300));
}

#[test]
fn a_right_that_the_new_credential_lacks_ends_the_stream() {
    use crate::identity::{Allowed, Grants, Pattern};
    let mut house = House::new();
    let (kept, lost) = (house.seat(to("a")), house.seat(to("b")));
    let only_a = Allowed::Only([Pattern::parse("a").expect("a pattern")].into());
    let grants = Grants { rooms: only_a, ..Grants::default() };
    let narrowed = Identity { grants, ..with_credential(1_000) };
    for peer in [&kept, &lost] {
        peer.take();
        house.renew(peer, &narrowed);
    }
    assert_eq!((kept.take(), lost.take()), (String::new(), revoked()));
    assert_eq!(lost.given_back(), 1);
}
