//! Random scripts: whatever the sockets take and whenever, each peer sees its opening and then its
//! events, in order, without a hole, a repeat or a torn byte.

use crate::reactor::Pace;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::kit::*;
use crate::cursor::Position;
use crate::frame::Framing;
use crate::reactor::{CloseReason, Limits};

/// Room for some six events, so that scripts come to need the store.
const RING: usize = 1_200;
const LIMITS: Limits = Limits { heartbeat: 5, idle: 1 << 20, max_lag: 1 << 20, expiry_notice: 1 };
const ROOMS: [&str; 7] = ["a", "b", "c", "a b", "b c", "a c", "a b c"];

#[derive(Clone, Debug)]
enum Step {
    Seat { rooms: &'static str, back: usize, http_1_0: bool, script: Vec<Take> },
    Script(usize, Vec<Take>),
    Publish(&'static str, usize),
    Turn,
    Writable(usize),
    GoOn,
    Page(usize),
    Ephemeral(&'static str),
    Wait(u32),
    Close(usize),
}

fn take() -> impl Strategy<Value = Take> {
    prop_oneof![
        5 => (1_usize..260).prop_map(Take::Bytes),
        2 => Just(Take::All),
        2 => Just(Take::Nothing),
        1 => Just(Take::Interrupted),
    ]
}

fn kept_step() -> impl Strategy<Value = Step> {
    let seat = (select(&ROOMS[..]), 0_usize..12, any::<bool>(), vec(take(), 0..6))
        .prop_map(|(rooms, back, http_1_0, script)| Step::Seat { rooms, back, http_1_0, script });
    prop_oneof![
        2 => seat,
        3 => (0_usize..8, vec(take(), 1..8)).prop_map(|(peer, script)| Step::Script(peer, script)),
        6 => (select(&ROOMS[..]), 0_usize..80).prop_map(|(rooms, size)| Step::Publish(rooms, size)),
        3 => Just(Step::Turn),
        5 => (0_usize..8).prop_map(Step::Writable),
        1 => Just(Step::GoOn),
        2 => (1_usize..9).prop_map(Step::Page),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => kept_step(),
        2 => select(&ROOMS[..]).prop_map(Step::Ephemeral),
        2 => (1_u32..7).prop_map(Step::Wait),
        1 => (0_usize..8).prop_map(Step::Close),
    ]
}

/// A house in which a script is played, and who was seated.
struct Play {
    house: House,
    guests: Vec<Guest>,
}

struct Guest {
    peer: Peer,
    rooms: &'static str,
    start: Position,
    closed: bool,
}

impl Play {
    fn of(steps: Vec<Step>) -> Play {
        let house = House::with(LIMITS, true, Some(RING));
        let mut play = Play { house, guests: Vec::new() };
        steps.into_iter().for_each(|step| play.step(step));
        play.come_to_rest();
        play
    }

    fn step(&mut self, step: Step) {
        let house = &mut self.house;
        match step {
            Step::Seat { rooms, back, http_1_0, script } => {
                let start = place(house.kept.len().saturating_sub(back));
                let framing = if http_1_0 { Framing::UntilClose } else { Framing::Chunked };
                let peer = house.seat(to(rooms).after(start).framed(framing).scripted(&script));
                self.guests.push(Guest { peer, rooms, start, closed: false });
            }
            Step::Publish(rooms, size) => {
                house.publish(rooms, &"x".repeat(size));
            }
            Step::Ephemeral(rooms) => {
                house.ephemeral(rooms, "now");
            }
            Step::Turn => drop(house.turn()),
            Step::GoOn => drop(house.go_on()),
            Step::Wait(ticks) => house.wait(ticks),
            Step::Page(records) if !house.fetches.is_empty() => house.answer_fetch(records),
            Step::Page(_) => {}
            Step::Script(guest, script) => {
                if let Some(guest) = self.guests.get(guest) {
                    guest.peer.line().script = script.into();
                }
            }
            Step::Writable(guest) => {
                if let Some(guest) = self.guests.get(guest).filter(|g| house.watches(&g.peer)) {
                    house.writable(&guest.peer);
                }
            }
            Step::Close(guest) => {
                if let Some(guest) = self.guests.get_mut(guest) {
                    house.close(&guest.peer, CloseReason::Replaced);
                    guest.closed = true;
                }
            }
        }
    }

    /// Every socket takes everything, and the shard does what it is told of and no more: whoever it
    /// forgot to watch or to serve stays where it is, and is found.
    fn come_to_rest(&mut self) {
        self.guests.iter().for_each(|guest| guest.peer.opens());
        let mut more = true;
        while more {
            more = self.house.turn() | self.house.go_on();
            for guest in &self.guests {
                if self.house.watches(&guest.peer) {
                    self.house.writable(&guest.peer);
                }
            }
            while !self.house.fetches.is_empty() {
                self.house.answer_fetch(3);
                more = true;
            }
        }
    }

    fn frames_of(&self, guest: &Guest) -> Vec<&std::sync::Arc<crate::frame::Frame>> {
        let topics = self.house.topics.hold(&topics(guest.rooms));
        let frames = self.house.kept.iter();
        frames
            .filter(|frame| frame.position() > guest.start && frame.topics().meets(topics.set()))
            .collect()
    }
}

/// One block as the peer reads it.
#[derive(Debug, PartialEq)]
struct Block<'a> {
    id: Option<u64>,
    event: &'a str,
    text: &'a str,
}

/// Takes a stream apart as a client does: chunks if it has them, then blocks.
fn blocks(framing: Framing, stream: &str, ended: bool) -> Vec<String> {
    let mut rest = stream.strip_prefix(OPENING).expect("the opening comes first");
    let mut blocks = Vec::new();
    if framing == Framing::Chunked && ended {
        rest = rest.strip_suffix("0\r\n\r\n").expect("the last chunk comes last");
    }
    while !rest.is_empty() {
        let (block, after) = match framing {
            Framing::UntilClose => rest.split_at(rest.find("\n\n").expect("a whole block") + 2),
            Framing::Chunked => {
                let (size, body) = rest.split_once("\r\n").expect("a chunk's size");
                let (block, after) =
                    body.split_at(usize::from_str_radix(size, 16).expect("a size"));
                (block, after.strip_prefix("\r\n").expect("the end of a chunk"))
            }
        };
        blocks.push(block.to_owned());
        rest = after;
    }
    blocks
}

fn read(block: &str) -> Block<'_> {
    let mut lines = block.strip_suffix("\n\n").expect("a blank line").lines();
    let mut line = lines.next().expect("a line");
    let mut id = None;
    if let Some(cursor) = line.strip_prefix("id: ") {
        let (milliseconds, _) = cursor.split_once('-').expect("a cursor");
        id = Some(milliseconds.parse().expect("milliseconds"));
        line = lines.next().expect("another line");
    }
    let event = line.strip_prefix("event: ").expect("an event line");
    let text = lines.next().and_then(|line| line.strip_prefix("data: ")).expect("a data line");
    assert_eq!(lines.next(), None);
    Block { id, event, text }
}

proptest! {
    #[test]
    fn each_peer_gets_its_opening_and_its_events_byte_for_byte(
        steps in vec(kept_step(), 1..80),
    ) {
        let play = Play::of(steps);
        for guest in &play.guests {
            let expected = framed(guest.peer.framing, play.frames_of(guest));
            prop_assert_eq!(guest.peer.take(), OPENING.to_owned() + &expected);
            prop_assert!(guest.peer.line().pace == Pace::Level);
        }
    }

    #[test]
    fn heartbeats_ephemeral_events_and_closes_tear_and_reorder_nothing(
        steps in vec(any_step(), 1..80),
    ) {
        let play = Play::of(steps);
        for guest in &play.guests {
            let stream = guest.peer.take();
            let blocks = blocks(guest.peer.framing, &stream, guest.closed);
            let mut expected = play.frames_of(guest).into_iter().peekable();
            let mut ended = false;
            for block in &blocks {
                prop_assert!(!ended, "nothing follows the last words");
                match read(block) {
                    Block { id: Some(id), event: "heartbeat", text: "{}" } => {
                        let next = expected.peek().map(|frame| frame.position().milliseconds());
                        prop_assert!(next.is_none_or(|next| next > id), "{} skips {:?}", id, next);
                        prop_assert!(id >= guest.start.milliseconds());
                    }
                    Block { id: Some(id), event: "message", .. } => {
                        let next = expected.next().map(|frame| frame.position().milliseconds());
                        prop_assert_eq!(Some(id), next);
                    }
                    Block { id: None, event: "message", text: r#"{"message":"now"}"# } => {}
                    Block { id: None, event: "disconnected", .. } => ended = true,
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert_eq!(ended, guest.closed);
            prop_assert!(ended || expected.next().is_none(), "a hole at the end");
            prop_assert_eq!(guest.peer.given_back(), usize::from(guest.closed));
        }
    }
}
