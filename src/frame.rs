//! The only encoder of what goes to a stream.
//!
//! An event becomes the exact bytes of one HTTP chunk, once; the ring keeps them, every shard shares
//! them and every socket gets them. An HTTP/1.0 peer gets the same bytes without the chunk around
//! them.

use std::fmt::Display;
use std::io::Write;
use std::ops::Range;

use crate::cursor::{Cursor, Epoch, Position};
use crate::event::{Event, Payload};
use crate::topic::{Held, TopicSet};

/// How a peer finds the end of things (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// HTTP/1.1: chunks, and an empty one at the end.
    Chunked,
    /// HTTP/1.0: the end of the connection is the end of the stream.
    UntilClose,
}

/// What a frame has around its data, in bytes, about.
const LINES: usize = 128;

/// The chunk that ends a chunked body.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Bytes of a whole chunk, and where in them the body of the chunk lies.
#[derive(Debug)]
pub struct Chunk {
    bytes: Box<[u8]>,
    body: Range<u32>,
}

impl Chunk {
    /// Puts a chunk around a body.
    pub fn around(body: &[u8]) -> Chunk {
        let mut bytes = Vec::with_capacity(body.len() + 12);
        // Writing to a vector cannot fail.
        let _ = write!(bytes, "{:x}\r\n", body.len());
        let start = bytes.len() as u32;
        bytes.extend_from_slice(body);
        let end = bytes.len() as u32;
        bytes.extend_from_slice(b"\r\n");
        Chunk { bytes: bytes.into(), body: start..end }
    }

    /// The comment heartbeat: a line that every parser skips.
    pub fn comment() -> Chunk {
        Chunk::around(b":\n")
    }

    /// The heartbeat that carries how far a quiet stream has come.
    pub fn heartbeat(cursor: Cursor) -> Chunk {
        let block = Block { id: Some(&cursor), ..Block::new("heartbeat") };
        Chunk::around(&block.with_data(b"{}"))
    }

    /// What the peer gets.
    pub fn bytes(&self, framing: Framing) -> &[u8] {
        match framing {
            Framing::Chunked => &self.bytes,
            Framing::UntilClose => &self.bytes[self.body.start as usize..self.body.end as usize],
        }
    }
}

/// One event block in the making; its fields are written in the order of the contract: `retry`,
/// `id`, `event`, `data`.
pub struct Block<'a> {
    /// Milliseconds that an EventSource waits before it comes back.
    pub retry: Option<u64>,
    /// The `id:` line.
    pub id: Option<&'a dyn Display>,
    /// The `event:` line.
    pub event: &'a str,
}

impl<'a> Block<'a> {
    /// A block with only a name so far.
    pub fn new(event: &'a str) -> Block<'a> {
        Block { retry: None, id: None, event }
    }

    /// The block's bytes with one `data:` line, which must hold no line break.
    pub fn with_data(&self, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(data.len() + 64);
        self.begin(&mut out);
        out.extend_from_slice(data);
        out.extend_from_slice(b"\n\n");
        out
    }

    /// The same with a payload, which may hold the cursor.
    pub fn with_payload(&self, payload: &Payload, cursor: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(payload.parts().0.len() + 128);
        self.begin(&mut out);
        payload.render(&mut out, cursor);
        out.extend_from_slice(b"\n\n");
        out
    }

    fn begin(&self, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        if let Some(retry) = self.retry {
            let _ = writeln!(out, "retry: {retry}");
        }
        if let Some(id) = self.id {
            let _ = writeln!(out, "id: {id}");
        }
        let _ = write!(out, "event: {}\ndata: ", self.event);
    }
}

/// The last words of a stream and the end of its body.
pub fn farewell(block: &[u8], framing: Framing) -> Vec<u8> {
    let mut bytes = Chunk::around(block).bytes(framing).to_vec();
    match framing {
        Framing::Chunked => bytes.extend_from_slice(LAST_CHUNK),
        Framing::UntilClose => {}
    }
    bytes
}

/// An event with its place in the log, encoded and shared.
pub struct Frame {
    position: Position,
    topics: Held,
    /// The chat room that it is of, for streams that may not hear all of them.
    room: Option<Box<str>>,
    chunk: Chunk,
    weight: u32,
}

impl Frame {
    /// Encodes an event that the log has given a position.
    pub fn encode(position: Position, epoch: Epoch, event: &Event, topics: Held) -> Frame {
        let cursor = Cursor { position, epoch }.to_string();
        let block = Block { id: Some(&cursor), ..Block::new(event.name.as_str()) };
        let chunk = Chunk::around(&block.with_payload(&event.payload, &cursor));
        let room: Option<Box<str>> = event.room().map(Box::from);
        // The event's own weight counts the text once; the rest of the chunk is a few lines.
        let around = size_of::<Frame>() + LINES + room.as_deref().map_or(0, str::len);
        let weight = (event.weight() + around) as u32;
        Frame { position, topics, room, chunk, weight }
    }

    /// Where it stands in the log.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whom it concerns.
    pub fn topics(&self) -> &TopicSet {
        self.topics.set()
    }

    /// The chat room that it is of.
    pub fn room(&self) -> Option<&str> {
        self.room.as_deref()
    }

    /// What the peer gets.
    pub fn bytes(&self, framing: Framing) -> &[u8] {
        self.chunk.bytes(framing)
    }

    /// What it takes in memory, in bytes.
    pub fn footprint(&self) -> usize {
        self.weight as usize
    }
}

/// An event that the log never sees: no position, no `id:`, and not for connections that are behind.
pub struct Ephemeral {
    topics: Held,
    room: Option<Box<str>>,
    chunk: Chunk,
}

impl Ephemeral {
    /// Encodes an event for those who are there now.
    pub fn encode(event: &Event, topics: Held) -> Ephemeral {
        let block = Block::new(event.name.as_str()).with_payload(&event.payload, "");
        Ephemeral { topics, room: event.room().map(Box::from), chunk: Chunk::around(&block) }
    }

    /// Whom it concerns.
    pub fn topics(&self) -> &TopicSet {
        self.topics.set()
    }

    /// The chat room that it is of.
    pub fn room(&self) -> Option<&str> {
        self.room.as_deref()
    }

    /// What the peer gets.
    pub fn bytes(&self, framing: Framing) -> &[u8] {
        self.chunk.bytes(framing)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::topic::{Topic, Topics};

    fn frame() -> Frame {
        let payload = Payload::object().id().text("message", Some("hi")).finish();
        let event = Event::new(vec![Topic::notifications()], "message", payload);
        let topics = Arc::new(Topics::default()).hold(&event.topics);
        let position = Position::new(1_642_678_901_234, 0).expect("in range");
        Frame::encode(position, Epoch::from_bits(10), &event, topics)
    }

    #[test]
    fn an_event_is_one_chunk_with_its_fields_in_order() {
        let expected = "64\r\n\
            id: 1642678901234-0.0000000a\nevent: message\n\
            data: {\"id\":\"1642678901234-0.0000000a\",\"message\":\"hi\"}\n\n\r\n";
        assert_eq!(String::from_utf8_lossy(frame().bytes(Framing::Chunked)), expected);
        let body = expected.strip_prefix("64\r\n").and_then(|rest| rest.strip_suffix("\r\n"));
        assert_eq!(std::str::from_utf8(frame().bytes(Framing::UntilClose)).ok(), body);
    }

    #[test]
    fn the_last_words_end_the_body() {
        assert_eq!(farewell(b"data: x\n\n", Framing::Chunked), b"9\r\ndata: x\n\n\r\n0\r\n\r\n");
        assert_eq!(farewell(b"data: x\n\n", Framing::UntilClose), b"data: x\n\n");
    }

    #[test]
    fn retry_comes_first_and_the_comment_is_its_own_chunk() {
        let block = Block { retry: Some(2000), id: None, event: "connected" };
        assert_eq!(block.with_data(b"{}"), b"retry: 2000\nevent: connected\ndata: {}\n\n");
        assert_eq!(Chunk::comment().bytes(Framing::Chunked), b"2\r\n:\n\r\n");
    }
}
