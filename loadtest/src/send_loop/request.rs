//! What peers ask of the send loop: as much of HTTP/1.1 as the load client speaks.

use crate::stamp::Stamp;

/// The longest request, head and body together.
const LONGEST: usize = 64 * 1024;
const MOST_FIELDS: usize = 64;

/// One whole request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// `GET /stream`, whatever its query and fields.
    Stream,
    /// `POST /publish`, with the stamp in its body.
    Publish(Stamp),
    /// Anything else.
    Other,
}

/// No request, or one that is too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// One connection's bytes that are not answered yet.
#[derive(Default)]
pub(super) struct Requests {
    bytes: Vec<u8>,
}

impl Requests {
    /// Adds what was read.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next request out, once it is whole.
    pub(super) fn next(&mut self) -> Result<Option<Request>, Malformed> {
        let Some((request, length)) = read(&self.bytes)? else {
            return if self.bytes.len() < LONGEST { Ok(None) } else { Err(Malformed) };
        };
        self.bytes.drain(..length);
        Ok(Some(request))
    }
}

/// The request at the start of `bytes`, with its length.
fn read(bytes: &[u8]) -> Result<Option<(Request, usize)>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let status = head.parse(bytes).map_err(|_| Malformed)?;
    let httparse::Status::Complete(start) = status else { return Ok(None) };
    let end = start + body_length(&head)?;
    let Some(body) = bytes.get(start..end) else { return Ok(None) };
    let path = head.path.and_then(|target| target.split('?').next());
    let request = match (head.method, path) {
        (Some("GET"), Some("/stream")) => Request::Stream,
        (Some("POST"), Some("/publish")) => {
            Stamp::find(body).map_or(Request::Other, Request::Publish)
        }
        _ => Request::Other,
    };
    Ok(Some((request, end)))
}

fn body_length(head: &httparse::Request<'_, '_>) -> Result<usize, Malformed> {
    let named = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case("content-length");
    let Some(field) = head.headers.iter().find(named) else { return Ok(0) };
    let length = std::str::from_utf8(field.value).ok().and_then(|text| text.trim().parse().ok());
    length.filter(|&length| length <= LONGEST).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Scope;

    #[test]
    fn requests_are_told_apart_wherever_reads_end() {
        let stamp = Stamp { scope: Scope::Lane(3), k: 5, t: 7 };
        let bytes = format!(
            "POST /publish?a=b HTTP/1.1\r\nHost: x\r\ncontent-length: 16\r\n\r\n{{\"a\":\"{stamp}\"}}\
             POST /publish HTTP/1.1\r\nContent-Length: 2\r\n\r\n{{}}\
             GET /publish HTTP/1.1\r\n\r\n\
             GET /stream?user=1 HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n"
        );
        let expected = [Request::Publish(stamp), Request::Other, Request::Other, Request::Stream];
        for step in 1..=bytes.len() {
            let mut requests = Requests::default();
            let mut found = Vec::new();
            for read in bytes.as_bytes().chunks(step) {
                requests.extend(read);
                while let Some(request) = requests.next().unwrap() {
                    found.push(request);
                }
            }
            assert_eq!(found, expected, "reads of {step}");
        }
    }

    #[test]
    fn endless_and_broken_requests_are_refused() {
        for bytes in [
            [b"GET /stream HTTP/1.1\r\na: ".as_slice(), &[b'x'; LONGEST]].concat(),
            b"POST /publish HTTP/1.1\r\nContent-Length: 65537\r\n\r\n".to_vec(),
            b"POST /publish HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_vec(),
            b"\x16\x03\x01".to_vec(),
        ] {
            let mut requests = Requests::default();
            requests.extend(&bytes);
            assert_eq!(requests.next(), Err(Malformed));
        }
    }
}
