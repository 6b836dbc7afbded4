//! What a server wants to be asked: the only place that knows Rill's paths, tokens and bodies.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::endpoint::Endpoint;
use crate::stamp::Stamp;

const STREAM_PATH: &str = "/notifications/stream";
const PUBLISH_PATH: &str = "/notifications/send";

/// How the demo token travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TokenIn {
    /// `Authorization: Bearer`.
    Bearer,
    /// `?token=`, as a browser's EventSource does it.
    Query,
}

/// Whom an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// `broadcast: true`.
    Everybody,
    /// `userId`.
    User(u32),
}

/// One event to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Who gets it.
    pub(crate) audience: Audience,
    /// How it is found again.
    pub(crate) stamp: Stamp,
}

/// A server and the way to speak to it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where it listens.
    pub(crate) endpoint: Endpoint,
    /// How tokens travel.
    pub(crate) token_in: TokenIn,
    /// Messages are filled up to this many bytes.
    pub(crate) message_bytes: usize,
}

impl Target {
    /// The request that opens `user`'s stream, from after `last_id` unless that is empty. Replaces
    /// what is in `out`.
    pub(crate) fn stream_request(&self, out: &mut Vec<u8>, user: usize, last_id: &[u8]) {
        out.clear();
        self.begin(out, "GET", STREAM_PATH, &format!("u{user}:u{user}:u{user}@example.com:user"));
        out.extend_from_slice(b"Accept: text/event-stream\r\nCache-Control: no-cache\r\n");
        if !last_id.is_empty() {
            out.extend_from_slice(b"Last-Event-ID: ");
            out.extend_from_slice(last_id);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The request that publishes `order`. Replaces what is in `out`.
    pub(crate) fn publish_request(&self, out: &mut Vec<u8>, order: &Order) {
        out.clear();
        self.begin(out, "POST", PUBLISH_PATH, "admin:admin:admin@example.com:admin");
        let body = self.body(order);
        put(
            out,
            format_args!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        );
    }

    fn body(&self, order: &Order) -> String {
        let mut message = order.stamp.to_string();
        message.extend(std::iter::repeat_n('x', self.message_bytes.saturating_sub(message.len())));
        match order.audience {
            Audience::Everybody => format!(r#"{{"message":"{message}","broadcast":true}}"#),
            Audience::User(user) => format!(r#"{{"message":"{message}","userId":"u{user}"}}"#),
        }
    }

    /// The request line, `Host` and the credential.
    fn begin(&self, out: &mut Vec<u8>, method: &str, path: &str, identity: &str) {
        let token = STANDARD.encode(identity);
        let host = self.endpoint.host();
        match self.token_in {
            TokenIn::Bearer => {
                put(
                    out,
                    format_args!(
                        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
                    ),
                );
            }
            TokenIn::Query => {
                let token = token.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
                put(
                    out,
                    format_args!("{method} {path}?token={token} HTTP/1.1\r\nHost: {host}\r\n"),
                );
            }
        }
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every byte");
}

/// What Rill says to a publisher whose event it keeps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The event's cursor; None for events that are not kept.
    pub(crate) id: Option<String>,
}

impl Receipt {
    /// Reads the body of a 2xx.
    pub(crate) fn parse(body: &[u8]) -> Option<Receipt> {
        let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
        (answer.get("success")? == true).then_some(())?;
        Some(Receipt { id: answer.get("id")?.as_str().map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Scope;

    fn target(token_in: TokenIn) -> Target {
        Target {
            endpoint: Endpoint::Tcp("127.0.0.1:9".parse().unwrap()),
            token_in,
            message_bytes: 0,
        }
    }

    #[test]
    fn requests_are_what_the_contract_says() {
        let mut out = b"old".to_vec();
        target(TokenIn::Query).stream_request(&mut out, 17, b"1-2.e");
        let text = String::from_utf8(out.clone()).unwrap();
        assert!(text.starts_with("GET /notifications/stream?token=dTE3OnUxNzp1MTdAZXhhbXBsZS5jb206dXNlcg%3D%3D HTTP/1.1\r\nHost: 127.0.0.1:9\r\n"));
        assert!(text.ends_with("\r\nLast-Event-ID: 1-2.e\r\n\r\n"));
        let stamp = Stamp { scope: Scope::User(3), k: 1, t: 2 };
        target(TokenIn::Bearer)
            .publish_request(&mut out, &Order { audience: Audience::User(3), stamp });
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.ends_with(
                "\r\nContent-Length: 36\r\n\r\n{\"message\":\"~u3.1.2~\",\"userId\":\"u3\"}"
            ),
            "{text}"
        );
    }

    #[test]
    fn receipts_have_an_id_or_null() {
        assert_eq!(
            Receipt::parse(br#"{"success":true,"id":"1-2.e","subscribers":3}"#)
                .unwrap()
                .id
                .unwrap(),
            "1-2.e"
        );
        assert_eq!(Receipt::parse(br#"{"success":true,"id":null}"#), Some(Receipt { id: None }));
        assert_eq!(Receipt::parse(br#"{"success":false,"id":"1"}"#), None);
        assert_eq!(Receipt::parse(b"<html>"), None);
    }
}
