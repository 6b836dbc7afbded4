//! The receiver.

use std::fmt;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::header::{self, HeaderMap};
use thiserror::Error;
use ureq::Agent;

use super::message::Message;
use super::signing::SigningKey;
use crate::http::address::Address;
use crate::identity::Stamp;

/// An answer is read up to here, so that its connection can be used again; what it says is not asked.
const MOST_READ: u64 = 64 * 1024;

/// Why a message was not taken.
#[derive(Debug, Error)]
pub enum PostError {
    /// There was no answer, or not in time.
    #[error(transparent)]
    Post(#[from] ureq::Error),
    /// The answer was not 2xx. A redirect is not followed: it could lead anywhere.
    #[error("the answer has the status {status}")]
    Status {
        /// The status.
        status: StatusCode,
        /// How long the receiver wants to be left alone.
        retry_after: Option<Duration>,
    },
}

impl PostError {
    /// How long the receiver wants to be left alone, if he has said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            PostError::Post(_) => None,
            PostError::Status { retry_after, .. } => *retry_after,
        }
    }
}

/// Takes messages.
pub struct Endpoint {
    address: Address,
    agent: Agent,
    key: SigningKey,
}

impl Endpoint {
    /// An endpoint that has so long for a request.
    pub fn new(address: Address, key: SigningKey, timeout: Duration) -> Endpoint {
        Endpoint { agent: address.agent(timeout), address, key }
    }

    /// Posts a message, and waits for the answer.
    ///
    /// # Errors
    /// Whatever is no 2xx.
    pub fn post(&self, message: &Message) -> Result<(), PostError> {
        let now = SystemTime::now();
        // Of this attempt, so that a receiver can refuse what somebody else repeats later.
        let timestamp = Stamp::of(now).0 / 1_000;
        let signature = self.key.sign(&message.id, timestamp, &message.body);
        let request = self
            .agent
            .post(self.address.uri())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("rill/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", signature);
        let mut answer = request.send(message.body.as_str())?;
        let status = answer.status();
        if !status.is_success() {
            let retry_after = retry_after(answer.headers(), now);
            return Err(PostError::Status { status, retry_after });
        }
        // It is taken, whatever becomes of the rest.
        let _ = answer.body_mut().with_config().limit(MOST_READ).read_to_vec();
        Ok(())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// In seconds or as a date (RFC 9110 section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_receiver_asks_for_time_in_two_ways() {
        let asked = |value: &str| {
            let value = value.parse().expect("a value");
            retry_after(&[(header::RETRY_AFTER, value)].into_iter().collect(), UNIX_EPOCH)
        };
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Thu, 01 Jan 1970 00:00:30 GMT"), Some(Duration::from_secs(30)));
        for nothing in ["", "-1", "soon", "Wed, 31 Dec 1969 23:59:59 GMT"] {
            assert_eq!(asked(nothing), None, "{nothing}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), UNIX_EPOCH), None);
    }
}
