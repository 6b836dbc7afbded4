//! A request's body: bounded in size, in time, and in what all of them take together.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use hyper::{HeaderMap, Request, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::Problem;

/// What all large bodies that are being read or published may take together, in bytes. More of them
/// wait for their turn.
const MOST_IN_FLIGHT: usize = 64 << 20;
/// Bodies up to this size, in bytes, need no turn: so nobody who holds many large ones open keeps an
/// ordinary event from being published.
const SMALL: usize = 8 << 10;
/// How long a body may wait for its turn.
const MOST_WAIT: Duration = Duration::from_secs(5);

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
    in_flight: Semaphore,
}

/// A whole body and the share of memory that it holds until it is dropped.
pub struct Whole<'a> {
    /// The bytes.
    pub bytes: Bytes,
    _share: Option<SemaphorePermit<'a>>,
}

impl Bodies {
    /// Nothing is in flight yet.
    pub fn new(limits: Limits) -> Bodies {
        Bodies { limits, in_flight: Semaphore::new(MOST_IN_FLIGHT) }
    }

    /// Reads the JSON body of a request, whole.
    pub async fn read(&self, request: Request<Incoming>) -> Result<Whole<'_>, Problem> {
        let (head, body) = request.into_parts();
        check_media_type(&head.headers)?;
        if body.size_hint().lower() > self.limits.size as u64 {
            return Err(self.too_large());
        }
        let share = self.take_share(&body).await?;
        let in_time = tokio::time::timeout(self.limits.time, self.gather(body)).await;
        let bytes = in_time.unwrap_or_else(|_| {
            let detail = "The body did not come in time.";
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail).closing())
        })?;
        Ok(Whole { bytes, _share: share })
    }

    /// Takes a body's share at once and whole: taken bit by bit, bodies could all wait for what the
    /// others hold.
    async fn take_share(&self, body: &Incoming) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        let most = body.size_hint().upper().map_or(self.limits.size, |most| most as usize);
        if most <= SMALL {
            return Ok(None);
        }
        let share = self.in_flight.acquire_many(most.min(MOST_IN_FLIGHT) as u32);
        match tokio::time::timeout(MOST_WAIT, share).await {
            Ok(Ok(share)) => Ok(Some(share)),
            Ok(Err(_)) | Err(_) => Err(Problem::busy().closing()),
        }
    }

    async fn gather(&self, mut body: Incoming) -> Result<Bytes, Problem> {
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let broken = |_| Problem::bad_request("The body is malformed or incomplete.").closing();
            // Trailers say nothing here.
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            if bytes.len() + data.len() > self.limits.size {
                return Err(self.too_large());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.into())
    }

    fn too_large(&self) -> Problem {
        let detail = format!("The body is larger than {} bytes.", self.limits.size);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).closing()
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
