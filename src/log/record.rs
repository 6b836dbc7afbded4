//! How the store keeps an event: little-endian numbers and length-prefixed texts.
//!
//! Each record also carries how many events and bytes came before it, so that the log tells how much
//! lies between two positions from two records, without counting.

use crate::event::{Event, Name, Payload};
use crate::topic::Topic;

/// How much the log had taken in before a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) events: u64,
    pub(super) bytes: u64,
}

const NO_ID: u32 = u32::MAX;

/// The stored form of an event.
pub(super) fn encode(tally: Tally, event: &Event) -> Vec<u8> {
    let (json, id_at) = event.payload.parts();
    let mut out = Vec::with_capacity(json.len() + 128);
    out.extend_from_slice(&tally.events.to_le_bytes());
    out.extend_from_slice(&tally.bytes.to_le_bytes());
    out.extend_from_slice(&(event.topics.len() as u32).to_le_bytes());
    for topic in &event.topics {
        text(&mut out, topic.as_str());
    }
    text(&mut out, event.name.as_str());
    out.extend_from_slice(&id_at.unwrap_or(NO_ID).to_le_bytes());
    out.extend_from_slice(json.as_bytes());
    out
}

/// Names and topics are a few hundred bytes at most.
fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// What the log had taken in before this record; `None` when the bytes are no record.
pub(super) fn tally(record: &[u8]) -> Option<Tally> {
    Parser(record).tally()
}

/// The topics of a record, where they lie; `None` when the bytes are no record.
pub(super) fn topics(record: &[u8]) -> Option<Vec<&str>> {
    let mut parser = Parser(record);
    parser.tally()?;
    parser.topics()
}

/// The inverse of [`encode`]; `None` when the bytes are no record.
pub(super) fn decode(record: &[u8]) -> Option<Event> {
    let mut parser = Parser(record);
    parser.tally()?;
    let topics = parser.topics()?.into_iter().map(Topic::from_stored).collect();
    let name = Name::new(parser.text()?).ok()?;
    let id_at = Some(parser.u32()?).filter(|at| *at != NO_ID);
    let payload = Payload::from_parts(std::str::from_utf8(parser.0).ok()?, id_at)?;
    Some(Event { topics, name, payload })
}

struct Parser<'a>(&'a [u8]);

impl<'a> Parser<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.take(2)?.try_into().ok().map(u16::from_le_bytes)?;
        std::str::from_utf8(self.take(length.into())?).ok()
    }

    fn tally(&mut self) -> Option<Tally> {
        Some(Tally { events: self.u64()?, bytes: self.u64()? })
    }

    fn topics(&mut self) -> Option<Vec<&'a str>> {
        (0..self.u32()?).map(|_| self.text()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_back_as_stored() {
        let name = Name::new("a room/ä").expect("a name");
        let payload = Payload::object().text("x", Some("y")).id().finish();
        let event = Event::new(vec![Topic::room(&name), Topic::rooms()], "message", payload);
        let tally_before = Tally { events: 7, bytes: 700 };
        let record = encode(tally_before, &event);
        assert_eq!(tally(&record), Some(tally_before));
        let texts: Vec<&str> = event.topics.iter().map(Topic::as_str).collect();
        assert_eq!(topics(&record), Some(texts));
        assert_eq!(decode(&record), Some(event));
        for end in 0..record.len() - 10 {
            assert_eq!(decode(&record[..end]), None, "cut at {end}");
        }
    }
}
