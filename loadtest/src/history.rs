//! What was published and replayed over many lives of one server, and what may not have happened in
//! between.

use std::collections::{HashMap, HashSet};
use std::mem;

use crate::cursor::Position;
use crate::listener::Replay;
use crate::report::Report;
use crate::stamp::{Scope, Stamp};

/// How many violations are told in words.
const TOLD: usize = 10;

/// An event's lane and number.
type Name = (u32, u32);

/// Grows from life to life.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The cursor from before the first publish.
    start: Vec<u8>,
    /// What was answered, with the id in the answer.
    answered: HashMap<Name, String>,
    /// What was sent without getting an answer.
    unknown: HashSet<Name>,
    /// What was replayed ever.
    replayed: HashMap<String, Name>,
    /// The highest id at the last replay: what is published later comes after it.
    floor: Position,
    violations: Vec<String>,
    violated: u64,
}

impl History {
    /// The cursor to replay from; empty before [`History::begin`].
    pub(crate) fn start(&self) -> &[u8] {
        &self.start
    }

    /// Sets the cursor to replay from.
    pub(crate) fn begin(&mut self, start: Vec<u8>) {
        self.start = start;
    }

    /// A publish was answered with 2xx.
    pub(crate) fn answered(&mut self, stamp: Stamp, id: Option<String>) {
        let Some(id) = id else {
            return self.violate(format!("{stamp} was answered without an id"));
        };
        if Position::parse(id.as_bytes()).is_none_or(|(position, _)| position <= self.floor) {
            self.violate(format!(
                "{stamp} was answered with {id}, which is not after what was there before"
            ));
        }
        if let Some(other) = self.answered.insert(name(stamp), id) {
            self.violate(format!("{stamp} was answered twice, first with {other}"));
        }
    }

    /// A publish got no answer.
    pub(crate) fn unknown(&mut self, stamp: Stamp) {
        self.unknown.insert(name(stamp));
    }

    /// Checks a replay from the start.
    pub(crate) fn verify(&mut self, replay: &Replay) {
        for gap in &replay.gaps {
            self.violate(format!("the replay has a gap: {gap}"));
        }
        let known = mem::take(&mut self.replayed);
        let mut seen = Replayed::default();
        for (id, stamp) in &replay.events {
            self.check_order(&mut seen, id, *stamp);
            self.check_identity(&mut seen, &known, id, *stamp);
        }
        self.check_complete(&seen, &known);
        self.floor = seen.last;
        self.replayed = seen.by_id;
    }

    fn check_order(&mut self, seen: &mut Replayed, id: &str, stamp: Stamp) {
        let epoch_of = |id: &[u8]| Position::parse(id).map(|(_, epoch)| epoch.to_vec());
        match Position::parse(id.as_bytes()) {
            None => self.violate(format!("{stamp} has the id {id}, which is no cursor")),
            Some((position, _)) if position <= seen.last => {
                self.violate(format!("{stamp} with {id} is not after the one before"))
            }
            Some((position, _)) => seen.last = position,
        }
        if epoch_of(id.as_bytes()) != epoch_of(&self.start) {
            self.violate(format!("{id} has not the epoch of the start"));
        }
        let (lane, k) = name(stamp);
        if seen.last_of_lane.insert(lane, k).is_some_and(|before| before >= k) {
            self.violate(format!("{stamp} comes after a later one of its publisher"));
        }
    }

    fn check_identity(
        &mut self,
        seen: &mut Replayed,
        known: &HashMap<String, Name>,
        id: &str,
        stamp: Stamp,
    ) {
        let name = name(stamp);
        if known.get(id).is_some_and(|before| *before != name) {
            self.violate(format!("{id} was another event before it was {stamp}"));
        }
        if !known.contains_key(id)
            && Position::parse(id.as_bytes()).is_some_and(|(position, _)| position <= self.floor)
        {
            self.violate(format!(
                "{stamp} with {id} has appeared before what was replayed already"
            ));
        }
        if !self.answered.contains_key(&name) && !self.unknown.contains(&name) {
            self.violate(format!("{stamp} with {id} was never sent"));
        }
        if seen.by_id.insert(id.to_owned(), name).is_some() {
            self.violate(format!("{id} is there twice"));
        }
        if let Some(other) = seen.by_name.insert(name, id.to_owned()) {
            self.violate(format!("{stamp} is there twice, as {other} and {id}"));
        }
    }

    fn check_complete(&mut self, seen: &Replayed, known: &HashMap<String, Name>) {
        let mut missing = Vec::new();
        for (name, id) in &self.answered {
            match seen.by_name.get(name) {
                None => {
                    missing.push(format!("{name:?} was answered with {id} and is not replayed"))
                }
                Some(other) if other != id => {
                    missing.push(format!("{name:?} was answered with {id} and replayed as {other}"))
                }
                Some(_) => {}
            }
        }
        let vanished = known.keys().filter(|id| !seen.by_id.contains_key(*id));
        missing.extend(vanished.map(|id| format!("{id} was replayed earlier and is gone")));
        missing.into_iter().for_each(|text| self.violate(text));
    }

    fn violate(&mut self, text: String) {
        self.violated += 1;
        if self.violations.len() < TOLD {
            self.violations.push(text);
        }
    }

    /// Adds the figures.
    pub(crate) fn tell(&self, report: &mut Report) {
        let kept: HashSet<&Name> = self.replayed.values().collect();
        report.figure("answered", self.answered.len(), "");
        report.figure("outcome_unknown", self.unknown.len(), "");
        report.figure(
            "of_them_kept",
            self.unknown.iter().filter(|name| kept.contains(name)).count(),
            "",
        );
        report.figure("replayed_at_last", self.replayed.len(), "");
        report.figure("violations", self.violated, "");
        for (number, violation) in self.violations.iter().enumerate() {
            report.figure(format!("violation_{number}"), violation.as_str(), "");
        }
        report.require(self.violated == 0);
    }
}

/// One replay's books.
#[derive(Default)]
struct Replayed {
    last: Position,
    last_of_lane: HashMap<u32, u32>,
    by_id: HashMap<String, Name>,
    by_name: HashMap<Name, String>,
}

fn name(stamp: Stamp) -> Name {
    let (Scope::Lane(number) | Scope::User(number)) = stamp.scope;
    (number, stamp.k)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(lane: u32, k: u32) -> Stamp {
        Stamp { scope: Scope::Lane(lane), k, t: 0 }
    }

    fn replay(events: &[(&str, Stamp)]) -> Replay {
        Replay {
            events: events.iter().map(|(id, stamp)| (id.to_string(), *stamp)).collect(),
            gaps: Vec::new(),
        }
    }

    /// Answered: 1-0.e and 1-1.e; without an answer: lane 1's first.
    fn history() -> History {
        let mut history = History::default();
        history.begin(b"0-0.e".to_vec());
        history.answered(stamp(0, 0), Some("1-0.e".into()));
        history.answered(stamp(0, 1), Some("1-1.e".into()));
        history.unknown(stamp(1, 0));
        history
    }

    #[test]
    fn a_whole_replay_is_sound_with_and_without_the_unknown() {
        for events in [
            vec![("1-0.e", stamp(0, 0)), ("1-1.e", stamp(0, 1))],
            vec![("1-0.e", stamp(0, 0)), ("1-1.e", stamp(0, 1)), ("1-2.e", stamp(1, 0))],
        ] {
            let mut history = history();
            history.verify(&replay(&events));
            history.verify(&replay(&events));
            assert_eq!(history.violations, [""; 0]);
        }
    }

    #[test]
    fn each_violation_is_seen() {
        let whole = [("1-0.e", stamp(0, 0)), ("1-1.e", stamp(0, 1))];
        for (what, events) in [
            ("one lost", vec![whole[0]]),
            ("one twice", vec![whole[0], whole[1], ("1-2.e", stamp(0, 1))]),
            ("turned round", vec![whole[1], whole[0]]),
            ("another id", vec![whole[0], ("1-2.e", stamp(0, 1))]),
            ("never sent", vec![whole[0], whole[1], ("1-2.e", stamp(7, 0))]),
            ("another epoch", vec![("1-0.f", stamp(0, 0)), whole[1]]),
        ] {
            let mut history = history();
            history.verify(&replay(&events));
            assert!(history.violated > 0, "{what}");
        }
    }

    #[test]
    fn later_lives_may_not_go_back() {
        let whole = [("1-0.e", stamp(0, 0)), ("1-1.e", stamp(0, 1))];
        let mut history = history();
        history.verify(&replay(&whole));
        history.answered(stamp(2, 0), Some("1-1.e".into()));
        assert_eq!(history.violated, 1, "an id that is not new");
        history.answered(stamp(2, 1), Some("0-9.e".into()));
        assert_eq!(history.violated, 2, "an id that goes back");
    }
}
