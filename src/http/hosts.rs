//! The names that this server answers to.
//!
//! A page whose name was bound anew to this server's address (DNS rebinding) is of the same origin
//! for the browser; its `Host` gives it away.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use hyper::Request;
use hyper::header::HOST;
use thiserror::Error;

/// The hosts that requests may be for; an empty list is every one.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Vec<Host>);

impl Hosts {
    /// These hosts.
    pub fn new(hosts: Vec<Host>) -> Hosts {
        Hosts(hosts)
    }

    /// Whether a request may be for this authority; `None` when it does not say what it is for.
    pub fn allows(&self, authority: Option<&str>) -> bool {
        let asked = || authority.and_then(|text| text.parse::<Host>().ok());
        self.0.is_empty() || asked().is_some_and(|asked| self.0.iter().any(|host| host.is(&asked)))
    }
}

/// What a request is for: the authority of its target, else its `Host` (RFC 9112 section 3.2.2).
pub fn authority<B>(request: &Request<B>) -> Option<&str> {
    let of_target = request.uri().authority().map(|authority| authority.as_str());
    of_target.or_else(|| request.headers().get(HOST)?.to_str().ok())
}

/// A host, with a port or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// In lower case; an IPv6 address in brackets.
    name: Box<str>,
    port: Option<u16>,
}

/// Why a text is no [`Host`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("is no host; write it like app.example, app.example:8080 or [::1]")]
pub struct NotAHost;

impl Host {
    /// The same, with this port if there is none.
    #[must_use]
    pub fn or_port(self, default: u16) -> Host {
        Host { port: self.port.or(Some(default)), ..self }
    }

    /// Whether this entry of a list is for a host that a request asks for. Clients leave out the
    /// port of their scheme, which only the proxy knows that may end TLS.
    fn is(&self, asked: &Host) -> bool {
        let port_is_one = match (self.port, asked.port) {
            (None, _) => true,
            (Some(port), None) => matches!(port, 80 | 443),
            (some, asked) => some == asked,
        };
        port_is_one && self.name == asked.name
    }
}

impl FromStr for Host {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Host, NotAHost> {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !text.ends_with(']') => {
                let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                let port: Option<u16> = digits.then(|| port.parse().ok()).flatten();
                (name, Some(port.ok_or(NotAHost)?))
            }
            _ => (text, None),
        };
        let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let name = match bracketed {
            Some(address) => {
                let address: Ipv6Addr = address.parse().map_err(|_| NotAHost)?;
                format!("[{address}]")
            }
            None if name.split('.').all(is_label) => name.to_ascii_lowercase(),
            None => return Err(NotAHost),
        };
        Ok(Host { name: name.into(), port })
    }
}

/// Whether this may stand between the dots of a name. None is empty: `app.example.` is the same
/// host to the resolver, and another to cookies and certificates.
fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(texts: &[&str]) -> Hosts {
        Hosts::new(texts.iter().map(|text| text.parse().expect("a host")).collect())
    }

    #[test]
    fn without_a_list_every_host_is_allowed() {
        for authority in [Some("evil.example"), Some("a@b"), Some(""), None] {
            assert!(hosts(&[]).allows(authority), "{authority:?}");
        }
    }

    #[test]
    fn a_listed_name_is_allowed_on_every_port() {
        let hosts = hosts(&["App.example", "[::1]"]);
        for authority in [
            "app.example",
            "APP.EXAMPLE",
            "app.example:80",
            "app.example:65535",
            "[::1]",
            "[::1]:3000",
            "[0:0:0:0:0:0:0:1]",
        ] {
            assert!(hosts.allows(Some(authority)), "{authority}");
        }
    }

    #[test]
    fn a_listed_port_is_meant() {
        let hosts = hosts(&["app.example:8080", "hub.example:443"]);
        for authority in ["app.example:8080", "hub.example:443", "hub.example"] {
            assert!(hosts.allows(Some(authority)), "{authority}");
        }
        for authority in ["app.example", "app.example:80", "hub.example:80", "hub.example:8080"] {
            assert!(!hosts.allows(Some(authority)), "{authority}");
        }
    }

    #[test]
    fn every_other_host_is_refused() {
        let hosts = hosts(&["app.example", "[::1]"]);
        for authority in [
            "",
            ":80",
            "evil.example",
            "app.example.evil",
            "sub.app.example",
            "xapp.example",
            "app.example.",
            ".app.example",
            "app..example",
            "app.example:",
            "app.example:+80",
            "app.example:80:80",
            "app.example:65536",
            "ann@app.example",
            "app.example@evil.example",
            "app.example, app.example",
            "app.example evil.example",
            " app.example",
            "app.example\t",
            "app.example/",
            "app\u{ff0e}example",
            "\u{430}pp.example",
            "::1",
            "[::1",
            "[::1]x",
            "[::1%25lo]",
            "[[::1]]",
        ] {
            assert!(!hosts.allows(Some(authority)), "{authority}");
        }
        assert!(!hosts.allows(None));
    }

    #[test]
    fn the_target_says_more_than_the_host_field() {
        let request = |target: &str, host: Option<&[u8]>| {
            let mut request = Request::builder().uri(target);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            request.body(()).expect("a request")
        };
        let app: Option<&[u8]> = Some(b"app.example:80");
        assert_eq!(authority(&request("/x", app)), Some("app.example:80"));
        let absolute = request("http://evil.example/x", app);
        assert_eq!(authority(&absolute), Some("evil.example"));
        let with_user = request("http://app.example@evil.example/x", app);
        assert!(!hosts(&["app.example"]).allows(authority(&with_user)));
        assert_eq!(authority(&request("/x", None)), None);
        assert_eq!(authority(&request("/x", Some(b"\xe1pp.example"))), None);
    }

    #[test]
    fn a_host_is_shown_as_it_is_compared() {
        for (text, shown) in
            [("App.Example:08080", "app.example:8080"), ("[0::1]", "[::1]"), ("a_b", "a_b")]
        {
            assert_eq!(text.parse::<Host>().map(|host| host.to_string()).as_deref(), Ok(shown));
        }
    }
}
