//! Lists of members change while streams live.

use std::sync::Arc;

use super::kit::*;
use crate::event::{Event, Name, Payload};
use crate::frame::Frame;
use crate::members::{Change, Group};
use crate::topic::Topic;

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn talk(id: &str) -> Group {
    Group::Conversation(name(id))
}

fn joins() -> Change {
    Change::Add(somebody().user)
}

fn leaves() -> Change {
    Change::Remove(somebody().user)
}

fn say(house: &mut House, conversation: &str) -> Arc<Frame> {
    let payload = Payload::object().text("text", Some("hi")).finish();
    let topics = vec![Topic::conversation(&name(conversation))];
    house.publish_event(&Event::new(topics, "message:new", payload))
}

#[test]
fn a_stream_follows_its_user_into_conversations_and_out_of_them() {
    let mut house = House::new();
    let peer = house.seat(to("").on_conversations());
    peer.take();
    // The shard has not read what is said by the time of a change.
    say(&mut house, "c");
    house.change(&talk("c"), &joins());
    let heard = say(&mut house, "c");
    say(&mut house, "d");
    let before_leaving = say(&mut house, "c");
    house.change(&talk("c"), &leaves());
    say(&mut house, "c");
    house.turn();
    assert_eq!(peer.take(), chunks([&heard, &before_leaving]));
}

/// A page that was asked for before has nothing of the conversation.
#[test]
fn a_page_that_is_under_way_is_read_anew_for_who_joins() {
    let mut house = House::with_ring_of(1);
    house.publish("other", "hi");
    house.turn();
    let peer = house.seat(to("").after(place(0)).on_conversations());
    peer.take();
    house.change(&talk("c"), &joins());
    let heard = say(&mut house, "c");
    house.publish("other", "hi");
    house.turn();
    while !house.fetches.is_empty() {
        house.answer_fetch(9);
    }
    assert_eq!(peer.take(), chunks([&heard]));
}

#[test]
fn who_joins_while_he_is_on_his_way_misses_nothing() {
    let mut house = House::new();
    let heard = say(&mut house, "c");
    house.turn();
    let visitor = to("").after(place(0)).on_conversations();
    let peer = house.seat(visitor.while_changes(talk("c"), joins()));
    assert_eq!(peer.take(), OPENING.to_owned() + &chunks([&heard]));
}

#[test]
fn a_room_that_is_closed_ends_the_streams_of_others() {
    let mut house = House::new();
    let (there, elsewhere) = (house.seat(to("a")), house.seat(to("b")));
    let everywhere = house.seat(to("").on_all_rooms(somebody()));
    for peer in [&there, &elsewhere, &everywhere] {
        peer.take();
    }
    house.change(&Group::Room(name("a")), &Change::Replace(vec![name("other")]));
    house.publish("a", "hi");
    let frame = house.publish("b", "hi");
    house.turn();
    assert_eq!((there.take(), there.given_back()), (revoked(), 1));
    assert_eq!(elsewhere.take(), chunks([&frame]));
    assert_eq!(everywhere.take(), chunks([&frame]), "what it may not read is left out");
    house.change(&Group::Room(name("a")), &Change::Delete);
    let frame = house.publish("a", "hi");
    house.turn();
    assert_eq!(everywhere.take(), chunks([&frame]));
}

#[test]
fn who_is_shut_out_while_he_is_on_his_way_gets_nothing() {
    let mut house = House::new();
    house.publish("a", "hi");
    house.turn();
    let shut = (Group::Room(name("a")), Change::Replace(vec![]));
    let peer = house.seat(to("a").after(place(0)).while_changes(shut.0, shut.1));
    assert_eq!(peer.take(), OPENING.to_owned() + &revoked());
}
