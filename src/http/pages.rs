//! The pages for people: one HTML file each, with its style and its script in it.
//!
//! Their policy (CSP level 3) names the hashes of just that style and that script, so that nothing
//! else would run, however it came into a page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{self, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use super::router::Page;
use super::{Answer, text};

const HOME: &str = include_str!("pages/home.html");
const SSE_CLIENT: &str = include_str!("pages/sse-client.html");

const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");

/// All of them.
pub(super) struct Pages {
    home: Sealed,
    sse_client: Sealed,
}

/// A page and its policy.
struct Sealed {
    html: &'static str,
    policy: HeaderValue,
}

impl Pages {
    pub(super) fn new() -> Pages {
        Pages { home: Sealed::new(HOME), sse_client: Sealed::new(SSE_CLIENT) }
    }

    pub(super) fn answer(&self, page: Page) -> Answer {
        let Sealed { html, policy } = match page {
            Page::Home => &self.home,
            Page::SseClient => &self.sse_client,
        };
        let mut answer = text("text/html; charset=utf-8", *html);
        let fixed = HeaderValue::from_static;
        answer.headers_mut().extend([
            (header::CONTENT_SECURITY_POLICY, policy.clone()),
            (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
            (header::REFERRER_POLICY, fixed("no-referrer")),
            (CROSS_ORIGIN_OPENER_POLICY, fixed("same-origin")),
        ]);
        answer
    }
}

impl Sealed {
    fn new(html: &'static str) -> Sealed {
        // The icon is part of the page too, as a data: URL.
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
            source(html, "<script>", "</script>"),
            source(html, "<style>", "</style>"),
        );
        // Never needed; and a page without its script is better than one without a policy.
        let strictest = HeaderValue::from_static("default-src 'none'");
        Sealed { html, policy: HeaderValue::try_from(policy).unwrap_or(strictest) }
    }
}

/// The source expression of what stands between two tags.
fn source(html: &str, open: &str, close: &str) -> String {
    let inside = html.split_once(open).and_then(|(_, rest)| rest.split_once(close));
    match inside {
        Some((inside, _)) => format!("'sha256-{}'", STANDARD.encode(Sha256::digest(inside))),
        None => "'none'".into(),
    }
}
