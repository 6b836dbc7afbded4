//! Which pages of other origins may read answers (Fetch section 3.2), and which may use a cookie.

mod cookie;
mod origin;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

pub use cookie::Foreign;
pub use origin::{NotAnOrigin, Origin};

/// The request headers that a page may send, for a preflight (Fetch section 3.2.3).
const ALLOW_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Cache-Control, Content-Type, Idempotency-Key, Last-Event-ID, X-Auth-Token",
);
/// The headers of refusals that a page cannot read unless they are named (Fetch section 3.2.3).
const EXPOSE_HEADERS: HeaderValue =
    HeaderValue::from_static("RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate");
/// How long a browser may remember a preflight, in seconds.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("86400");

/// The origins whose pages may read answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Every one.
    Any,
    /// These.
    Listed(Box<[Origin]>),
}

/// What an operator decides about the pages of other origins.
#[derive(Clone, Debug)]
pub struct Cors {
    origins: Origins,
    credentials: bool,
}

impl Cors {
    /// With `credentials`, pages of listed origins may use the browser's own: a cookie, say.
    pub fn new(origins: Origins, credentials: bool) -> Cors {
        Cors { origins, credentials }
    }

    /// What the page that sends a request may do with the answer.
    pub fn allowance(&self, request: &HeaderMap) -> Allowance {
        match (&self.origins, only(request, &header::ORIGIN)) {
            (Origins::Any, _) => Allowance::Everyone,
            (Origins::Listed(_), Ok(Some(origin))) if self.lists(origin) => {
                Allowance::Page { origin: origin.clone(), credentials: self.credentials }
            }
            (Origins::Listed(_), _) => Allowance::Nobody,
        }
    }

    /// Whether the operator named this origin. `*` names none.
    fn lists(&self, origin: &HeaderValue) -> bool {
        match &self.origins {
            Origins::Any => false,
            Origins::Listed(listed) => listed.iter().any(|one| one.is(origin)),
        }
    }
}

/// A header that there may be once; an error when there are more.
fn only<'a>(request: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Foreign> {
    let mut values = request.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Foreign),
        (value, None) => Ok(value),
    }
}

/// Who may read an answer, besides pages of our own origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// Any page.
    Everyone,
    /// The page that asks, because its origin is listed.
    Page {
        /// As the page said it.
        origin: HeaderValue,
        /// Also when the browser sent a cookie along.
        credentials: bool,
    },
    /// No page; another might get another answer.
    Nobody,
}

impl Allowance {
    /// The headers of every answer, a stream's too.
    pub fn pairs(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let all = HeaderValue::from_static("*");
        let (origin, credentials, varies) = match self {
            Allowance::Everyone => (Some(all), false, false),
            Allowance::Page { origin, credentials } => (Some(origin.clone()), *credentials, true),
            Allowance::Nobody => (None, false, true),
        };
        let yes = HeaderValue::from_static("true");
        let by_origin = HeaderValue::from_static("Origin");
        [
            origin.map(|origin| (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)),
            credentials.then_some((header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes)),
            varies.then_some((header::VARY, by_origin)),
        ]
        .into_iter()
        .flatten()
    }

    /// Adds the headers of an answer that page code is to understand, a refusal above all.
    pub fn add_to(&self, headers: &mut HeaderMap) {
        headers.extend(self.pairs());
        if *self != Allowance::Nobody {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSE_HEADERS);
        }
    }

    /// Adds the headers of the answer to a preflight.
    pub fn add_to_preflight(&self, headers: &mut HeaderMap, methods: HeaderValue) {
        headers.extend(self.pairs());
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOW_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(credentials: bool) -> Cors {
        let origins =
            ["https://app.example", "http://localhost:8080", "https://xn--pp-fka.example"];
        let origins = origins.iter().map(|text| text.parse().expect("an origin")).collect();
        Cors::new(Origins::Listed(origins), credentials)
    }

    fn from(origins: &[&str]) -> HeaderMap {
        let value = |text: &&str| HeaderValue::from_bytes(text.as_bytes()).expect("a value");
        origins.iter().map(|text| (header::ORIGIN, value(text))).collect()
    }

    /// The lines that an answer gets, sorted.
    fn lines(headers: &HeaderMap) -> Vec<String> {
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().expect("a text"))
        };
        let mut lines: Vec<String> = headers.iter().map(line).collect();
        lines.sort();
        lines
    }

    fn answer(cors: &Cors, origins: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        cors.allowance(&from(origins)).add_to(&mut headers);
        lines(&headers)
    }

    const EXPOSES: &str = "access-control-expose-headers: \
                           RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate";

    #[test]
    fn a_star_is_for_everyone_and_says_so_to_everyone() {
        let any = Cors::new(Origins::Any, false);
        let origins: [&[&str]; 4] =
            [&[], &["https://evil.example"], &["null"], &["https://a", "https://b"]];
        for origins in origins {
            assert_eq!(answer(&any, origins), ["access-control-allow-origin: *", EXPOSES]);
        }
    }

    #[test]
    fn a_listed_origin_is_named() {
        assert_eq!(
            answer(&listed(false), &["https://app.example"]),
            ["access-control-allow-origin: https://app.example", EXPOSES, "vary: Origin"]
        );
        assert_eq!(
            answer(&listed(true), &["http://localhost:8080"]),
            [
                "access-control-allow-credentials: true",
                "access-control-allow-origin: http://localhost:8080",
                EXPOSES,
                "vary: Origin"
            ]
        );
    }

    #[test]
    fn any_other_origin_learns_nothing() {
        let lookalikes: [&[&str]; 22] = [
            &[],
            &[""],
            &["null"],
            &["*"],
            &["http://app.example"],
            &["https://app.example:443"],
            &["https://app.example:8443"],
            &["https://APP.example"],
            &["HTTPS://app.example"],
            &["https://app.example."],
            &["https://app.example/"],
            &["https://app.example.evil"],
            &["https://evil-app.example"],
            &["https://sub.app.example"],
            &["https://appxexample"],
            &["https://ann@app.example"],
            &["https://app.example@evil.example"],
            &["https://\u{e1}pp.example"],
            &["https://xn--pp-fka.example.evil"],
            &["https://app.example https://evil.example"],
            &["https://app.example, https://app.example"],
            &["https://app.example", "https://app.example"],
        ];
        for origins in lookalikes {
            assert_eq!(answer(&listed(true), origins), ["vary: Origin"], "{origins:?}");
        }
    }

    #[test]
    fn what_an_answer_varies_by_already_stays() {
        let mut headers = HeaderMap::new();
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        Allowance::Nobody.add_to(&mut headers);
        assert_eq!(lines(&headers), ["vary: Accept", "vary: Origin"]);
    }

    #[test]
    fn a_preflight_names_methods_and_headers() {
        let preflight = |cors: &Cors, origins: &[&str]| {
            let mut headers = HeaderMap::new();
            cors.allowance(&from(origins))
                .add_to_preflight(&mut headers, HeaderValue::from_static("GET, HEAD"));
            lines(&headers)
        };
        let always = [
            "access-control-allow-headers: Authorization, Cache-Control, Content-Type, \
             Idempotency-Key, Last-Event-ID, X-Auth-Token",
            "access-control-allow-methods: GET, HEAD",
            "access-control-max-age: 86400",
        ];
        let with = |more: &[&str]| {
            let mut lines: Vec<String> =
                always.iter().chain(more).map(|&line| line.into()).collect();
            lines.sort();
            lines
        };
        let any = Cors::new(Origins::Any, false);
        let star = "access-control-allow-origin: *";
        assert_eq!(preflight(&any, &["https://evil.example"]), with(&[star]));
        let app = "access-control-allow-origin: https://app.example";
        assert_eq!(
            preflight(&listed(false), &["https://app.example"]),
            with(&[app, "vary: Origin"])
        );
        assert_eq!(preflight(&listed(false), &["https://evil.example"]), with(&["vary: Origin"]));
    }
}
