//! The reader of one event stream: head, framing, events.

use super::WireFault;
use super::chunks::Chunks;
use super::events::{Event, Events, Found};
use super::head::{Framing, Head};

/// What the bytes turned out to be.
pub(crate) enum Item<'a> {
    /// The head: a stream begins.
    Head,
    /// A block.
    Event(Event<'a>),
    /// A comment between blocks.
    Comment,
    /// The body ended as its framing says.
    End,
}

/// One answer to a stream request.
#[derive(Default)]
pub(crate) struct StreamReader {
    stage: Stage,
    events: Events,
}

enum Stage {
    /// Bytes of a head that is not whole.
    Head(Vec<u8>),
    Chunked(Chunks),
    Plain,
}

impl Default for Stage {
    fn default() -> Stage {
        Stage::Head(Vec::new())
    }
}

impl StreamReader {
    /// Reads on. After a fault the stream is of no more use.
    #[inline]
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(Item<'_>),
    ) -> Result<(), WireFault> {
        match &mut self.stage {
            Stage::Head(_) => self.feed_head(bytes, sink),
            Stage::Chunked(_) | Stage::Plain => self.feed_body(bytes, sink),
        }
    }

    fn feed_head(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(Item<'_>),
    ) -> Result<(), WireFault> {
        let Stage::Head(held) = &mut self.stage else { return Ok(()) };
        held.extend_from_slice(bytes);
        let Some((head, length)) = Head::parse(held)? else { return Ok(()) };
        let body = held.split_off(length);
        self.stage = Stage::after(head)?;
        if !matches!(self.stage, Stage::Head(_)) {
            sink(Item::Head);
        }
        if body.is_empty() { Ok(()) } else { self.feed(&body, sink) }
    }

    #[inline]
    fn feed_body(
        &mut self,
        mut bytes: &[u8],
        sink: &mut impl FnMut(Item<'_>),
    ) -> Result<(), WireFault> {
        let events = &mut self.events;
        let mut found = |found: Found<'_>| match found {
            Found::Event(event) => sink(Item::Event(event)),
            Found::Comment => sink(Item::Comment),
        };
        let Stage::Chunked(chunks) = &mut self.stage else { return events.feed(bytes, &mut found) };
        while let Some(piece) = chunks.next(&mut bytes)? {
            events.feed(piece, &mut found)?;
        }
        if chunks.over() {
            sink(Item::End);
        }
        Ok(())
    }
}

impl Stage {
    fn after(head: Head) -> Result<Stage, WireFault> {
        match (head.status, head.framing) {
            (100..=199, _) => Ok(Stage::Head(Vec::new())),
            (200, _) if !head.event_stream => Err(WireFault::MediaType),
            (200, Framing::Chunked) => Ok(Stage::Chunked(Chunks::default())),
            (200, _) => Ok(Stage::Plain),
            (status, _) => Err(WireFault::Status(status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(bytes: &[u8], step: usize) -> Result<usize, WireFault> {
        let mut reader = StreamReader::default();
        let mut items = 0;
        for read in bytes.chunks(step) {
            reader.feed(read, &mut |_| items += 1)?;
        }
        Ok(items)
    }

    #[test]
    fn reads_chunked_and_close_delimited_streams() {
        let chunked = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n1\r\n:\r\n1\r\n\n\r\n0\r\n\r\n";
        let plain = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\ndata: 1\n\n:\ndata: 2\n\n";
        for step in 1..100 {
            assert_eq!(feed(chunked, step), Ok(4), "head, event, comment, end");
            assert_eq!(feed(plain, step), Ok(4), "head, event, comment, event");
        }
    }

    #[test]
    fn refusals_have_their_status() {
        assert_eq!(feed(b"HTTP/1.1 503 Busy\r\n\r\n", 5), Err(WireFault::Status(503)));
        assert_eq!(
            feed(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", 5),
            Err(WireFault::MediaType)
        );
        assert_eq!(feed(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 5), Err(WireFault::Head));
    }
}
