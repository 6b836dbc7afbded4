//! The name of a page's place on the web.

use std::fmt;
use std::str::FromStr;

use hyper::header::HeaderValue;
use thiserror::Error;

/// An origin as browsers write it (RFC 6454 section 6.2): scheme, host, and a port that is not the
/// scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// Why a text is no [`Origin`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("is no origin; write it as browsers do, like https://app.example or http://localhost:8080")]
pub struct NotAnOrigin;

impl FromStr for Origin {
    type Err = NotAnOrigin;

    /// Takes only what a browser could send: anything else would never match, and its author would
    /// look for the reason elsewhere.
    fn from_str(text: &str) -> Result<Origin, NotAnOrigin> {
        let (scheme, authority) = text.split_once("://").ok_or(NotAnOrigin)?;
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if !authority.ends_with(']') => {
                let number: u16 = port.parse().map_err(|_| NotAnOrigin)?;
                let own = matches!((scheme, number), ("http", 80) | ("https", 443));
                if own || number.to_string() != port {
                    return Err(NotAnOrigin);
                }
                host
            }
            _ => authority,
        };
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
        let host_is_one = match bracketed {
            Some(address) => {
                address.parse::<std::net::Ipv6Addr>().is_ok_and(|v6| v6.to_string() == address)
            }
            None => !host.is_empty() && host.chars().all(plain),
        };
        let scheme_is_one = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
        match host_is_one && scheme_is_one {
            true => text.parse().map(Origin).map_err(|_| NotAnOrigin),
            false => Err(NotAnOrigin),
        }
    }
}

impl Origin {
    /// Whether a page says that it is of this origin. Compared byte by byte: browsers write each
    /// origin in one way, and what only looks alike is another.
    pub fn is(&self, said: &HeaderValue) -> bool {
        self.0 == *said
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_could_send_is_kept_as_it_is() {
        for text in [
            "https://app.example",
            "http://localhost:8080",
            "http://127.0.0.1:3000",
            "https://[::1]",
            "http://[2001:db8::1]:8080",
            "https://xn--pp-fka.example",
            "chrome-extension://abcdefghijklmnop",
        ] {
            let origin: Origin = text.parse().expect("an origin");
            assert_eq!(origin.to_string(), text);
            assert!(origin.is(&HeaderValue::from_static(text)));
        }
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        for text in [
            "",
            "*",
            "null",
            "app.example",
            "https://",
            "://app.example",
            "https://App.example",
            "HTTPS://app.example",
            "https://app.example/",
            "https://app.example:443",
            "http://app.example:80",
            "https://app.example:0443",
            "https://app.example:",
            "https://app.example:65536",
            "https://ann@app.example",
            "https://app.example?x",
            "https://\u{430}pp.example",
            "https://[0:0::1]",
            "https://[app]",
            "https://a b",
            "https://*.example",
            "https://a.example,https://b.example",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(NotAnOrigin), "{text}");
        }
    }
}
