//! Those who are level: one write for a batch, and not a byte lost or repeated.

use super::kit::*;
use crate::frame::Framing;
use crate::metrics::Deliveries;
use crate::reactor::CloseReason;

#[test]
fn a_batch_is_one_write_for_each_connection_that_it_concerns() {
    let mut house = House::new();
    let (ann, bob, eve) = (house.seat(to("a")), house.seat(to("a b")), house.seat(to("e")));
    let [one, two, three, four] = [("a", "1"), ("b", "2"), ("c", "3"), ("a", "4")]
        .map(|(room, text)| house.publish(room, text));
    assert!(house.turn() && !house.turn());
    assert_eq!(ann.take(), OPENING.to_owned() + &chunks([&one, &four]));
    assert_eq!(bob.take(), OPENING.to_owned() + &chunks([&one, &two, &four]));
    assert_eq!(eve.take(), OPENING);
    assert!(three.position() < four.position());
    assert_eq!([ann.line().writes, bob.line().writes, eve.line().writes], [2, 2, 1]);
}

#[test]
fn an_event_of_several_topics_reaches_a_connection_once() {
    let mut house = House::new();
    let peer = house.seat(to("a b c"));
    peer.take();
    let event = house.publish("c a b", "all of them");
    house.turn();
    assert_eq!(peer.take(), chunks([&event]));
    let ephemeral = house.ephemeral("b c", "these two");
    assert_eq!(peer.take(), ephemeral);
}

#[test]
fn a_long_batch_comes_whole_and_in_order() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    house.publish_many("a", 600, 10);
    while house.turn() {}
    assert_eq!(peer.take(), OPENING.to_owned() + &chunks(&house.kept));
    assert_eq!(peer.line().writes, 1 + 3, "256 events at a time");
}

#[test]
fn an_http_1_0_peer_gets_the_blocks_without_chunks() {
    let mut house = House::new();
    let peer = house.seat(to("a").framed(Framing::UntilClose));
    house.publish("a", "hi");
    house.turn();
    let block = "id: 1001-0.0000000a\nevent: message\ndata: {\"message\":\"hi\"}\n\n";
    assert_eq!(peer.take(), OPENING.to_owned() + block);
    let modern = house.seat(to("a").after(place(0)));
    assert_eq!(modern.take(), OPENING.to_owned() + &chunk(block));
}

#[test]
fn a_short_write_at_any_byte_of_two_frames_loses_and_repeats_nothing() {
    for framing in [Framing::Chunked, Framing::UntilClose] {
        let mut split = 0;
        while two_frames_cut_at(split, framing) {
            split += 1;
        }
        assert!(split > 100, "every byte was tried");
    }
}

/// The first write of two frames takes `split` bytes; tells whether that was less than all.
fn two_frames_cut_at(split: usize, framing: Framing) -> bool {
    let mut house = House::new();
    let peer = house.seat(to("a").framed(framing));
    peer.take();
    peer.then_blocks(&[Take::Bytes(split)]);
    house.publish("a", "one");
    house.publish("a", "two");
    house.turn();
    let whole = framed(framing, &house.kept);
    let first = peer.take();
    assert_eq!(first, whole[..split.min(whole.len())]);
    house.publish("a", "three");
    house.turn();
    peer.opens();
    if split < whole.len() || house.watches(&peer) {
        house.writable(&peer);
    }
    assert_eq!(first + &peer.take(), framed(framing, &house.kept), "cut at {split}");
    split < whole.len()
}

#[test]
fn an_interrupted_write_is_tried_again() {
    let mut house = House::new();
    let peer =
        house.seat(to("a").scripted(&[Take::Interrupted, Take::Bytes(3), Take::Interrupted]));
    assert_eq!(peer.take(), OPENING);
    peer.line().script.extend([Take::Interrupted, Take::Interrupted]);
    let event = house.publish("a", "hi");
    house.turn();
    assert_eq!(peer.take(), chunks([&event]));
}

#[test]
fn a_broken_peer_is_gone_and_the_others_get_theirs() {
    let mut house = House::new();
    let peers = [house.seat(to("a")), house.seat(to("a")), house.seat(to("a"))];
    peers.iter().for_each(|peer| drop(peer.take()));
    peers[1].line().otherwise = Take::Broken;
    let event = house.publish("a", "hi");
    house.turn();
    assert_eq!([peers[0].take(), peers[1].take()], [chunks([&event]), String::new()]);
    assert_eq!(peers[2].take(), chunks([&event]));
    assert_eq!((house.shard.len(), peers[1].is_closed(), peers[1].given_back()), (2, true, 1));
}

#[test]
fn an_ephemeral_event_is_dropped_for_those_who_are_behind() {
    let mut house = House::new();
    let (late, fresh) = (house.seat(to("a")), house.seat(to("a").blocked()));
    late.take();
    late.then_blocks(&[]);
    let event = house.publish("a", "kept");
    house.turn();
    house.ephemeral("a", "not kept");
    for peer in [&late, &fresh] {
        peer.opens();
        house.writable(peer);
    }
    assert_eq!(late.take(), chunks([&event]));
    assert_eq!(fresh.take(), OPENING.to_owned() + &chunks([&event]));
    let ephemeral = house.ephemeral("a", "now");
    assert_eq!([late.take(), fresh.take()], [ephemeral.clone(), ephemeral]);
}

#[test]
fn an_ephemeral_event_that_does_not_fit_at_all_is_dropped() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    peer.take();
    peer.then_blocks(&[]);
    house.ephemeral("a", "no room");
    let event = house.publish("a", "kept");
    house.turn();
    peer.opens();
    house.writable(&peer);
    assert_eq!(peer.take(), chunks([&event]));
}

#[test]
fn an_ephemeral_event_that_fits_in_part_is_finished_first() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    peer.take();
    for cut in 1..40 {
        peer.then_blocks(&[Take::Bytes(cut)]);
        let ephemeral = house.ephemeral("a", "a part of it fits");
        let event = house.publish("a", "kept");
        house.turn();
        assert_eq!(peer.take(), ephemeral[..cut]);
        peer.opens();
        house.writable(&peer);
        assert_eq!(peer.take(), ephemeral[cut..].to_owned() + &chunks([&event]));
    }
}

#[test]
fn ephemeral_events_that_come_together_are_one_write_for_each() {
    let mut house = House::new();
    let (both, one, none) = (house.seat(to("a b")), house.seat(to("b")), house.seat(to("c")));
    [&both, &one, &none].iter().for_each(|peer| drop(peer.take()));
    let before = [&both, &one, &none].map(|peer| peer.line().writes);
    let events = house.ephemerals(&[("a", "1"), ("a b", "2"), ("a", "3")]);
    assert_eq!([both.take(), one.take()], [events.concat(), events[1].clone()]);
    let after = [&both, &one, &none].map(|peer| peer.line().writes);
    assert_eq!([0, 1, 2].map(|n| after[n] - before[n]), [1, 1, 0]);
}

#[test]
fn of_ephemeral_events_that_fit_in_part_those_that_were_begun_are_finished() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    peer.take();
    let length = house.ephemeral("a", "1").len();
    peer.take();
    for (cut, begun) in [(1, 1), (length, 1), (length + 1, 2), (2 * length, 2), (3 * length, 3)] {
        peer.then_blocks(&[Take::Bytes(cut)]);
        let events = house.ephemerals(&[("a", "1"), ("a", "2"), ("a", "3")]);
        assert_eq!(peer.take(), events.concat()[..cut]);
        let event = house.publish("a", "kept");
        house.turn();
        peer.opens();
        house.writable(&peer);
        let rest = events[..begun].concat()[cut..].to_owned();
        assert_eq!(peer.take(), rest + &chunks([&event]), "after {cut} bytes");
    }
}

#[test]
fn what_was_delivered_and_who_ended_is_told_once() {
    let mut house = House::new();
    let (one, two) = (house.seat(to("a")), house.seat(to("a b")));
    let frames = [house.publish("a", "hi"), house.publish("b", "hi")];
    house.turn();
    let lengths = frames.map(|frame| frame.bytes(Framing::Chunked).len() as u64);
    house.wait(7);
    house.close(&one, CloseReason::Replaced);
    two.says(&[Says::Fin]);
    house.readable(&two);
    let tally = house.tally();
    assert_eq!(tally.deliveries, Deliveries { events: 3, bytes: 2 * lengths[0] + lengths[1] });
    assert_eq!(tally.ended, [(CloseReason::Replaced, 7), (CloseReason::Left, 7)]);
    let tally = house.tally();
    assert_eq!((tally.deliveries, tally.ended.len()), (Deliveries::default(), 0));
}
