//! Every refusal, as the client sees it: `application/problem+json` (RFC 9457).
//!
//! A failure is a small type where it happens; this is the one place where it becomes a status.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::Answer;
use super::cors::Foreign;
use super::rates::{Exceeded, Policy};
use crate::event::NameError;
use crate::hub::Refused;
use crate::hub::admission::Full as NoPlace;
use crate::json::JsonError;
use crate::log::AppendError;

/// Seconds after which a user may try for a stream again: by then one of his may have ended.
const RETRY_STREAM: u32 = 10;
/// Seconds after which the server may have room again, or another node answers.
const RETRY_SERVER: u32 = 5;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A refusal.
#[derive(Debug)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    detail: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The connection cannot go on after it: the rest of the request was not read.
    closes: bool,
}

impl Problem {
    /// A refusal with a status and what is wrong, in words.
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem { status, detail: detail.into(), headers: Vec::new(), closes: false }
    }

    /// 400.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 403.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, detail)
    }

    /// 421: the request is for a host that this server does not answer to.
    pub fn misdirected() -> Problem {
        let detail = "This server does not answer to this host.";
        Problem::new(StatusCode::MISDIRECTED_REQUEST, detail)
    }

    /// 422: a field is missing or is not what it must be.
    pub fn field(name: &str, must: &str) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{name}: {must}"))
    }

    /// 400: a field or parameter that is no name.
    pub fn name(field: &str, error: NameError) -> Problem {
        Problem::bad_request(format!("{field}: {error}"))
    }

    /// 401, with the challenge of RFC 6750 section 3: without an error code when no credential was
    /// given, else with one text whatever was wrong.
    pub fn unauthorized(given: bool) -> Problem {
        let (detail, challenge) = match given {
            false => ("This needs a credential.", "Bearer"),
            true => (
                "The credential is not valid.",
                "Bearer error=\"invalid_token\", error_description=\"The credential is not valid\"",
            ),
        };
        Problem::new(StatusCode::UNAUTHORIZED, detail)
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// 429 or 503, for a moment.
    pub fn busy(status: StatusCode) -> Problem {
        let detail = "There are too many large requests at once.";
        Problem::new(status, detail).retry_after(RETRY_SERVER)
    }

    /// 405.
    pub fn method_not_allowed(allow: String) -> Problem {
        let detail = format!("This path takes {allow}.");
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).with_text(header::ALLOW, allow)
    }

    /// The same refusal, after which the connection is closed.
    #[must_use]
    pub fn closing(self) -> Problem {
        Problem { closes: true, ..self }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.headers.push((name, value));
        self
    }

    /// Adds a header of visible characters.
    fn with_text(self, name: HeaderName, text: String) -> Problem {
        match HeaderValue::try_from(text) {
            Ok(value) => self.with(name, value),
            Err(_) => self,
        }
    }

    fn retry_after(self, seconds: u32) -> Problem {
        self.with(header::RETRY_AFTER, seconds.into())
    }

    /// Whether it may pass by itself, so that a client does well to come again.
    pub fn passes(&self) -> bool {
        matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    }

    /// The status in words.
    pub fn reason(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }

    fn body(&self) -> Bytes {
        let reason = self.reason();
        // In the order of RFC 9457, with the two members of the guide after it.
        let body = crate::event::Payload::object()
            .text("type", Some("about:blank"))
            .text("title", Some(reason))
            .number("status", self.status.as_u16().into())
            .text("detail", Some(&self.detail))
            .text("error", Some(reason))
            .number("code", self.status.as_u16().into())
            .finish();
        Bytes::copy_from_slice(body.parts().0.as_bytes())
    }

    /// The answer.
    pub fn answer(&self) -> Answer {
        let mut answer = Response::new(Full::new(self.body()));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        headers.extend(self.headers.iter().cloned());
        if self.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    /// The answer's bytes, for a request that hyper never saw. `finish` adds what every answer has.
    pub fn wire(&self, finish: impl FnOnce(Answer) -> Answer) -> Bytes {
        let (parts, _) = finish(self.answer()).into_parts();
        let (body, now) = (self.body(), httpdate::fmt_http_date(SystemTime::now()));
        let mut bytes = format!("HTTP/1.1 {}\r\n", self.status).into_bytes();
        for (name, value) in &parts.headers {
            bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        let end = format!("content-length: {}\r\ndate: {now}\r\n\r\n", body.len());
        bytes.extend(end.as_bytes());
        bytes.extend(body);
        bytes.into()
    }
}

impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Problem {
        Problem::bad_request(error.to_string())
    }
}

impl From<Foreign> for Problem {
    fn from(foreign: Foreign) -> Problem {
        Problem::forbidden(foreign.to_string())
    }
}

/// With the fields of draft-ietf-httpapi-ratelimit-headers-10.
impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Problem {
        let Exceeded { policy, rate, retry_after } = exceeded;
        let seconds = whole_seconds(retry_after);
        let (name, window) = (policy.as_str(), rate.period.duration().as_secs());
        let unit = if policy == Policy::Bytes { ";qu=\"content-bytes\"" } else { "" };
        Problem::new(StatusCode::TOO_MANY_REQUESTS, exceeded.to_string())
            .retry_after(seconds)
            .with_text(RATELIMIT_POLICY, format!("\"{name}\";q={}{unit};w={window}", rate.count))
            .with_text(RATELIMIT, format!("\"{name}\";r=0;t={seconds}"))
    }
}

/// Rounded up, and never none: who comes back too early is refused again.
fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        let (status, retry) = match refused {
            Refused::Draining | Refused::Full(NoPlace::Total) => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(RETRY_SERVER))
            }
            Refused::Log(AppendError::Unavailable) => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(RETRY_SERVER))
            }
            Refused::Full(NoPlace::Holder(_)) => {
                (StatusCode::TOO_MANY_REQUESTS, Some(RETRY_STREAM))
            }
            Refused::Withdrawn => return Problem::unauthorized(true),
            // An EventSource takes it for its end (HTML section 9.2.3).
            Refused::Away => (StatusCode::NO_CONTENT, None),
            Refused::Tickets => (StatusCode::TOO_MANY_REQUESTS, Some(RETRY_STREAM)),
            Refused::Log(AppendError::Full) => (StatusCode::INSUFFICIENT_STORAGE, None),
            Refused::Log(AppendError::Conflict) => (StatusCode::CONFLICT, None),
        };
        let problem = Problem::new(status, refused.to_string());
        retry.into_iter().fold(problem, Problem::retry_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_exceeded_says_when_to_come_again() {
        let refusal = |policy, rate: &str, milliseconds| {
            let rate = rate.parse().expect("a rate");
            let retry_after = Duration::from_millis(milliseconds);
            let problem = Problem::from(Exceeded { policy, rate, retry_after });
            let answer = problem.answer();
            assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
            assert!(problem.passes());
            ["retry-after", "ratelimit-policy", "ratelimit"].map(|name| {
                let value = answer.headers().get(name).expect("a header");
                value.to_str().expect("a text").to_owned()
            })
        };
        assert_eq!(
            refusal(Policy::Publishes, "100/m", 1),
            ["1", "\"publishes\";q=100;w=60", "\"publishes\";r=0;t=1"]
        );
        assert_eq!(
            refusal(Policy::FailedCredentials, "10/h", 360_001),
            ["361", "\"failed_credentials\";q=10;w=3600", "\"failed_credentials\";r=0;t=361"]
        );
        assert_eq!(
            refusal(Policy::Bytes, "1000/s", 0),
            ["1", "\"bytes\";q=1000;qu=\"content-bytes\";w=1", "\"bytes\";r=0;t=1"]
        );
    }
}
