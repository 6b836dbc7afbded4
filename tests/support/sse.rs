//! A reader of event streams that takes nothing but the contract's wire: LF only, the fields `retry`, `id`, `event`,
//! `data` in this order and once each, whole frames in a chunk.

use std::collections::VecDeque;

use serde_json::Value;

use super::http::lossy;
use super::{Cursor, Head, Peer, Piece, Request, assert_timestamp};

/// One block of a stream, or one comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) retry: Option<u64>,
    pub(crate) id: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) data: Option<String>,
    /// What follows the colon of a comment line.
    pub(crate) comment: Option<String>,
    /// Its bytes, without the chunk's wrapper.
    pub(crate) raw: String,
}

impl Event {
    #[track_caller]
    pub(crate) fn parse(block: &str) -> Self {
        let mut event = Self { raw: block.into(), ..Self::default() };
        if let Some(comment) = block.strip_prefix(':') {
            event.comment = Some(comment.trim_end_matches('\n').into());
            return event;
        }
        let mut last = 0;
        for line in block.trim_end_matches('\n').split('\n') {
            let (name, value) = line
                .split_once(": ")
                .unwrap_or_else(|| panic!("{line:?} is no field in {block:?}"));
            let place =
                ["", "retry", "id", "event", "data"].iter().position(|known| *known == name);
            let place = place.unwrap_or_else(|| panic!("unknown field {name:?} in {block:?}"));
            assert!(place > last, "{name:?} comes out of order in {block:?}");
            last = place;
            match name {
                "retry" => event.retry = Some(value.parse().expect("retry is a number")),
                "id" => event.id = Some(value.into()),
                "event" => event.event = Some(value.into()),
                _ => event.data = Some(value.into()),
            }
        }
        event
    }

    pub(crate) fn name(&self) -> &str {
        self.event.as_deref().unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_else(|| panic!("no id: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor::parse(self.id())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let data = self.data.as_deref().unwrap_or_else(|| panic!("no data: {self:?}"));
        serde_json::from_str(data).unwrap_or_else(|error| panic!("{error} in {data}"))
    }

    /// A member of the data that is a string.
    #[track_caller]
    pub(crate) fn text(&self, member: &str) -> String {
        self.json()[member]
            .as_str()
            .unwrap_or_else(|| panic!("no text {member}: {self:?}"))
            .to_owned()
    }

    /// The whole block, byte for byte. In `data`, `$id` stands for the id and `$now` for a sound timestamp.
    #[track_caller]
    pub(crate) fn assert(&self, id: Option<&str>, name: &str, data: &str) {
        let mut data = data.replace("$id", id.unwrap_or("$id"));
        if let Some((before, after)) = data.split_once("$now") {
            let rest = self
                .data
                .as_deref()
                .and_then(|data| data.strip_prefix(before)?.strip_suffix(after));
            let timestamp = rest.unwrap_or_else(|| panic!("{:?} is not {data}", self.data));
            assert_timestamp(timestamp);
            data = data.replace("$now", timestamp);
        }
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        assert_eq!(self.raw, format!("{id}event: {name}\ndata: {data}\n\n"));
    }

    /// The first block of a stream, byte for byte but for what is the server's choice.
    #[track_caller]
    pub(crate) fn assert_connected(&self, user: Option<&str>, resume: &str, heartbeat_ms: u64) {
        let retry = self.retry.expect("a retry");
        assert!((2000..=4000).contains(&retry), "retry: {retry}");
        let data = self.json();
        assert!(!data["connectionId"].is_null(), "{data}");
        assert_timestamp(data["timestamp"].as_str().expect("a timestamp"));
        assert_eq!(
            self.raw,
            format!(
                "retry: {retry}\nid: {id}\nevent: connected\ndata: {{\"connectionId\":{connection},\"userId\":{user},\
                 \"resume\":\"{resume}\",\"heartbeatInterval\":{heartbeat_ms},\"timestamp\":{timestamp}}}\n\n",
                id = self.cursor(),
                connection = data["connectionId"],
                user = Value::from(user),
                timestamp = data["timestamp"],
            )
        );
    }

    /// Byte for byte; gives the place where the stream goes on.
    #[track_caller]
    pub(crate) fn assert_gap(&self, reason: &str, requested: &str) -> Cursor {
        let at = self.cursor();
        let requested = Value::from(requested);
        let data =
            format!(r#"{{"reason":"{reason}","requested":{requested},"resumedFrom":"{at}"}}"#);
        assert_eq!(self.raw, format!("id: {at}\nevent: gap\ndata: {data}\n\n"));
        at
    }

    /// The farewell of a stream, byte for byte but for the message.
    #[track_caller]
    pub(crate) fn assert_disconnected(&self, reason: &str) {
        let data = self.json();
        assert_timestamp(data["timestamp"].as_str().expect("a timestamp"));
        assert!(data["message"].is_string(), "{data}");
        let retry = self.retry.map(|retry| format!("retry: {retry}\n")).unwrap_or_default();
        assert_eq!(
            self.raw,
            format!(
                "{retry}event: disconnected\ndata: {{\"reason\":\"{reason}\",\"message\":{message},\"timestamp\":{at}}}\n\n",
                message = data["message"],
                at = data["timestamp"],
            )
        );
    }
}

/// An admitted stream.
pub(crate) struct Stream {
    pub(crate) head: Head,
    pub(crate) connected: Event,
    /// All blocks so far, as a parser would get them.
    pub(crate) raw: Vec<u8>,
    peer: Peer,
    chunked: bool,
    read: VecDeque<Event>,
    /// How it ended, if it has.
    end: Option<Piece>,
}

impl Stream {
    #[track_caller]
    pub(crate) fn open(mut peer: Peer, request: &Request) -> Self {
        peer.send(request.bytes());
        Self::answer(peer)
    }

    /// Takes the answer to a request that is sent.
    #[track_caller]
    pub(crate) fn answer(mut peer: Peer) -> Self {
        let head = peer.head();
        assert_eq!(head.status, 200, "{head:?}");
        assert!(head.is_stream(), "{head:?}");
        let mut stream = Self {
            chunked: head.value("transfer-encoding").is_some(),
            head,
            connected: Event::default(),
            raw: Vec::new(),
            peer,
            read: VecDeque::new(),
            end: None,
        };
        stream.connected = stream.next_of_all();
        assert_eq!(stream.connected.name(), "connected", "{:?}", stream.connected);
        stream
    }

    /// The next event, passing over what the server says at times of its own (`status`, `heartbeat`, comments).
    #[track_caller]
    pub(crate) fn next(&mut self) -> Event {
        loop {
            let event = self.next_of_all();
            if event.comment.is_none() && !matches!(event.name(), "status" | "heartbeat") {
                return event;
            }
        }
    }

    /// The next event of this name, passing over all others.
    #[track_caller]
    pub(crate) fn next_named(&mut self, name: &str) -> Event {
        loop {
            let event = self.next_of_all();
            if event.name() == name {
                return event;
            }
        }
    }

    /// The next block, whatever it is.
    #[track_caller]
    pub(crate) fn next_of_all(&mut self) -> Event {
        self.poll().unwrap_or_else(|| panic!("the stream ended ({:?})", self.end))
    }

    /// The next block, or none after the end.
    #[track_caller]
    pub(crate) fn poll(&mut self) -> Option<Event> {
        while self.read.is_empty() && self.end.is_none() {
            match if self.chunked { self.peer.piece() } else { self.line_block() } {
                Piece::Chunk(chunk) => self.split(&chunk),
                end => self.end = Some(end),
            }
        }
        self.read.pop_front()
    }

    /// A block of a stream that has no chunks.
    fn line_block(&mut self) -> Piece {
        let mut block = Vec::new();
        loop {
            let comment = block.starts_with(b":") && block.ends_with(b"\n");
            if comment || block.ends_with(b"\n\n") {
                return Piece::Chunk(block);
            }
            match self.peer.line() {
                Some(line) => block.extend(line),
                None => return Piece::Cut,
            }
        }
    }

    #[track_caller]
    fn split(&mut self, chunk: &[u8]) {
        self.raw.extend(chunk);
        let mut rest = std::str::from_utf8(chunk).expect("a chunk holds whole characters");
        while !rest.is_empty() {
            assert!(!rest.contains('\r'), "CR in {rest:?}");
            let end = if rest.starts_with(':') { "\n" } else { "\n\n" };
            let length =
                rest.find(end).unwrap_or_else(|| panic!("a part of a frame in a chunk: {rest:?}"));
            let (block, others) = rest.split_at(length + end.len());
            self.read.push_back(Event::parse(block));
            rest = others;
        }
    }

    /// The server ends the stream here: the last chunk where there are chunks, then FIN, and not a byte more. Its peer
    /// hangs up then, as any does.
    #[track_caller]
    pub(crate) fn assert_ended(&mut self) {
        let more = self.poll();
        assert_eq!(more, None, "after the end");
        let end = if self.chunked { Piece::Last } else { Piece::Cut };
        assert_eq!(self.end, Some(end), "how the stream ended");
        self.peer.assert_ended();
        self.peer.finish();
    }

    /// Nothing else came before the event with this id.
    #[track_caller]
    pub(crate) fn assert_next(&mut self, id: &str) -> Event {
        let event = self.next();
        assert_eq!(event.id.as_deref(), Some(id), "{event:?}");
        event
    }

    pub(crate) fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }

    pub(crate) fn into_peer(self) -> Peer {
        self.peer
    }

    /// The raw text so far, for messages.
    pub(crate) fn wire(&self) -> String {
        lossy(&self.raw).into_owned()
    }
}
