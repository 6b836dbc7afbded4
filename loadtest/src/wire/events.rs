//! Server-Sent Events (HTML, 9.2.6): lines into blocks, blocks into events.
//!
//! A block that lies whole in a read is parsed where it lies. Only the rest of a read is copied,
//! into the carry.

use std::borrow::Cow;
use std::mem;

use memchr::memchr2;

use super::WireFault;

/// No event of ours comes near it; it bounds what a broken server can make us keep.
const LONGEST_EVENT: usize = 4 << 20;

/// One block.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// The last `id:` of the block.
    pub(crate) id: Option<&'a [u8]>,
    /// `event:`, or empty for the default, `message`.
    pub(crate) kind: &'a [u8],
    /// The `data:` lines, joined. Without any, the block is no event, though its id counts.
    pub(crate) data: Option<Cow<'a, [u8]>>,
}

/// The parser of one stream.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// The start of a block whose end has not come yet.
    carry: Vec<u8>,
    /// A CR ended the last read's last line: if an LF follows, it belongs to it.
    skip_lf: bool,
}

/// What [`Events::feed`] finds.
pub(crate) enum Found<'a> {
    /// A block.
    Event(Event<'a>),
    /// A comment line between blocks: a heartbeat.
    Comment,
}

impl Events {
    /// Parses on with the next bytes of the body.
    #[inline]
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        sink: &mut impl FnMut(Found<'_>),
    ) -> Result<(), WireFault> {
        if mem::take(&mut self.skip_lf) && bytes.first() == Some(&b'\n') {
            bytes = &bytes[1..];
        }
        if self.carry.is_empty() {
            let used = self.blocks(bytes, sink);
            self.carry.extend_from_slice(&bytes[used..]);
        } else {
            self.feed_carried(bytes, sink);
        }
        if self.carry.len() > LONGEST_EVENT {
            Err(WireFault::EventTooLong(LONGEST_EVENT))
        } else {
            Ok(())
        }
    }

    fn feed_carried(&mut self, bytes: &[u8], sink: &mut impl FnMut(Found<'_>)) {
        let mut carry = mem::take(&mut self.carry);
        carry.extend_from_slice(bytes);
        let used = self.blocks(&carry, sink);
        carry.drain(..used);
        self.carry = carry;
    }

    /// Hands over every whole block and returns how many bytes they took.
    #[inline]
    fn blocks(&mut self, bytes: &[u8], sink: &mut impl FnMut(Found<'_>)) -> usize {
        let mut used = 0;
        while let Some((found, length)) = self.block(&bytes[used..]) {
            used += length;
            if let Some(found) = found {
                sink(found);
            }
        }
        used
    }

    /// The block at the start of `bytes` and its length; None while its end is missing.
    #[inline]
    fn block<'a>(&mut self, bytes: &'a [u8]) -> Option<(Option<Found<'a>>, usize)> {
        let mut event = Event::default();
        let mut any = false;
        let mut at = 0;
        loop {
            let (line, length, cut) = line(&bytes[at..])?;
            at += length;
            match line.first() {
                None => {
                    self.skip_lf = cut;
                    return Some((any.then_some(Found::Event(event)), at));
                }
                Some(b':') if !any => {
                    self.skip_lf = cut;
                    return Some((Some(Found::Comment), at));
                }
                Some(_) => event.read_line(line),
            }
            any = true;
        }
    }
}

/// The line at the start of `bytes`, its length with its end, and whether its end may go on (CR is
/// the last byte).
#[inline]
fn line(bytes: &[u8]) -> Option<(&[u8], usize, bool)> {
    let end = memchr2(b'\n', b'\r', bytes)?;
    let text = &bytes[..end];
    match (bytes[end], bytes.get(end + 1)) {
        (b'\r', Some(b'\n')) => Some((text, end + 2, false)),
        (b'\r', None) => Some((text, end + 1, true)),
        _ => Some((text, end + 1, false)),
    }
}

impl<'a> Event<'a> {
    #[inline]
    fn read_line(&mut self, line: &'a [u8]) {
        if let Some(value) = line.strip_prefix(b"data:") {
            self.add_data(unspaced(value));
        } else if let Some(value) = line.strip_prefix(b"id:") {
            self.id = Some(unspaced(value)).filter(|id| !id.contains(&0)).or(self.id);
        } else if let Some(value) = line.strip_prefix(b"event:") {
            self.kind = unspaced(value);
        } else if line == b"data" {
            self.add_data(b"");
        } else if line == b"id" {
            self.id = Some(b"");
        } else if line == b"event" {
            self.kind = b"";
        }
    }

    #[inline]
    fn add_data(&mut self, value: &'a [u8]) {
        match &mut self.data {
            None => self.data = Some(Cow::Borrowed(value)),
            Some(data) => {
                let data = data.to_mut();
                data.push(b'\n');
                data.extend_from_slice(value);
            }
        }
    }
}

#[inline]
fn unspaced(value: &[u8]) -> &[u8] {
    value.strip_prefix(b" ").unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8], step: usize) -> Vec<String> {
        let mut events = Events::default();
        let mut found = Vec::new();
        for read in bytes.chunks(step) {
            events.feed(read, &mut |item| found.push(describe(item))).unwrap();
        }
        found
    }

    fn describe(found: Found<'_>) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match found {
            Found::Comment => "comment".into(),
            Found::Event(event) => {
                format!(
                    "{:?} {} {:?}",
                    event.id.map(text),
                    text(event.kind),
                    event.data.as_deref().map(text)
                )
            }
        }
    }

    #[test]
    fn blocks_are_found_wherever_reads_end() {
        let bytes = b"retry: 1\nid: 7\nevent: a\ndata: {\"x\":1}\n\n:\nid:8\ndata:b\r\ndata\rdata:  c\r\r:beat\r\n\r\nid: 9\n\nevent\nid\ndata: d\n: x\n\nid: 1\ndata: cut";
        let expected = [
            r#"Some("7") a Some("{\"x\":1}")"#,
            "comment",
            r#"Some("8")  Some("b\n\n c")"#,
            "comment",
            r#"Some("9")  None"#,
            r#"Some("")  Some("d")"#,
        ];
        for step in 1..=bytes.len() {
            assert_eq!(parse(bytes, step), expected, "reads of {step}");
        }
    }

    #[test]
    fn an_endless_event_is_given_up() {
        let mut events = Events::default();
        let read = vec![b'x'; 1 << 20];
        let fault = (0..8).find_map(|_| events.feed(&read, &mut |_| ()).err());
        assert_eq!(fault, Some(WireFault::EventTooLong(LONGEST_EVENT)));
    }
}
