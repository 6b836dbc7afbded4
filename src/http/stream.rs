//! The way of a stream request: from its parameters to the first bytes that its peer gets.

use std::net::IpAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode, Version};

use super::auth::{self, Identity};
use super::problem::Problem;
use super::query::Query;
use super::router::Stream;
use super::{ALLOW_ORIGIN, Answer, Server, api};
use crate::cursor::{Cursor, Requested};
use crate::event::{Event, Name, Payload};
use crate::frame::{Block, Chunk, Framing};
use crate::hub::admission::Holder;
use crate::hub::{Admitted, Enters, Request, Resume};

/// The head of every stream, in the order it is sent; the rest depends on the version.
const HEAD: [(&str, &str); 4] = [
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache, no-store, no-transform"),
    ("x-accel-buffering", "no"),
    ("x-content-type-options", "nosniff"),
];

/// What HTTP/1.1 adds (RFC 9112 section 7).
const CHUNKED: [(&str, &str); 2] = [("transfer-encoding", "chunked"), ("connection", "keep-alive")];

/// How long an EventSource waits before it comes back, in milliseconds; spread, so that a cut does
/// not bring all back at once.
const RETRY: std::ops::RangeInclusive<u64> = 2_000..=4_000;
/// The same after a refusal that passes.
const RETRY_REFUSED: std::ops::RangeInclusive<u64> = 10_000..=60_000;
/// What is repeated of a cursor that could not be continued, in bytes.
const MOST_REQUESTED: usize = 128;

/// A stream on its way from hyper to its shard.
pub struct Departure {
    /// Its place.
    pub admitted: Admitted,
    /// How its body is delimited.
    pub framing: Framing,
    /// Head and first blocks.
    pub opening: Box<[u8]>,
}

/// A request for a stream, checked but not yet admitted.
pub(super) struct Wanted {
    request: Request,
    /// Whose it is.
    user: Option<Name>,
    /// What was asked to go on from, as it was given.
    requested: Vec<u8>,
    stream: Stream,
}

impl Wanted {
    /// Reads a request.
    pub(super) fn read(
        stream: Stream,
        settings: &auth::Settings,
        headers: &HeaderMap,
        query: &Query,
        address: Option<IpAddr>,
    ) -> Result<Wanted, Problem> {
        let caller = auth::identify(settings, headers, query)?;
        let named = query.all("userId").next().is_some();
        if caller.is_none() && !named && stream != Stream::SystemStatus {
            return Err(Problem::unauthorized(false));
        }
        if !accepts_events(headers) {
            let detail = "This path answers with text/event-stream.";
            return Err(Problem::new(StatusCode::NOT_ACCEPTABLE, detail));
        }
        let client = query.name("client")?;
        let room = if stream == Stream::Chat { query.name("room")? } else { None };
        let mut topics = match stream {
            // Its user's, who is known further down.
            Stream::Notifications => Vec::new(),
            Stream::Realtime => api::realtime::topics(query)?,
            Stream::Chat => api::chat::topics(room.as_ref()),
            Stream::SystemStatus => api::system::topics(),
        };
        let owner = auth::stream_owner(settings, caller, query)?;
        if let (Stream::Notifications, Some(owner)) = (stream, &owner) {
            topics = api::notifications::topics(&owner.user);
        }
        let (requested, cursor) = requested(headers, query);
        let user = owner.as_ref().map(|owner| owner.user.clone());
        let request = Request {
            holder: match (&user, address) {
                (Some(user), _) => Holder::User(user.clone()),
                (None, Some(address)) => Holder::Address(address),
                (None, None) => Holder::Nobody,
            },
            // An address is shared by strangers, who must not take each other's place.
            client: user.clone().zip(client),
            topics,
            requested: cursor,
            enters: room.zip(owner).map(|(room, owner)| {
                let Identity { user, username, .. } = owner;
                Enters { room, user, username }
            }),
        };
        Ok(Wanted { request, user, requested, stream })
    }
}

/// What to go on from: the header if it says anything, else the parameter. Two of either mean
/// nothing.
fn requested(headers: &HeaderMap, query: &Query) -> (Vec<u8>, Option<Requested>) {
    let lines: Vec<&[u8]> =
        headers.get_all("last-event-id").iter().map(HeaderValue::as_bytes).collect();
    let values: Vec<&[u8]> = query.all("lastEventId").map(str::as_bytes).collect();
    let of = |given: &[&[u8]]| match given {
        [] | [b""] => None,
        [one] => Some((one.to_vec(), Requested::parse(one))),
        [first, ..] => Some((first.to_vec(), Requested::Invalid)),
    };
    let (text, cursor) = of(&lines).or_else(|| of(&values)).unzip();
    (text.unwrap_or_default(), cursor)
}

/// Whether `Accept` leaves room for a stream (RFC 9110 section 12.5.1): the most specific range that
/// matches decides.
fn accepts_events(headers: &HeaderMap) -> bool {
    let lines: Vec<String> = headers
        .get_all(ACCEPT)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase())
        .collect();
    let ranges = lines.iter().flat_map(|line| line.split(',')).filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let rank = ["*/*", "text/*", "text/event-stream"]
            .iter()
            .position(|known| parts.clone().next() == Some(known))?;
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        let refused = quality.is_some_and(|quality| quality.parse::<f32>().is_ok_and(|q| q == 0.0));
        Some((rank, !refused))
    });
    let nothing_said = lines.iter().all(|line| line.trim().is_empty());
    nothing_said || ranges.max_by_key(|(rank, _)| *rank).is_some_and(|(_, accepted)| accepted)
}

impl Server {
    /// Gives a stream its place and writes what it begins with.
    pub(super) async fn admit(
        &self,
        wanted: Wanted,
        version: Version,
    ) -> Result<Departure, Problem> {
        let Wanted { request, user, requested, stream } = wanted;
        let admitted = self.hub.admit(request).await?;
        let framing = framing(version);
        let mut opening = head(framing).into_bytes();
        let mut blocks = self.connected(&admitted, user.as_ref());
        if let Resume::Gap(reason) = admitted.resume {
            blocks.extend(gap(reason.as_str(), &requested, admitted.start));
        }
        opening.extend_from_slice(Chunk::around(&blocks).bytes(framing));
        if stream == Stream::SystemStatus {
            opening.extend_from_slice(&own(&self.hub.status_event(), framing));
        }
        Ok(Departure { admitted, framing, opening: opening.into() })
    }

    fn connected(&self, admitted: &Admitted, user: Option<&Name>) -> Vec<u8> {
        let resume = match admitted.resume {
            Resume::None => "none",
            Resume::Full => "full",
            Resume::Gap(_) => "gap",
        };
        let payload = Payload::object()
            .text("connectionId", Some(&admitted.id.to_string()))
            .text("userId", user.map(Name::as_str))
            .text("resume", Some(resume))
            .number("heartbeatInterval", self.settings.heartbeat.as_millis() as u64)
            .timestamp(SystemTime::now())
            .finish();
        let block = Block {
            retry: Some(rand::random_range(RETRY)),
            id: Some(&admitted.start),
            event: "connected",
        };
        block.with_payload(&payload, "")
    }
}

/// A stream's own event, which the log does not have.
fn own(event: &Event, framing: Framing) -> Vec<u8> {
    let block = Block::new(event.name.as_str()).with_payload(&event.payload, "");
    Chunk::around(&block).bytes(framing).to_vec()
}

fn gap(reason: &str, requested: &[u8], start: Cursor) -> Vec<u8> {
    let shown = &requested[..requested.len().min(MOST_REQUESTED)];
    let payload = Payload::object()
        .text("reason", Some(reason))
        .text("requested", Some(&String::from_utf8_lossy(shown)))
        .text("resumedFrom", Some(&start.to_string()))
        .finish();
    Block { id: Some(&start), ..Block::new("gap") }.with_payload(&payload, "")
}

fn head(framing: Framing) -> String {
    let version = match framing {
        Framing::Chunked => "HTTP/1.1",
        Framing::UntilClose => "HTTP/1.0",
    };
    let mut head = format!("{version} 200 OK\r\n");
    let mut line = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
    HEAD.iter().for_each(|(name, value)| line(name, value));
    line(ALLOW_ORIGIN.0, ALLOW_ORIGIN.1);
    if framing == Framing::Chunked {
        CHUNKED.iter().for_each(|(name, value)| line(name, value));
    }
    line("date", &httpdate::fmt_http_date(SystemTime::now()));
    head.push_str("\r\n");
    head
}

/// The answer to HEAD: what GET would begin with. hyper would leave out that GET is chunked.
pub(super) fn head_only(version: Version) -> Bytes {
    head(framing(version)).into()
}

fn framing(version: Version) -> Framing {
    match version {
        Version::HTTP_10 => Framing::UntilClose,
        _ => Framing::Chunked,
    }
}

/// The answer to a refusal that passes, in the form that lets an EventSource come back by itself.
pub(super) fn come_back() -> Answer {
    let retry = rand::random_range(RETRY_REFUSED);
    let mut answer = Response::new(Full::new(Bytes::from(format!("retry: {retry}\n\n"))));
    for (name, value) in HEAD {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(accept: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).expect("a value"));
        accepts_events(&headers)
    }

    #[test]
    fn what_rules_out_a_stream() {
        for accept in ["", "*/*", "text/*", "text/html, */*;q=0.1", "Text/Event-Stream; q=0.5"] {
            assert!(accepts(accept), "{accept}");
        }
        for accept in
            ["text/html", "application/json, image/*", "text/event-stream;q=0, */*", "*/*;q=0.0"]
        {
            assert!(!accepts(accept), "{accept}");
        }
        assert!(accepts_events(&HeaderMap::new()));
    }
}
