//! The status line and the headers that matter here.

use super::WireFault;

/// Many times what a server sends; a peer that exceeds it is not a web server.
const LONGEST: usize = 64 * 1024;
const MOST_FIELDS: usize = 64;

/// How the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// `Content-Length`.
    Length(usize),
    /// With the connection.
    Close,
}

/// What an answer's head says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    pub(crate) event_stream: bool,
    pub(crate) closes: bool,
}

impl Head {
    /// Reads the head at the start of `bytes`; with its length. None while it is not whole.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, WireFault> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut answer = httparse::Response::new(&mut fields);
        match answer.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => Ok(Some((Head::of(&answer), length))),
            Ok(httparse::Status::Partial) if bytes.len() > LONGEST => {
                Err(WireFault::TooLong(LONGEST))
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(_) => Err(WireFault::Head),
        }
    }

    fn of(answer: &httparse::Response<'_, '_>) -> Head {
        let status = answer.code.unwrap_or(0);
        let mut head = Head {
            status,
            framing: Framing::Close,
            event_stream: false,
            closes: answer.version == Some(0),
        };
        for field in answer.headers.iter() {
            head.read_field(field.name, field.value);
        }
        if matches!(status, 100..=199 | 204 | 304) {
            head.framing = Framing::Length(0);
        }
        head
    }

    fn read_field(&mut self, name: &str, value: &[u8]) {
        if name.eq_ignore_ascii_case("transfer-encoding") {
            self.framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("content-length") && self.framing == Framing::Close {
            let length =
                std::str::from_utf8(value).ok().and_then(|value| value.trim().parse().ok());
            self.framing = length.map_or(Framing::Close, Framing::Length);
        } else if name.eq_ignore_ascii_case("content-type") {
            self.event_stream = value.to_ascii_lowercase().starts_with(b"text/event-stream");
        } else if name.eq_ignore_ascii_case("connection") {
            self.closes = value.eq_ignore_ascii_case(b"close");
        }
    }
}
