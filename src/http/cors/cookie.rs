//! When a cookie counts as a credential.
//!
//! Browsers send a cookie along with what any page asks for. What a page cannot choose is what the
//! browser says of it: `Origin` (Fetch section 3.1) and `Sec-Fetch-Site` (Fetch Metadata section
//! 2.3).

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use super::{Cors, only};
use crate::http::hosts::Host;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The cookie came with the request of a page that may not use it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("The session cookie is for our own pages and those of listed origins only.")]
pub struct Foreign;

/// Whose page sends a request.
enum Sender {
    Listed,
    Own,
    Unknown,
}

impl Cors {
    /// Whether the cookie of a request may be its credential. `safe` requests change nothing;
    /// `authority` is what the request is for, as it was said.
    pub fn cookie_may_be_used(
        &self,
        safe: bool,
        request: &HeaderMap,
        authority: Option<&str>,
    ) -> Result<(), Foreign> {
        let sender = self.sender(request, authority)?;
        match (sender, only(request, &SEC_FETCH_SITE)?) {
            (Sender::Listed, _) | (Sender::Own, None) => Ok(()),
            (_, Some(site)) if site == "same-origin" || site == "none" => Ok(()),
            (_, Some(_)) => Err(Foreign),
            // A browser of today says one or the other with whatever changes something.
            (Sender::Unknown, None) if safe => Ok(()),
            (Sender::Unknown, None) => Err(Foreign),
        }
    }

    fn sender(&self, request: &HeaderMap, authority: Option<&str>) -> Result<Sender, Foreign> {
        match only(request, &header::ORIGIN)? {
            None => Ok(Sender::Unknown),
            Some(origin) if self.lists(origin) => Ok(Sender::Listed),
            Some(origin) if is_own(origin, authority) => Ok(Sender::Own),
            Some(_) => Err(Foreign),
        }
    }
}

/// Whether a page came from where its request goes. The scheme may be either, because a proxy in
/// front may end TLS.
fn is_own(origin: &HeaderValue, authority: Option<&str>) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let Some((scheme, place)) = origin else { return false };
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let read = |text: &str| text.parse::<Host>().ok();
    match (read(place), authority.and_then(read)) {
        (Some(page), Some(server)) => page.or_port(default) == server.or_port(default),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::cors::Origins;

    const OWN: &str = "hub.example";

    fn listed() -> Cors {
        let origins = ["https://app.example".parse().expect("an origin")];
        Cors::new(Origins::Listed(origins.into()), true)
    }

    fn request(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &str)| {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
            (HeaderName::from_static(name), value)
        };
        fields.iter().map(field).collect()
    }

    /// Whether a GET and a POST with these fields may use the cookie.
    fn get_and_post(fields: &[(&'static str, &str)]) -> (bool, bool) {
        let may = |safe| listed().cookie_may_be_used(safe, &request(fields), Some(OWN)).is_ok();
        (may(true), may(false))
    }

    #[test]
    fn who_may_use_the_cookie() {
        let origin = |value| ("origin", value);
        let site = |value| ("sec-fetch-site", value);
        let (app, own, evil) =
            ("https://app.example", "https://hub.example", "https://evil.example");
        for (fields, get, post) in [
            (vec![], true, false),
            (vec![site("same-origin")], true, true),
            (vec![site("none")], true, true),
            (vec![site("same-site")], false, false),
            (vec![site("cross-site")], false, false),
            (vec![site("")], false, false),
            (vec![site("Same-Origin")], false, false),
            (vec![site("same-origin"), site("cross-site")], false, false),
            (vec![origin(own)], true, true),
            (vec![origin(own), site("same-origin")], true, true),
            (vec![origin(own), site("cross-site")], false, false),
            (vec![origin(app)], true, true),
            (vec![origin(app), site("cross-site")], true, true),
            (vec![origin(evil)], false, false),
            (vec![origin(evil), site("same-origin")], false, false),
            (vec![origin("null")], false, false),
            (vec![origin("null"), site("same-origin")], false, false),
            (vec![origin("")], false, false),
            (vec![origin(app), origin(app)], false, false),
            (vec![origin(own), origin(evil)], false, false),
        ] {
            assert_eq!(get_and_post(&fields), (get, post), "{fields:?}");
        }
    }

    #[test]
    fn a_star_lists_nobody() {
        let any = Cors::new(Origins::Any, false);
        let may = |origin| any.cookie_may_be_used(true, &request(&[("origin", origin)]), Some(OWN));
        assert_eq!(may("https://evil.example"), Err(Foreign));
        assert_eq!(may("*"), Err(Foreign));
        assert_eq!(may("https://hub.example"), Ok(()));
    }

    fn own(origin: &str, authority: &str) -> bool {
        let origin = HeaderValue::from_bytes(origin.as_bytes()).expect("a value");
        is_own(&origin, Some(authority))
    }

    #[test]
    fn our_own_pages_come_from_where_they_ask() {
        for (origin, authority) in [
            ("https://hub.example", "hub.example"),
            ("http://hub.example", "hub.example"),
            ("https://hub.example", "Hub.EXAMPLE"),
            ("https://HUB.example", "hub.example"),
            ("https://hub.example", "hub.example:443"),
            ("https://hub.example:443", "hub.example"),
            ("http://hub.example", "hub.example:80"),
            ("http://hub.example:3000", "hub.example:3000"),
            ("http://127.0.0.1:3000", "127.0.0.1:3000"),
            ("http://[::1]:3000", "[0:0::1]:3000"),
        ] {
            assert!(own(origin, authority), "{origin} {authority}");
        }
    }

    #[test]
    fn what_looks_like_our_own_page_is_another() {
        for (origin, authority) in [
            ("https://hub.example", "hub.example:80"),
            ("http://hub.example", "hub.example:443"),
            ("https://hub.example:8443", "hub.example"),
            ("https://hub.example", "hub.example:3000"),
            ("https://hub.example.evil", "hub.example"),
            ("https://evilhub.example", "hub.example"),
            ("https://sub.hub.example", "hub.example"),
            ("https://hub.example.", "hub.example"),
            ("https://hub.example.", "hub.example."),
            ("https://hub.example@evil.example", "hub.example"),
            ("https://evil.example@hub.example", "hub.example"),
            ("https://hub.example/", "hub.example"),
            ("https://hub.example#", "hub.example"),
            ("https://hub.example\\evil", "hub.example"),
            ("https://h\u{fc}b.example", "hub.example"),
            ("https://xn--hb-xka.example", "hub.example"),
            ("https://h%75b.example", "hub.example"),
            ("HTTPS://hub.example", "hub.example"),
            ("ftp://hub.example", "hub.example"),
            ("chrome-extension://hub.example", "hub.example"),
            ("hub.example", "hub.example"),
            ("https://", ""),
            ("null", "null"),
            ("https://hub.example https://hub.example", "hub.example"),
        ] {
            assert!(!own(origin, authority), "{origin} {authority}");
        }
        assert!(!is_own(&HeaderValue::from_static("https://hub.example"), None));
    }
}
