//! The way of a stream request: from its parameters to the first bytes that its peer gets.

use std::time::SystemTime;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode, Version};

use super::auth;
use super::checks::Caller;
use super::cors::Allowance;
use super::problem::Problem;
use super::query::Query;
use super::router::Stream;
use super::{Answer, Server, api};
use crate::cursor::{Cursor, Requested};
use crate::event::{Event, Name, Payload};
use crate::frame::{Block, Chunk, Framing};
use crate::hub::admission::{Holder, Origin};
use crate::hub::tickets::Attempt;
use crate::hub::{Admitted, Enters, Hub, Request, Resume, Venue};
use crate::identity::Identity;
use crate::rights::Reader;
use crate::topic::Topic;

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
    /// Reads a request of somebody who has been let in.
    pub(super) fn read(
        stream: Stream,
        caller: Caller,
        trust_user_id: bool,
        hub: &Hub,
        headers: &HeaderMap,
        query: &Query,
    ) -> Result<Wanted, Problem> {
        let Caller { identity: caller, ticket, address } = caller;
        let named = query.all("userId").next().is_some();
        if caller.is_none() && !named && stream.needs_credential() {
            return Err(Problem::unauthorized(false));
        }
        if !accepts_events(headers) {
            let detail = "This path answers with text/event-stream.";
            return Err(Problem::new(StatusCode::NOT_ACCEPTABLE, detail));
        }
        let client = query.name("client")?;
        let room = if stream == Stream::Chat { query.name("room")? } else { None };
        let mut topics = asked_topics(stream, query)?;
        let owner = auth::stream_owner(trust_user_id, caller.as_deref(), query)?;
        let reader = owner.as_ref().map(|owner| {
            let reader = hub.reader(caller.as_deref().unwrap_or(owner), &owner.user);
            match stream {
                Stream::Service => reader.following_conversations(),
                _ => reader,
            }
        });
        if let (Some(owner), Some(reader)) = (&owner, &reader) {
            topics.extend(own_topics(stream, &owner.user, room.as_ref()));
            may_listen_to_all(reader, &topics)?;
        }
        let (requested, cursor) = requested(headers, query);
        let user = owner.as_ref().map(|owner| owner.user.clone());
        let request = Request {
            holder: match (&user, address) {
                (Some(user), _) => Holder::User(user.clone()),
                (None, Some(address)) => Holder::Address(address),
                (None, None) => Holder::Nobody,
            },
            origin: Origin { address, path: stream.number() },
            // An address is shared by strangers, who must not take each other's place.
            client: user.clone().zip(client.or_else(|| own_client(ticket.as_ref()?))),
            topics,
            reader,
            identity: caller,
            ticket,
            requested: cursor,
            enters: venue(stream, room).zip(owner).map(|(venue, owner)| {
                let Identity { user, username, .. } = owner;
                Enters { venue, user, username }
            }),
        };
        Ok(Wanted { request, user, requested, stream })
    }
}

/// The topics of a stream that its parameters say.
fn asked_topics(stream: Stream, query: &Query) -> Result<Vec<Topic>, Problem> {
    match stream {
        Stream::Realtime => api::realtime::topics(query),
        Stream::SystemStatus => Ok(api::system::topics()),
        Stream::Guide => api::guide::channels(query),
        Stream::Manager => Ok(api::manager::topics()),
        Stream::Notifications | Stream::Chat | Stream::Service => Ok(Vec::new()),
    }
}

/// The topics of a stream that follow from whose it is.
fn own_topics(stream: Stream, owner: &Name, room: Option<&Name>) -> Vec<Topic> {
    match stream {
        Stream::Notifications => api::notifications::topics(owner),
        Stream::Guide => api::guide::topics(owner),
        Stream::Chat => api::chat::topics(room),
        Stream::Service => api::service::topics(owner),
        Stream::Manager => api::manager::topics_of(owner),
        Stream::Realtime | Stream::SystemStatus => Vec::new(),
    }
}

/// Where a stream lets its user be seen by others.
fn venue(stream: Stream, room: Option<Name>) -> Option<Venue> {
    match stream {
        Stream::Chat => room.map(Venue::Room),
        Stream::Service => Some(Venue::Service),
        Stream::Notifications
        | Stream::Realtime
        | Stream::SystemStatus
        | Stream::Guide
        | Stream::Manager => None,
    }
}

fn may_listen_to_all(reader: &Reader, topics: &[Topic]) -> Result<(), Problem> {
    match topics.iter().all(|topic| reader.may_listen(topic)) {
        true => Ok(()),
        false => Err(Problem::forbidden("A room or channel of this stream is not open to you.")),
    }
}

/// The client of a stream by ticket: it takes its own place when it comes back.
fn own_client(ticket: &Attempt) -> Option<Name> {
    Name::new(&ticket.digest.to_string()).ok()
}

/// What to go on from: the header if it says anything, else the parameter.
fn requested(headers: &HeaderMap, query: &Query) -> (Vec<u8>, Option<Requested>) {
    let by_parameter = || the_one(query.all("lastEventId").map(str::as_bytes));
    let (text, cursor) = last_event_id(headers).or_else(by_parameter).unzip();
    (text.unwrap_or_default().to_vec(), cursor)
}

/// What an EventSource that comes back says it had last.
pub(super) fn last_event_id(headers: &HeaderMap) -> Option<(&[u8], Requested)> {
    the_one(headers.get_all("last-event-id").iter().map(HeaderValue::as_bytes))
}

/// Two of them mean nothing.
fn the_one<'a>(mut given: impl Iterator<Item = &'a [u8]>) -> Option<(&'a [u8], Requested)> {
    match (given.next(), given.next()) {
        (None | Some(b""), None) => None,
        (Some(one), None) => Some((one, Requested::parse(one))),
        (first, Some(_)) => Some((first.unwrap_or_default(), Requested::Invalid)),
    }
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
        allowance: &Allowance,
    ) -> Result<Departure, Problem> {
        let Wanted { request, user, requested, stream } = wanted;
        let admitted = self.hub.admit(request).await?;
        let framing = framing(version);
        let mut opening = head(framing, allowance).into_bytes();
        let mut blocks = self.connected(&admitted, user.as_ref());
        if let Resume::Gap(reason) = admitted.resume {
            blocks.extend(gap(reason.as_str(), &requested, admitted.start));
        }
        opening.extend_from_slice(Chunk::around(&blocks).bytes(framing));
        match stream {
            Stream::SystemStatus => opening.extend(own(&self.hub.status_event(), framing)),
            Stream::Guide => opening.extend(own(&api::guide::welcome(), framing)),
            Stream::Notifications
            | Stream::Realtime
            | Stream::Chat
            | Stream::Service
            | Stream::Manager => {}
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

fn head(framing: Framing, allowance: &Allowance) -> String {
    let version = match framing {
        Framing::Chunked => "HTTP/1.1",
        Framing::UntilClose => "HTTP/1.0",
    };
    let mut head = format!("{version} 200 OK\r\n");
    let mut line = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
    HEAD.iter().for_each(|(name, value)| line(name, value));
    for (name, value) in allowance.pairs() {
        // Origins and names are ASCII.
        line(name.as_str(), value.to_str().unwrap_or_default());
    }
    if framing == Framing::Chunked {
        CHUNKED.iter().for_each(|(name, value)| line(name, value));
    }
    line("date", &httpdate::fmt_http_date(SystemTime::now()));
    head.push_str("\r\n");
    head
}

/// The answer to HEAD: what GET would begin with. hyper would leave out that GET is chunked.
pub(super) fn head_only(version: Version, allowance: &Allowance) -> Bytes {
    head(framing(version), allowance).into()
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
    short(format!("retry: {retry}\n\n"))
}

/// The answer to a refusal as the guide has it: a stream that says why, and ends. An EventSource
/// tries again, in a while.
pub(super) fn with_error(problem: &Problem) -> Answer {
    let payload = Payload::object()
        .text("error", Some(problem.reason()))
        .number("code", problem.status.as_u16().into())
        .finish();
    let retry = Some(rand::random_range(RETRY_REFUSED));
    short(Block { retry, ..Block::new("error") }.with_payload(&payload, ""))
}

/// The answer to a client that shall not come back: an EventSource takes it for its end (HTML section
/// 9.2.3).
pub(super) fn nothing() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// A stream that is over when it begins.
fn short(body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
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
