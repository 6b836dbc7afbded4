//! The server as its clients see it: where it is, and the requests that it is sent.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::dialect::{AnswerForm, Dialect, PUBLISHER, user_name};
use crate::endpoint::Endpoint;
use crate::failure::{Failure, While};
use crate::link::{Link, Tls};
use crate::stamp::Stamp;
use crate::template::{Filling, Template};
use crate::wire::Answer;

/// Far from those that streams come from.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 66, 6, 6);

/// Whom an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Every stream.
    Everybody,
    /// The streams of one user.
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
    /// Where streams are opened.
    pub(crate) streams: Endpoint,
    /// Where events are published; past a proxy, if streams go through one.
    pub(crate) publishers: Endpoint,
    tls: Option<Tls>,
    /// Where publishers come from, if it shall be somewhere else than streams.
    source: Option<Ipv4Addr>,
    /// How it is asked.
    pub(crate) dialect: Arc<Dialect>,
    /// What `--header` adds to every request.
    headers: Arc<[String]>,
    message_bytes: usize,
}

impl Target {
    /// A server that has one address for everything.
    pub(crate) fn new(endpoint: Endpoint, dialect: Arc<Dialect>) -> Target {
        Target {
            publishers: dialect.publishers().unwrap_or_else(|| endpoint.clone()),
            streams: endpoint,
            tls: None,
            source: None,
            dialect,
            headers: Arc::new([]),
            message_bytes: 0,
        }
    }

    /// Adds header lines to every request, and fills messages up to so many bytes.
    pub(crate) fn with(mut self, headers: &[String], message_bytes: usize) -> Target {
        self.headers = headers.into();
        self.message_bytes = message_bytes;
        self
    }

    /// Sends the streams through a proxy.
    pub(crate) fn through(mut self, proxy: Endpoint) -> Target {
        self.streams = proxy;
        self
    }

    /// The same for publishers with this token and an address that nobody else has.
    pub(crate) fn of_a_stranger(&self, token: String) -> Target {
        let dialect = Arc::new(Dialect::clone(&self.dialect).published_with(token));
        Target { dialect, source: Some(STRANGER), ..self.clone() }
    }

    /// Trusts the certificates in this PEM file, where a TLS endpoint needs one.
    pub(crate) fn trusting(mut self, roots: Option<&Path>) -> Result<Target, Failure> {
        for endpoint in [&self.streams, &self.publishers] {
            let Endpoint::Tls(address) = endpoint else { continue };
            let roots = roots.ok_or(Failure::Usage("https:// needs --ca FILE"))?;
            let tls = Tls::trusting(roots, address.ip()).while_("reading the CA's certificate")?;
            self.tls = Some(tls);
        }
        Ok(self)
    }

    /// Begins stream number `index` of `total`, see [`Endpoint::connect`].
    pub(crate) fn connect_stream(&self, index: usize, total: usize) -> io::Result<Link> {
        Link::new(self.streams.connect(index, total)?, self.tls_of(&self.streams))
    }

    /// A blocking connection for publishing.
    pub(crate) fn connect_publisher(&self, timeout: Duration) -> io::Result<Link> {
        Link::new(
            self.publishers.connect_blocking_from(self.source, timeout)?,
            self.tls_of(&self.publishers),
        )
    }

    /// A blocking connection for one stream.
    pub(crate) fn connect_listener(&self, timeout: Duration) -> io::Result<Link> {
        Link::new(self.streams.connect_blocking(timeout)?, self.tls_of(&self.streams))
    }

    fn tls_of(&self, endpoint: &Endpoint) -> Option<&Tls> {
        self.tls.as_ref().filter(|_| matches!(endpoint, Endpoint::Tls(_)))
    }

    /// The request that opens `user`'s stream, from after `last_id` unless that is empty. Replaces
    /// what is in `out`.
    pub(crate) fn stream_request(&self, out: &mut Vec<u8>, user: usize, last_id: &[u8]) {
        let form = &self.dialect.stream;
        let name = user_name(user);
        let token = form.token.of(user, &name);
        let filling = Filling { user: &name, token: &token, id: last_id, message: "" };
        begin(out, "GET", &form.path, &filling);
        let resume = form.resume.as_ref().filter(|_| !last_id.is_empty());
        self.fields(out, &self.streams, form.headers.iter().chain(resume), &filling);
        out.extend_from_slice(b"Accept: text/event-stream\r\nCache-Control: no-cache\r\n\r\n");
    }

    /// The request that publishes `order`. Replaces what is in `out`.
    pub(crate) fn publish_request(&self, out: &mut Vec<u8>, order: &Order) {
        let form = &self.dialect.publish;
        let mut message = order.stamp.to_string();
        message.extend(std::iter::repeat_n('x', self.message_bytes.saturating_sub(message.len())));
        let (path, template, user) = match (order.audience, &form.user) {
            (Audience::User(user), Some(template)) => {
                (form.user_path.as_ref().unwrap_or(&form.path), template, user_name(user as usize))
            }
            _ => (&form.path, &form.broadcast, String::new()),
        };
        let token = form.token.of(0, PUBLISHER);
        let filling = Filling { user: &user, token: &token, id: b"", message: &message };
        let mut body = Vec::with_capacity(message.len() + 64);
        template.fill(&mut body, &filling);
        begin(out, "POST", path, &filling);
        self.publisher_rest(out, &filling, &body);
    }

    /// Another request of a publisher's. Replaces what is in `out`.
    pub(crate) fn publisher_request(
        &self,
        out: &mut Vec<u8>,
        method: &str,
        path: &str,
        body: &str,
    ) {
        let token = self.dialect.publish.token.of(0, PUBLISHER);
        out.clear();
        put(out, format_args!("{method} {path} HTTP/1.1\r\n"));
        self.publisher_rest(out, &Filling { token: &token, ..Filling::default() }, body.as_bytes());
    }

    /// What follows the first line.
    fn publisher_rest(&self, out: &mut Vec<u8>, filling: &Filling<'_>, body: &[u8]) {
        let headers = &self.dialect.publish.headers;
        self.fields(out, &self.publishers, headers.iter(), filling);
        put(out, format_args!("Content-Length: {}\r\n\r\n", body.len()));
        out.extend_from_slice(body);
    }

    /// Whether an event can be for one user alone.
    pub(crate) fn knows_users(&self) -> bool {
        self.dialect.publish.user.is_some()
    }

    /// What an answer to a publish says, if it is a yes.
    pub(crate) fn receipt(&self, answer: &Answer) -> Option<Receipt> {
        if answer.status / 100 != 2 {
            return None;
        }
        match self.dialect.publish.answer {
            AnswerForm::Receipt => Receipt::parse(&answer.body),
            AnswerForm::Status => Some(Receipt { id: None }),
        }
    }

    fn fields<'a>(
        &self,
        out: &mut Vec<u8>,
        endpoint: &Endpoint,
        templates: impl Iterator<Item = &'a Template>,
        filling: &Filling<'_>,
    ) {
        put(out, format_args!("Host: {}\r\n", endpoint.host()));
        for template in templates {
            template.fill(out, filling);
            out.extend_from_slice(b"\r\n");
        }
        self.headers.iter().for_each(|line| put(out, format_args!("{line}\r\n")));
    }
}

fn begin(out: &mut Vec<u8>, method: &str, path: &Template, filling: &Filling<'_>) {
    out.clear();
    put(out, format_args!("{method} "));
    path.fill_target(out, filling);
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every byte");
}

/// What a server says to a publisher whose event it keeps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The event's cursor; None for events that are not kept, and where the server does not say.
    pub(crate) id: Option<String>,
}

impl Receipt {
    fn parse(body: &[u8]) -> Option<Receipt> {
        let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
        (answer.get("success")? == true).then_some(())?;
        Some(Receipt { id: answer.get("id")?.as_str().map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::DialectSource;
    use crate::stamp::Scope;

    fn target() -> Target {
        let Ok(source) = "rill".parse::<DialectSource>();
        let endpoint = Endpoint::Tcp("127.0.0.1:9".parse().unwrap());
        Target::new(endpoint, Arc::new(Dialect::load(&source).unwrap()))
    }

    #[test]
    fn requests_are_what_the_dialect_says() {
        let mut out = b"old".to_vec();
        let target = target().with(&["X-More: 1".into()], 12);
        target.stream_request(&mut out, 17, b"1-2.e");
        assert_eq!(
            String::from_utf8(out.clone()).unwrap(),
            "GET /notifications/stream HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\
             Authorization: Bearer dTE3OnUxNzp1MTdAZXhhbXBsZS5jb206dXNlcg==\r\n\
             Last-Event-ID: 1-2.e\r\nX-More: 1\r\n\
             Accept: text/event-stream\r\nCache-Control: no-cache\r\n\r\n"
        );
        let stamp = Stamp { scope: Scope::User(3), k: 1, t: 2 };
        target.publish_request(&mut out, &Order { audience: Audience::User(3), stamp });
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("POST /notifications/send HTTP/1.1\r\nHost: "), "{text}");
        let end = "\r\nContent-Length: 40\r\n\r\n{\"message\":\"~u3.1.2~xxxx\",\"userId\":\"u3\"}";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn only_a_new_stream_has_no_id() {
        let mut out = Vec::new();
        target().stream_request(&mut out, 1, b"");
        assert!(!String::from_utf8(out).unwrap().contains("Last-Event-ID"));
    }

    #[test]
    fn receipts_have_an_id_or_null() {
        let id = |body: &[u8]| Receipt::parse(body).map(|receipt| receipt.id);
        let whole = br#"{"success":true,"id":"1-2.e","subscribers":3}"#;
        assert_eq!(id(whole), Some(Some("1-2.e".into())));
        assert_eq!(id(br#"{"success":true,"id":null}"#), Some(None));
        assert_eq!(id(br#"{"success":false,"id":"1"}"#), None);
        assert_eq!(id(b"<html>"), None);
    }
}
