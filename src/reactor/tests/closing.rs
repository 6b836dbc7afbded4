//! Last words: why, the end of the body, and then the peer may hang up.

use super::kit::*;
use crate::frame::Framing;
use crate::reactor::CloseReason;

#[test]
fn each_reason_has_its_last_words() {
    let retry = "retry: 2500\n".to_owned();
    let replaced = "Another stream of the same client took the place of this one";
    let cases = [
        (CloseReason::Replaced, disconnected("replaced", replaced)),
        (
            CloseReason::SlowConsumer,
            disconnected("slow_consumer", "The connection was too far behind"),
        ),
        (
            CloseReason::IdleTimeout,
            disconnected("idle_timeout", "The connection took no data for too long"),
        ),
        (
            CloseReason::Shutdown { retry: 2_500 },
            retry + &disconnected("shutdown", "The server is shutting down"),
        ),
        (
            CloseReason::Fault,
            "event: error\ndata: {\"error\":\"Internal server error\",\"code\":500}\n\n".to_owned(),
        ),
    ];
    for (reason, block) in cases {
        let mut house = House::new();
        let modern = house.seat(to("a"));
        let old = house.seat(to("a").framed(Framing::UntilClose));
        house.close(&modern, reason);
        house.close(&old, reason);
        assert_eq!(modern.take(), OPENING.to_owned() + &last_words(&block));
        assert_eq!(old.take(), OPENING.to_owned() + &block);
        assert_eq!([modern.line().finished, old.line().finished], [1, 1]);
    }
}

#[test]
fn the_place_is_free_from_the_first_moment_of_closing_and_nothing_else_follows() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    peer.then_blocks(&[]);
    peer.take();
    house.close(&peer, CloseReason::Replaced);
    assert_eq!((peer.given_back(), house.topics.streams(&topics("a"))), (1, 0));
    house.publish("a", "for others");
    house.turn();
    house.ephemeral("a", "for others");
    house.close(&peer, CloseReason::SlowConsumer);
    house.wait(50);
    peer.opens();
    house.writable(&peer);
    let said = peer.take();
    assert!(said.contains("\"replaced\"") && said.matches("event:").count() == 1, "{said}");
    assert!(said.ends_with("\n\n\r\n0\r\n\r\n"));
    assert_eq!((peer.given_back(), peer.is_closed()), (1, false));
}

#[test]
fn last_words_in_pieces_come_whole_before_the_end_is_said() {
    let mut house = House::new();
    let peer = house.seat(to("a").scripted(&[Take::Bytes(3)]).blocked());
    house.close(&peer, CloseReason::SlowConsumer);
    for _ in 0..20 {
        assert_eq!(peer.line().finished, 0);
        peer.then_blocks(&[Take::Bytes(7)]);
        house.writable(&peer);
    }
    peer.opens();
    house.writable(&peer);
    assert_eq!(peer.take(), OPENING.to_owned() + &slow_consumer());
    assert_eq!(peer.line().finished, 1);
}

#[test]
fn the_peer_hangs_up_or_is_left_after_ten_seconds() {
    let mut house = House::new();
    let (polite, deaf, silent) = (house.seat(to("a")), house.seat(to("a")), house.seat(to("a")));
    deaf.then_blocks(&[]);
    for peer in [&polite, &deaf, &silent] {
        house.close(peer, CloseReason::Replaced);
    }
    polite.says(&[Says::Something, Says::Fin]);
    house.readable(&polite);
    assert_eq!((polite.is_closed(), house.shard.len()), (true, 2));
    house.wait(99);
    assert_eq!([deaf.is_closed(), silent.is_closed()], [false, false]);
    house.wait(1);
    assert_eq!([deaf.is_closed(), silent.is_closed()], [true, true]);
    assert!(house.shard.is_empty());
}

#[test]
fn one_whose_socket_cannot_be_finished_is_gone_at_once() {
    let mut house = House::new();
    let peer = house.seat(to("a"));
    peer.line().finish_fails = true;
    house.close(&peer, CloseReason::Replaced);
    assert_eq!((peer.is_closed(), peer.given_back()), (true, 1));
}

#[test]
fn one_who_has_lost_its_place_on_its_way_in_is_told_so_and_nothing_else() {
    let mut house = House::new();
    house.publish("a", "missed");
    house.turn();
    let peer = house.seat(to("a").after(place(0)).replaced());
    let message = "Another stream of the same client took the place of this one";
    let words = last_words(&disconnected("replaced", message));
    assert_eq!(peer.take(), OPENING.to_owned() + &words);
    assert_eq!((peer.given_back(), house.topics.streams(&topics("a"))), (1, 0));
}

#[test]
fn one_who_was_replaced_on_its_way_in_and_left_is_gone_once() {
    let mut house = House::new();
    let peer = house.seat(to("a").scripted(&[Take::Broken]).replaced());
    assert_eq!((peer.given_back(), peer.is_closed(), house.shard.len()), (1, true, 0));
}

#[test]
fn draining_goes_through_the_slots_in_order() {
    let mut house = House::new();
    let peers: Vec<Peer> = (0..6).map(|_| house.seat(to("a"))).collect();
    peers[2].says(&[Says::Fin]);
    house.readable(&peers[2]);
    house.close(&peers[4], CloseReason::Replaced);
    let admitted = |house: &House, first| house.shard.admitted_from(first).collect::<Vec<_>>();
    let keys = |numbers: &[usize]| numbers.iter().map(|n| peers[*n].key).collect::<Vec<_>>();
    assert_eq!(admitted(&house, 0), keys(&[0, 1, 3, 5]));
    assert_eq!(admitted(&house, 2), keys(&[3, 5]));
    assert!(admitted(&house, 6).is_empty());
    let successor = house.seat(to("a"));
    assert_eq!(admitted(&house, 1), [peers[1].key, successor.key, peers[3].key, peers[5].key]);
}
