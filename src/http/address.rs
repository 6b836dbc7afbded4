//! Where other servers are, and how they are asked.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::{Authority, Scheme};
use rustls::crypto::aws_lc_rs;
use thiserror::Error;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

/// An address that may be asked. It shows itself without its query, which may hold something like an
/// API key. As text it is one that is safe to get keys from, unless it is read by
/// [`Address::anywhere`].
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
        let address = Address::anywhere(text)?;
        match address.is_protected() || address.0.authority().is_some_and(is_loopback) {
            true => Ok(address),
            false => Err(AddressError::Unprotected),
        }
    }
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

impl Address {
    /// Reads one that may also be unprotected, whoever is on the way.
    pub fn anywhere(text: &str) -> Result<Address, AddressError> {
        let uri: Uri = text.parse().map_err(|_| AddressError::Url)?;
        let (scheme, authority) = uri.scheme().zip(uri.authority()).ok_or(AddressError::Url)?;
        if authority.as_str().contains('@') {
            return Err(AddressError::Credentials);
        }
        match *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS {
            true => Ok(Address(uri)),
            false => Err(AddressError::Unprotected),
        }
    }

    /// What asks there, and takes so long at most, from the name's look-up to the last byte. It asks
    /// the address itself: a redirect could lead anywhere. Proxies of the environment are for what is
    /// far away. Any status is an answer.
    pub fn agent(&self, timeout: Duration) -> Agent {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false);
        match self.is_protected() {
            true => config.https_only(true).build().new_agent(),
            false => config.proxy(None).build().new_agent(),
        }
    }

    /// All of it, to ask there.
    pub fn uri(&self) -> &Uri {
        &self.0
    }

    /// Whether it has a part that is not shown.
    pub fn has_query(&self) -> bool {
        self.0.query().is_some()
    }

    /// Whether nobody on the way can change an answer.
    fn is_protected(&self) -> bool {
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
    fn where_nothing_secret_comes_from_any_web_address_will_do() {
        for text in ["http://backend:8080/hook", "https://app.example/hook?key=x"] {
            assert!(Address::anywhere(text).is_ok(), "{text}");
        }
        for text in ["", "backend/hook", "ftp://backend/", "http://ann:secret@backend/"] {
            assert!(Address::anywhere(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_shows_no_query() {
        let address: Address =
            "https://id.example:8443/a/b?key=hidden".parse().expect("an address");
        assert_eq!(format!("{address} {address:?}"), ["https://id.example:8443/a/b"; 2].join(" "));
    }
}
