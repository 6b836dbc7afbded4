//! Where a key set may be fetched from.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::{Authority, Scheme};
use thiserror::Error;

/// An address that is safe to get keys from. It shows itself without its query, which may hold
/// something like an API key.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Uri);

/// Why a text is no [`Address`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// Not a whole URL.
    #[error("is no URL such as https://example.com/jwks.json")]
    Url,
    /// A password belongs into no configuration that is shown.
    #[error("must not have a user or password in it")]
    Credentials,
    /// Whoever is on the way could put his own keys in.
    #[error("must begin with https:// (http:// is for a loopback address alone)")]
    Unprotected,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let uri: Uri = text.parse().map_err(|_| AddressError::Url)?;
        let (scheme, authority) = uri.scheme().zip(uri.authority()).ok_or(AddressError::Url)?;
        if authority.as_str().contains('@') {
            return Err(AddressError::Credentials);
        }
        let is_plain = *scheme == Scheme::HTTP && is_loopback(authority);
        if is_plain || *scheme == Scheme::HTTPS {
            Ok(Address(uri))
        } else {
            Err(AddressError::Unprotected)
        }
    }
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

impl Address {
    /// All of it, to ask there.
    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }

    /// Whether it has a part that is not shown.
    pub fn has_query(&self) -> bool {
        self.0.query().is_some()
    }

    /// Whether nobody on the way can change an answer.
    pub(super) fn is_protected(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address(uri) = self;
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        write!(f, "{scheme}://{host}")?;
        uri.port().map_or(Ok(()), |port| write!(f, ":{port}"))?;
        f.write_str(uri.path())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loopback_address_may_go_unprotected() {
        for text in [
            "https://id.example/jwks.json",
            "https://id.example:8443",
            "http://localhost:8080/keys",
            "http://127.0.0.1/keys",
            "http://127.8.9.10:81/keys?x=y",
            "http://[::1]:8080/keys",
        ] {
            assert!(text.parse::<Address>().is_ok(), "{text}");
        }
        for text in [
            "http://id.example/jwks.json",
            "http://10.0.0.1/",
            "http://127.0.0.1.example/",
            "http://localhost.example/",
            "http://[::2]/",
            "http://[::ffff:10.0.0.1]/",
            "http://0.0.0.0/",
            "http://2130706433/",
            "ftp://localhost/",
            "file://localhost/etc/passwd",
        ] {
            assert_eq!(text.parse::<Address>(), Err(AddressError::Unprotected), "{text}");
        }
        for text in ["", "jwks.json", "/jwks.json", "https://", "https:///x", "https://a b/"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError::Url), "{text:?}");
        }
        let said = "https://ann:secret@id.example/".parse::<Address>().expect_err("a password");
        assert_eq!(said, AddressError::Credentials);
        assert_eq!("http://127.0.0.1@evil.example/".parse::<Address>(), Err(said));
    }

    #[test]
    fn an_address_shows_no_query() {
        let address: Address =
            "https://id.example:8443/a/b?key=hidden".parse().expect("an address");
        assert_eq!(format!("{address} {address:?}"), ["https://id.example:8443/a/b"; 2].join(" "));
    }
}
