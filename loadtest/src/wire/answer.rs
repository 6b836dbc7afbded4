//! The reader of one connection's answers to publish requests, one at a time.

use super::WireFault;
use super::chunks::Chunks;
use super::head::{Framing, Head};

/// Many times what a server says to a publisher; it bounds what a broken one can make us keep.
const LONGEST: usize = 1 << 20;

/// One whole answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body, without its framing.
    pub(crate) body: Vec<u8>,
    /// The server is about to close the connection.
    pub(crate) closes: bool,
}

/// Bytes of an answer that is not whole yet.
#[derive(Default)]
pub(crate) struct AnswerReader {
    held: Vec<u8>,
}

impl AnswerReader {
    /// Reads on; the answer once it is whole. What is read of the next one is kept.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Option<Answer>, WireFault> {
        self.held.extend_from_slice(bytes);
        if self.held.len() > LONGEST {
            return Err(WireFault::TooLong(LONGEST));
        }
        loop {
            let Some((head, length)) = Head::parse(&self.held)? else { return Ok(None) };
            if matches!(head.status, 100..=199) {
                self.held.drain(..length);
                continue;
            }
            let Some((body, used)) = body(head.framing, &self.held[length..])? else {
                return Ok(None);
            };
            self.held.drain(..length + used);
            return Ok(Some(Answer { status: head.status, body, closes: head.closes }));
        }
    }

    /// The connection ended: the answer whose body ends with it, if that is what was being read.
    pub(crate) fn end(&mut self) -> Option<Answer> {
        let (head, length) = Head::parse(&self.held).ok()??;
        let body = self.held.split_off(length);
        self.held.clear();
        (head.framing == Framing::Close).then_some(Answer {
            status: head.status,
            body,
            closes: true,
        })
    }
}

/// The whole body at the start of `bytes`, and its length there.
fn body(framing: Framing, bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, WireFault> {
    match framing {
        Framing::Length(length) => Ok(bytes.get(..length).map(|body| (body.to_vec(), length))),
        Framing::Chunked => chunked(bytes),
        Framing::Close => Ok(None),
    }
}

fn chunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, WireFault> {
    let (mut chunks, mut rest, mut body) = (Chunks::default(), bytes, Vec::new());
    while let Some(piece) = chunks.next(&mut rest)? {
        body.extend_from_slice(piece);
    }
    Ok(chunks.over().then(|| (body, bytes.len() - rest.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_wherever_reads_end() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 507 Full\r\ntransfer-encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n\r\n";
        for step in 1..=60 {
            let mut reader = AnswerReader::default();
            let mut answers = Vec::new();
            for read in bytes.chunks(step) {
                answers.extend(reader.feed(read).unwrap());
            }
            answers.extend(reader.feed(b"").unwrap());
            let expected = [(200, b"{}".to_vec(), false), (507, b"x".to_vec(), true)];
            let expected = expected.map(|(status, body, closes)| Answer { status, body, closes });
            assert_eq!(answers, expected, "reads of {step}");
        }
    }

    #[test]
    fn an_endless_answer_is_given_up() {
        for head in ["Transfer-Encoding: chunked", "Content-Length: 9999999", "Connection: close"] {
            let mut reader = AnswerReader::default();
            let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n");
            assert_eq!(reader.feed(head.as_bytes()), Ok(None));
            let read = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
            let fault = (0..20).find_map(|_| reader.feed(&read).err());
            assert_eq!(fault, Some(WireFault::TooLong(LONGEST)), "{head}");
        }
    }
}
