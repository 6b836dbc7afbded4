//! What a request head may look like: judged here, before hyper sees one byte of it.
//!
//! hyper drops a Content-Length that comes with a Transfer-Encoding, reads `gzip, chunked` as
//! chunked and checks no Host. A proxy in front of us may read the same bytes differently, so what
//! is ambiguous is refused (RFC 9112, 3.2, 6 and 11.2).

use httparse::{Request, Status};
use hyper::StatusCode;
use thiserror::Error;

/// The longest head in bytes, request line and blank line included. Longer: 431.
pub(super) const MAX_HEAD: usize = 16 * 1024;
/// The longest request target in bytes; long enough for 64 names of a query list. Longer: 414.
const MAX_TARGET: usize = 8 * 1024;
/// The most header fields; they lie on the stack while a head is judged. More: 431.
const MAX_FIELDS: usize = 64;

/// Why a request was refused by its head alone. The connection ends after the answer, because
/// where the next request would begin is not known.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{status}: {detail}")]
pub(crate) struct HeadRefusal {
    /// 400, 414, 417, 431 or 501.
    pub(crate) status: StatusCode,
    /// One sentence for the `detail` of the problem document.
    pub(crate) detail: &'static str,
}

/// A whole head that may pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its bytes, leading blank lines included.
    pub(super) length: usize,
    pub(super) body: BodyLength,
    /// Whether the client keeps the connection for further requests.
    pub(super) persistent: bool,
    /// Whether the request changes nothing (GET, HEAD), so that nobody waits for its end once the
    /// client is gone.
    pub(super) safe: bool,
}

/// How the end of the request's body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// So many bytes.
    Sized(u64),
    /// By chunks, whose end only hyper finds.
    Chunked,
}

/// Judges the bytes of a connection that stand at the start of a request; `None` when the head is
/// not whole yet.
pub(super) fn judge(bytes: &[u8]) -> Result<Option<Head>, HeadRefusal> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(Status::Complete(length)) => {
            check_size(&request, length)?;
            weigh(&request, length).map(Some)
        }
        Ok(Status::Partial) if bytes.len() < MAX_HEAD => Ok(None),
        Ok(Status::Partial) if request.path.is_none() && bytes.contains(&b' ') => Err(LONG_TARGET),
        Ok(Status::Partial) => check_size(&request, bytes.len() + 1).map(|()| None),
        Err(httparse::Error::TooManyHeaders) => Err(MANY_FIELDS),
        Err(httparse::Error::Version) => Err(bad("This is not HTTP/1.1 or HTTP/1.0.")),
        Err(_) => Err(bad("The request head is malformed.")),
    }
}

const LONG_TARGET: HeadRefusal = HeadRefusal {
    status: StatusCode::URI_TOO_LONG,
    detail: "The request target is longer than 8 KiB.",
};
const LONG_HEAD: HeadRefusal = HeadRefusal {
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    detail: "The request head is longer than 16 KiB.",
};
const MANY_FIELDS: HeadRefusal = HeadRefusal {
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    detail: "The request has more than 64 header fields.",
};

/// A 400.
pub(super) const fn bad(detail: &'static str) -> HeadRefusal {
    HeadRefusal { status: StatusCode::BAD_REQUEST, detail }
}

fn check_size(request: &Request<'_, '_>, length: usize) -> Result<(), HeadRefusal> {
    if request.path.is_some_and(|target| target.len() > MAX_TARGET) {
        return Err(LONG_TARGET);
    }
    if length > MAX_HEAD { Err(LONG_HEAD) } else { Ok(()) }
}

fn weigh(request: &Request<'_, '_>, length: usize) -> Result<Head, HeadRefusal> {
    let body = framing(request)?;
    check_target(request)?;
    check_host(request)?;
    check_expect(request)?;
    Ok(Head {
        length,
        body,
        persistent: is_persistent(request),
        safe: matches!(request.method, Some("GET" | "HEAD")),
    })
}

/// A fragment is never sent (RFC 9110, 4.2.5), and hyper would cut it off without a word.
fn check_target(request: &Request<'_, '_>) -> Result<(), HeadRefusal> {
    match request.path.is_some_and(|target| target.contains('#')) {
        true => Err(bad("The request target has a fragment.")),
        false => Ok(()),
    }
}

/// The values of every line of a field, in order.
fn values<'a>(request: &'a Request<'_, '_>, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    request.headers.iter().filter(move |f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value)
}

/// The members of a field that is a list separated by commas.
fn members<'a>(request: &'a Request<'_, '_>, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    values(request, name).flat_map(|v| v.split(|b| *b == b',')).map(<[u8]>::trim_ascii)
}

fn is_http_10(request: &Request<'_, '_>) -> bool {
    request.version == Some(0)
}

/// RFC 9112, 6.3, without its leniencies.
fn framing(request: &Request<'_, '_>) -> Result<BodyLength, HeadRefusal> {
    let mut lengths = values(request, "content-length");
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(bad("There is more than one Content-Length."));
    }
    let coded = values(request, "transfer-encoding").next().is_some();
    match length {
        Some(_) if coded => Err(bad("Content-Length and Transfer-Encoding exclude each other.")),
        Some(length) => sized(length),
        None if !coded => Ok(BodyLength::Sized(0)),
        None if is_http_10(request) => Err(bad("HTTP/1.0 has no Transfer-Encoding.")),
        None => chunked(request),
    }
}

fn sized(length: &[u8]) -> Result<BodyLength, HeadRefusal> {
    // `parse` alone would take a plus sign.
    let digits = length.iter().all(u8::is_ascii_digit);
    str::from_utf8(length)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok())
        .map(BodyLength::Sized)
        .ok_or(bad("The Content-Length is not a number."))
}

/// Exactly one `chunked`. A coding that HTTP knows is a 400, like `chunked` twice, because none of
/// them may stand here; one that it does not know may be good for others, hence 501.
fn chunked(request: &Request<'_, '_>) -> Result<BodyLength, HeadRefusal> {
    let mut codings = members(request, "transfer-encoding");
    let first = codings.next();
    if first.is_some_and(is_chunked) && codings.next().is_none() {
        return Ok(BodyLength::Chunked);
    }
    if members(request, "transfer-encoding").all(is_known) {
        return Err(bad("The only Transfer-Encoding taken is chunked, once."));
    }
    Err(HeadRefusal {
        status: StatusCode::NOT_IMPLEMENTED,
        detail: "The Transfer-Encoding is not known; the only one taken is chunked.",
    })
}

fn is_chunked(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"chunked")
}

/// Whether HTTP registers this coding; an empty one is malformed rather than unknown.
fn is_known(coding: &[u8]) -> bool {
    let name = coding.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    ["", "chunked", "gzip", "x-gzip", "deflate", "compress", "x-compress", "identity"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// RFC 9112, 3.2.
fn check_host(request: &Request<'_, '_>) -> Result<(), HeadRefusal> {
    match values(request, "host").count() {
        1 => Ok(()),
        0 if is_http_10(request) => Ok(()),
        0 => Err(bad("The Host field is missing.")),
        _ => Err(bad("There is more than one Host field.")),
    }
}

/// RFC 9110, 10.1.1.
fn check_expect(request: &Request<'_, '_>) -> Result<(), HeadRefusal> {
    if values(request, "expect").all(|v| v.eq_ignore_ascii_case(b"100-continue")) {
        return Ok(());
    }
    Err(HeadRefusal {
        status: StatusCode::EXPECTATION_FAILED,
        detail: "The only expectation that can be met is 100-continue.",
    })
}

/// RFC 9112, 9.3, as hyper reads it.
fn is_persistent(request: &Request<'_, '_>) -> bool {
    let says = |option: &[u8]| {
        members(request, "connection").any(|member| member.eq_ignore_ascii_case(option))
    };
    !says(b"close") && (!is_http_10(request) || says(b"keep-alive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status that refuses a request of this line and these fields, 0 when it may pass.
    fn status(head: &str) -> u16 {
        match judge(head.as_bytes()) {
            Ok(Some(_)) => 0,
            Ok(None) => panic!("not whole: {head:?}"),
            Err(refusal) => refusal.status.as_u16(),
        }
    }

    fn post(fields: &str) -> u16 {
        status(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
    }

    #[test]
    fn a_body_has_one_length() {
        assert_eq!(post("Content-Length: 5\r\n"), 0);
        for refused in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length : 5\r\n",
            "Content-Length:\r\n 5\r\n",
        ] {
            assert_eq!(post(refused), 400, "{refused}");
        }
    }

    #[test]
    fn only_chunked_is_taken() {
        assert_eq!(post("Transfer-Encoding: chunked\r\n"), 0);
        assert_eq!(post("transfer-encoding: \tCHUNKED \r\n"), 0);
        for (coding, refused) in [
            ("gzip, chunked", 400),
            ("chunked, chunked", 400),
            ("chunked\r\nTransfer-Encoding: chunked", 400),
            ("chunked\r\nTransfer-Encoding: identity", 400),
            ("gzip", 400),
            ("X-Gzip", 400),
            ("deflate", 400),
            ("compress", 400),
            ("x-compress", 400),
            ("identity", 400),
            ("", 400),
            ("chunked,", 400),
            ("chunked;q=1", 400),
            ("br", 501),
            ("xchunked", 501),
            ("chunked, br", 501),
            ("\u{b}chunked", 400),
        ] {
            assert_eq!(post(&format!("Transfer-Encoding: {coding}\r\n")), refused, "{coding}");
        }
        assert_eq!(status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    }

    #[test]
    fn host_and_expect() {
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.0\r\n\r\n"), 0);
        assert_eq!(status("GET / HTTP/1.1\nHost:\n\n"), 0);
        assert_eq!(post("Expect: 100-Continue\r\n"), 0);
        assert_eq!(post("Expect: 200-ok\r\n"), 417);
    }

    #[test]
    fn sizes() {
        let get = |target: usize, fields: usize, value: usize| {
            let fields = format!("X: {}\r\n", "v".repeat(value)).repeat(fields);
            status(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n{fields}\r\n", "t".repeat(target - 1)))
        };
        assert_eq!(get(MAX_TARGET, 0, 0), 0);
        assert_eq!(get(MAX_TARGET + 1, 0, 0), 414);
        assert_eq!(get(1, 63, 1), 0);
        assert_eq!(get(1, 64, 1), 431);
        let rest = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        assert_eq!(get(1, 1, MAX_HEAD - rest), 0);
        assert_eq!(get(1, 1, MAX_HEAD - rest + 1), 431);
    }

    #[test]
    fn what_never_ends_is_refused_when_it_is_too_long() {
        let begun = |start: &str| format!("{start}{}", "x".repeat(MAX_HEAD - start.len()));
        assert_eq!(status(&begun("GET /")), 414);
        assert_eq!(status(&begun("GET / HTTP/1.1\r\nA: ")), 431);
        assert_eq!(status(&begun("")), 431);
        assert!(judge(&begun("GET /").as_bytes()[1..]).is_ok_and(|head| head.is_none()));
    }

    #[test]
    fn no_http() {
        assert_eq!(status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400);
        assert_eq!(status("\u{16}\u{3}\u{1}"), 400);
        assert_eq!(status("GET /\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nA: b\u{0}\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n"), 400);
    }

    #[test]
    fn no_part_of_a_head_is_judged_as_a_whole() {
        let bytes = b"POST /a?b HTTP/1.0\r\nConnection: a, Keep-Alive\r\nContent-Length: 7\r\n\r\n";
        for length in 0..bytes.len() {
            assert_eq!(judge(&bytes[..length]), Ok(None), "{length}");
        }
        let head =
            Head { length: bytes.len(), body: BodyLength::Sized(7), persistent: true, safe: false };
        assert_eq!(judge(bytes), Ok(Some(head)));
    }

    #[test]
    fn who_keeps_the_connection() {
        let kept = |version: &str, fields: &str| {
            let head = format!("GET / {version}\r\nHost: a\r\n{fields}\r\n");
            judge(head.as_bytes()).unwrap().unwrap().persistent
        };
        assert!(kept("HTTP/1.1", ""));
        assert!(!kept("HTTP/1.1", "Connection: x, CLOSE\r\n"));
        assert!(!kept("HTTP/1.1", "Connection: x\r\nConnection: close\r\n"));
        assert!(!kept("HTTP/1.0", ""));
        assert!(!kept("HTTP/1.0", "Connection: keep-alive, close\r\n"));
    }
}
