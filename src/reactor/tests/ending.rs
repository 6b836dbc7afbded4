//! However a stream ends, its place is given back, once; and its key finds nothing any more.

use super::kit::*;
use crate::log::PageError;
use crate::reactor::CloseReason;

#[test]
fn what_a_peer_sends_is_thrown_away_until_it_leaves() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    peer.says(&[Says::Something, Says::Interrupted, Says::Something]);
    house.readable(&peer);
    house.publish("a", "still here");
    house.turn();
    assert_eq!(peer.take(), OPENING.to_owned() + &chunks(&house.kept));
    peer.says(&[Says::Something, Says::Fin]);
    house.readable(&peer);
    assert_eq!((peer.is_closed(), peer.given_back(), house.shard.len()), (true, 1, 0));
    assert_eq!(peer.take(), "", "nobody is there to hear last words");
}

#[test]
fn a_peer_that_never_stops_talking_gets_its_share_of_a_turn() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    peer.says(&[Says::Endless]);
    house.readable(&peer);
    assert_eq!(peer.line().reads, 16);
    assert!(house.go_on());
    assert_eq!(peer.line().reads, 32);
    peer.line().says = [Says::Fin].into();
    assert!(!house.go_on());
    assert!(peer.is_closed());
}

#[test]
fn its_share_is_the_same_however_often_the_poll_tells_of_it() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    peer.says(&[Says::Endless]);
    for _ in 0..10 {
        peer.line().reads = 0;
        house.readable(&peer);
        house.go_on();
        let reads = peer.line().reads;
        assert!(reads <= 32, "{reads} reads in one turn");
    }
}

type End = fn(&mut House, &Peer);

fn fin(house: &mut House, peer: &Peer) {
    peer.says(&[Says::Fin]);
    house.readable(peer);
}

fn reset(house: &mut House, peer: &Peer) {
    peer.says(&[Says::Reset]);
    house.readable(peer);
}

fn broken(house: &mut House, peer: &Peer) {
    peer.line().otherwise = Take::Broken;
    house.publish("a", "never taken");
    house.turn();
}

fn broken_by_ephemeral(house: &mut House, peer: &Peer) {
    peer.line().otherwise = Take::Broken;
    house.ephemeral("a", "never taken");
}

fn broken_by_heartbeat(house: &mut House, peer: &Peer) {
    peer.line().otherwise = Take::Broken;
    house.wait(300);
}

fn broken_while_behind(house: &mut House, peer: &Peer) {
    peer.then_blocks(&[Take::Bytes(1)]);
    house.publish("a", "never taken");
    house.turn();
    peer.line().otherwise = Take::Broken;
    house.writable(peer);
}

fn broken_by_last_words(house: &mut House, peer: &Peer) {
    peer.line().otherwise = Take::Broken;
    house.close(peer, CloseReason::Replaced);
}

fn closed(house: &mut House, peer: &Peer) {
    house.close(peer, CloseReason::Shutdown { retry: 1 });
    house.wait(100);
}

fn slow(house: &mut House, peer: &Peer) {
    peer.then_blocks(&[]);
    house.publish("a", "never taken");
    house.turn();
    house.wait(600);
    house.wait(100);
}

fn gone_from_the_log(house: &mut House, peer: &Peer) {
    house.publish_many("a", 20, 2_000);
    house.turn();
    house.page(peer.key, Err(PageError::Gone));
    fin(house, peer);
}

fn dropped_with_the_shard(house: &mut House, _: &Peer) {
    let settings = crate::reactor::Settings { limits: LIMITS, heartbeat_carries_id: true };
    let epoch = crate::cursor::Epoch::from_bits(EPOCH);
    let ring = std::sync::Arc::clone(&house.ring);
    house.shard = crate::reactor::shard::Shard::new(settings, epoch, ring, house.tick);
}

#[test]
fn in_every_way_a_stream_ends_its_place_is_given_back_once() {
    let ends: [(&str, End); 11] = [
        ("fin", fin),
        ("reset", reset),
        ("broken", broken),
        ("broken by ephemeral", broken_by_ephemeral),
        ("broken by heartbeat", broken_by_heartbeat),
        ("broken while behind", broken_while_behind),
        ("broken by last words", broken_by_last_words),
        ("closed", closed),
        ("slow", slow),
        ("gone from the log", gone_from_the_log),
        ("dropped with the shard", dropped_with_the_shard),
    ];
    for (how, end) in ends {
        let mut house = House::with_ring_of(10_000);
        let peer = house.seat(to("a"));
        assert_eq!((peer.given_back(), house.topics.streams(&topics("a"))), (0, 1));
        end(&mut house, &peer);
        assert!(peer.is_closed(), "{how}");
        assert_eq!((peer.given_back(), house.topics.streams(&topics("a"))), (1, 0), "{how}");
        assert_eq!(house.shard.len(), 0, "{how}");
        house.wait(10_000);
        assert_eq!(house.shard.next_visit(), None, "{how}: no timer is left");
    }
}

#[test]
fn the_key_of_one_who_left_finds_nothing_also_when_another_has_its_slot() {
    let mut house = House::new();
    let gone = house.seat(to("a"));
    fin(&mut house, &gone);
    let successor = house.seat(to("b"));
    assert_eq!((gone.key.slot, house.shard.len()), (successor.key.slot, 1));
    assert_ne!(gone.key, successor.key);
    let now = house.now();
    successor.says(&[Says::Fin]);
    house.readable(&gone);
    house.shard.writable(gone.key, now);
    house.close(&gone, CloseReason::Replaced);
    house.page(gone.key, Err(PageError::Gone));
    assert!(house.shard.socket(gone.key).is_none());
    assert!(house.shard.socket(successor.key).is_some());
    assert_eq!((successor.take(), successor.given_back()), (OPENING.to_owned(), 0));
}
