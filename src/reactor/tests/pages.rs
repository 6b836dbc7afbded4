//! What has left the ring comes from the store, page by page.

use super::kit::*;
use crate::log::{Page, PageError};
use crate::reactor::{CloseReason, Limits};

/// Room for some ten events.
const RING: usize = 2_000;

/// A shard at the head of a log of which the ring has only the end.
fn long_history() -> House {
    let mut house = House::with_ring_of(RING);
    for number in 0..60 {
        house.publish(["a", "b", "a b"][number % 3], &number.to_string());
        house.turn();
    }
    house
}

fn concerning(house: &House, room: &str, from: usize) -> String {
    let topics = house.topics.hold(&topics(room));
    chunks(house.kept[from..].iter().filter(|frame| frame.topics().meets(topics.set())))
}

#[test]
fn an_old_start_is_read_in_pieces_until_the_ring_has_the_rest() {
    for records in [1, 2, 7, 40, 1_000] {
        let mut house = long_history();
        let peer = house.seat(to("a").after(place(3)));
        let mut pages = 0;
        while !house.fetches.is_empty() {
            house.answer_fetch(records);
            pages += 1;
        }
        house.publish("a", "live");
        house.turn();
        assert_eq!(peer.take(), OPENING.to_owned() + &concerning(&house, "a", 3));
        assert!(pages <= 56 / records + 1, "{pages} pages of {records}");
    }
}

#[test]
fn one_page_at_a_time_is_asked_for() {
    let mut house = long_history();
    let peer = house.seat(to("a").after(place(3)));
    house.publish("a", "meanwhile");
    house.turn();
    house.wait(100);
    let now = house.now();
    house.shard.writable(peer.key, now);
    assert_eq!(house.fetches.len(), 1);
    assert_eq!(house.fetches[0].after, place(3));
}

#[test]
fn what_a_page_holds_beyond_the_level_is_left_to_the_turn_that_gets_there() {
    let mut house = long_history();
    let peer = house.seat(to("a").after(place(50)));
    // The page is answered when the log is further than the shard.
    house.publish_many("a", 5, 3);
    while !house.fetches.is_empty() {
        house.answer_fetch(1_000);
    }
    let (seen, all) = (peer.take(), OPENING.to_owned() + &concerning(&house, "a", 50));
    assert!(all.starts_with(&seen) && seen.len() < all.len());
    while house.turn() {}
    assert_eq!(seen + &peer.take(), all);
}

#[test]
fn what_a_socket_does_not_take_of_a_page_is_read_again() {
    for cut in [0, 1, 70, 71, 500, 1_000] {
        let mut house = long_history();
        let peer = house.seat(to("a").after(place(3)));
        assert_eq!(peer.take(), OPENING);
        peer.then_blocks(&[Take::Bytes(cut)]);
        house.answer_fetch(30);
        assert!(house.fetches.is_empty(), "a slow peer costs a position and not a page");
        let first = peer.take();
        assert_eq!(first.len(), cut);
        peer.opens();
        house.writable(&peer);
        while !house.fetches.is_empty() {
            house.answer_fetch(30);
        }
        assert_eq!(first + &peer.take(), concerning(&house, "a", 3), "cut at {cut}");
    }
}

#[test]
fn a_position_that_is_no_longer_kept_ends_the_stream() {
    let mut house = long_history();
    house.ring.cut(place(20));
    let kept = house.seat(to("a").after(place(20)));
    let lost = house.seat(to("a").after(place(19)));
    assert_eq!(lost.take(), OPENING.to_owned() + &slow_consumer());
    let fetch = house.fetches.remove(0);
    assert_eq!((fetch.key, house.fetches.len()), (kept.key, 0));
    house.page(kept.key, Err(PageError::Gone));
    assert_eq!(kept.take(), OPENING.to_owned() + &slow_consumer());
    assert_eq!([kept.given_back(), lost.given_back()], [1, 1]);
}

#[test]
fn a_store_that_has_nothing_more_ends_the_stream() {
    let mut house = long_history();
    let peer = house.seat(to("a").after(place(3)));
    house.page(peer.key, Ok(Page { frames: Vec::new(), upto: place(3) }));
    assert_eq!(peer.take(), OPENING.to_owned() + &slow_consumer());
}

#[test]
fn a_store_that_cannot_be_read_is_a_fault_of_ours() {
    let mut house = long_history();
    let peer = house.seat(to("a").after(place(3)));
    house.page(peer.key, Err(PageError::Unavailable));
    let block = "event: error\ndata: {\"error\":\"Internal server error\",\"code\":500}\n\n";
    assert_eq!(peer.take(), OPENING.to_owned() + &last_words(block));
}

#[test]
fn a_page_for_a_stream_that_closes_or_has_gone_is_nothing() {
    let mut house = long_history();
    let (closing, gone) =
        (house.seat(to("a").after(place(3))), house.seat(to("a").after(place(3))));
    house.close(&closing, CloseReason::Replaced);
    let told = closing.take();
    gone.says(&[Says::Fin]);
    house.readable(&gone);
    let successor = house.seat(to("a"));
    house.answer_fetch(10);
    house.answer_fetch(10);
    house.page(closing.key, Err(PageError::Gone));
    assert_eq!(closing.take() + &gone.take(), OPENING);
    assert_eq!(successor.take(), OPENING);
    assert!(told.ends_with("0\r\n\r\n"));
}

#[test]
fn one_who_was_level_needs_no_store_however_long_ago_its_last_event_was() {
    let blocked_by: [fn(&mut House); 3] = [
        |house| {
            house.publish("a", "an event");
            house.turn();
        },
        |house| {
            house.ephemeral("a", "an ephemeral one");
            house.publish("a", "an event");
            house.turn();
        },
        |house| {
            house.wait(300);
            house.publish("a", "an event");
            house.turn();
        },
    ];
    for block in blocked_by {
        let mut house = House::with_ring_of(RING);
        let peer = house.seat(to("a"));
        for _ in 0..60 {
            house.publish("b", "for others");
            house.turn();
        }
        peer.then_blocks(&[]);
        block(&mut house);
        peer.opens();
        house.writable(&peer);
        assert!(house.fetches.is_empty());
        assert_eq!(peer.take(), OPENING.to_owned() + &chunks(&house.kept[60..]));
    }
}

#[test]
fn a_shard_that_falls_behind_the_ring_loses_nothing() {
    let mut house = long_history();
    let (live, other) = (house.seat(to("a")), house.seat(to("b")));
    let slow = house.seat(to("a").scripted(&[Take::Bytes(2)]).blocked());
    house.publish_many("c", 5, 3);
    house.turn();
    let level = house.kept.len();
    for number in 0..50 {
        house.publish(["a", "b", "c"][number % 3], &number.to_string());
    }
    house.turn();
    let asked: Vec<_> = house.fetches.iter().map(|fetch| fetch.after).collect();
    assert_eq!(asked, [place(level); 2], "whoever was level reads on from the old level");
    slow.opens();
    house.writable(&slow);
    while !house.fetches.is_empty() {
        house.answer_fetch(8);
    }
    house.publish("a b", "live again");
    house.turn();
    for (peer, room) in [(live, "a"), (other, "b"), (slow, "a")] {
        assert_eq!(peer.take(), OPENING.to_owned() + &concerning(&house, room, level));
    }
}

#[test]
fn one_who_waits_for_a_page_is_not_idle() {
    let limits = Limits { idle: 100, ..LIMITS };
    let mut house = House::with(limits, true, Some(RING));
    let live = house.seat(to("a"));
    house.wait(250);
    house.publish_many("a", 50, 3);
    house.turn();
    let back = house.seat(to("a").after(place(0)));
    assert_eq!(house.fetches.len(), 2);
    house.wait(50);
    house.wait(60);
    assert_eq!([live.given_back(), back.given_back()], [0, 0], "no byte waits for the peer");
    while !house.fetches.is_empty() {
        house.answer_fetch(20);
    }
    for peer in [live, back] {
        assert_eq!(peer.take(), OPENING.to_owned() + &chunks(&house.kept));
    }
}

#[test]
fn a_shard_that_fell_behind_a_log_without_store_tells_its_streams() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    house.publish_many("a", 10, 5);
    house.ring.cut(place(5));
    house.turn();
    assert_eq!(peer.take(), OPENING.to_owned() + &slow_consumer());
    let next = house.seat(to("a").after(place(5)));
    assert_eq!(next.take(), OPENING.to_owned() + &chunks(&house.kept[5..]));
}
