//! Streams that may not read everything of their topics: live, behind, from the ring and from pages.

use super::kit::*;
use crate::identity::{Allowed, Grants, Identity, Pattern};

fn team() -> Identity {
    let patterns = ["team-*"].map(|text| Pattern::parse(text).expect("a pattern"));
    let grants = Grants { rooms: Allowed::Only(patterns.into()), ..Grants::default() };
    Identity { grants, ..somebody() }
}

#[test]
fn a_live_stream_gets_what_it_may_read_and_no_more() {
    let mut house = House::new();
    let narrowed = house.seat(to("").on_all_rooms(team()));
    let wide = house.seat(to("").on_all_rooms(somebody()));
    let _ = (narrowed.take(), wide.take());
    let frames = ["team-1", "other", "team-2", "teams"].map(|room| house.publish(room, "hi"));
    house.turn();
    assert_eq!(narrowed.take(), chunks([&frames[0], &frames[2]]));
    assert_eq!(wide.take(), chunks(&frames));
    let typing = house.ephemeral("team-1", "typing");
    house.ephemeral("other", "typing");
    assert_eq!(narrowed.take(), typing);
}

#[test]
fn so_does_one_that_replays_or_is_behind() {
    let mut house = House::new();
    let frames = ["other", "team-1", "other", "team-2"].map(|room| house.publish(room, "hi"));
    house.turn();
    let peer = house.seat(to("").after(place(0)).on_all_rooms(team()));
    assert_eq!(peer.take(), OPENING.to_owned() + &chunks([&frames[1], &frames[3]]));
    peer.then_blocks(&[]);
    let more = ["team-3", "other", "team-4"].map(|room| house.publish(room, "hi"));
    house.turn();
    peer.opens();
    house.writable(&peer);
    assert_eq!(peer.take(), chunks([&more[0], &more[2]]));
    house.wait(300);
    assert_eq!(peer.take(), heartbeat(7), "what it may not read is behind it too");
}

#[test]
fn so_does_one_that_reads_pages() {
    let mut house = House::with_ring_of(1);
    let frames = ["other", "team-1", "other"].map(|room| house.publish(room, "hi"));
    house.turn();
    let peer = house.seat(to("").after(place(0)).on_all_rooms(team()));
    while !house.fetches.is_empty() {
        house.answer_fetch(2);
    }
    assert_eq!(peer.take(), OPENING.to_owned() + &chunks([&frames[1]]));
}

#[test]
fn a_new_credential_changes_what_it_may_read() {
    let mut house = House::new();
    let peer = house.seat(to("").on_all_rooms(somebody()));
    peer.take();
    house.renew(&peer, &team());
    house.publish("other", "hi");
    let frame = house.publish("team-1", "hi");
    house.turn();
    assert_eq!(peer.take(), chunks([&frame]));
    house.renew(&peer, &somebody());
    let frame = house.publish("other", "hi");
    house.turn();
    assert_eq!(peer.take(), chunks([&frame]));
}

/// What was asked for as long as it could be read, and comes when it cannot, is not sent.
#[test]
fn a_page_that_is_under_way_is_held_to_the_new_credential() {
    let mut house = House::with_ring_of(1);
    let frames = ["other", "a", "other"].map(|room| house.publish(room, "hi"));
    house.turn();
    let peer = house.seat(to("").after(place(0)).on_all_rooms(somebody()));
    peer.take();
    let only_a = Allowed::Only([Pattern::parse("a").expect("a pattern")].into());
    let grants = Grants { rooms: only_a, ..Grants::default() };
    house.renew(&peer, &Identity { grants, ..somebody() });
    while !house.fetches.is_empty() {
        house.answer_fetch(2);
    }
    assert_eq!(peer.take(), chunks([&frames[1]]));
}
