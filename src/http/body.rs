//! A request's body: bounded in size, in time, and in what all of them take together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use hyper::{HeaderMap, Request, StatusCode};
use parking_lot::Mutex;

use super::problem::Problem;
use crate::event::Name;

/// What all bodies that are being read or published may take together, in bytes.
const MOST_IN_FLIGHT: usize = 64 << 20;
/// What those of one user may take together, in bytes: nobody keeps the others from publishing.
const MOST_OF_ONE: usize = 16 << 20;
/// The first bytes of each body are not counted, so that an ordinary event is always taken.
const SMALL: usize = 8 << 10;

/// What an operator decides about bodies.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest body, in bytes.
    pub size: usize,
    /// The longest time until it is whole.
    pub time: Duration,
}

/// Reads bodies.
pub struct Bodies {
    limits: Limits,
    in_flight: Mutex<InFlight>,
}

/// Bytes that have come and are not published yet.
#[derive(Default)]
struct InFlight {
    total: usize,
    of_users: HashMap<Name, usize>,
}

/// A whole body and the share of memory that it holds until it is dropped.
pub struct Whole<'a> {
    /// The bytes.
    pub bytes: Bytes,
    _share: Share<'a>,
}

/// A body's part of what is in flight. It grows with what has come, not with what was announced,
/// and never waits: bodies that hold a share and wait for more could wait for each other.
struct Share<'a> {
    bodies: &'a Bodies,
    user: &'a Name,
    bytes: usize,
}

impl Bodies {
    /// Nothing is in flight yet.
    pub fn new(limits: Limits) -> Bodies {
        Bodies { limits, in_flight: Mutex::default() }
    }

    /// Reads the JSON body of a user's request, whole.
    pub async fn read<'a>(
        &'a self,
        user: &'a Name,
        request: Request<Incoming>,
    ) -> Result<Whole<'a>, Problem> {
        let mut share = Share { bodies: self, user, bytes: 0 };
        let grown = |length: usize| share.grow(length.saturating_sub(SMALL));
        let bytes = self.bounded(request, self.limits.size, grown).await?;
        Ok(Whole { bytes, _share: share })
    }

    /// Reads the JSON body of somebody who is not known yet. It is small, so it counts for nobody.
    pub async fn read_small(&self, request: Request<Incoming>) -> Result<Bytes, Problem> {
        self.bounded(request, self.limits.size.min(SMALL), |_| Ok(())).await
    }

    async fn bounded(
        &self,
        request: Request<Incoming>,
        most: usize,
        grown: impl FnMut(usize) -> Result<(), Problem>,
    ) -> Result<Bytes, Problem> {
        let (head, body) = request.into_parts();
        check_media_type(&head.headers)?;
        if body.size_hint().lower() > most as u64 {
            return Err(too_large(most));
        }
        let in_time = tokio::time::timeout(self.limits.time, gather(body, most, grown)).await;
        in_time.unwrap_or_else(|_| {
            let detail = "The body did not come in time.";
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail).closing())
        })
    }
}

/// All of a body, of at most so many bytes; `grown` is told how many have come, and may refuse.
async fn gather(
    mut body: Incoming,
    most: usize,
    mut grown: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Bytes, Problem> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let broken = |_| Problem::bad_request("The body is malformed or incomplete.").closing();
        // Trailers say nothing here.
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(too_large(most));
        }
        bytes.extend_from_slice(&data);
        grown(bytes.len())?;
    }
    Ok(bytes.into())
}

fn too_large(most: usize) -> Problem {
    let detail = format!("The body is larger than {most} bytes.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).closing()
}

impl Share<'_> {
    /// Makes it so many bytes, unless that is too much for the user or for all.
    fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        if bytes == self.bytes {
            return Ok(());
        }
        let more = bytes - self.bytes;
        let mut in_flight = self.bodies.in_flight.lock();
        if in_flight.total + more > MOST_IN_FLIGHT {
            return Err(Problem::busy(StatusCode::SERVICE_UNAVAILABLE).closing());
        }
        let of_user = in_flight.of_users.get(self.user).copied().unwrap_or(0);
        if of_user + more > MOST_OF_ONE {
            return Err(Problem::busy(StatusCode::TOO_MANY_REQUESTS).closing());
        }
        in_flight.total += more;
        in_flight.of_users.insert(self.user.clone(), of_user + more);
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut in_flight = self.bodies.in_flight.lock();
        in_flight.total -= self.bytes;
        if let Entry::Occupied(mut of_user) = in_flight.of_users.entry(self.user.clone()) {
            *of_user.get_mut() -= self.bytes;
            if *of_user.get() == 0 {
                of_user.remove();
            }
        }
    }
}

/// Whether a request announces a body, were it an empty one in chunks.
pub fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

/// Only plain JSON. A form or a beacon, which any page may send anywhere, cannot have this type.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |detail| Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    if headers.get_all(CONTENT_ENCODING).iter().any(|coding| coding != "identity") {
        return refuse("The body must not be compressed.");
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(media_type), None) = (types.next(), types.next()) else {
        return refuse("The Content-Type must be application/json.");
    };
    let essence = media_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    match essence.trim_ascii().eq_ignore_ascii_case(b"application/json") {
        true => Ok(()),
        false => refuse("The Content-Type must be application/json."),
    }
}
