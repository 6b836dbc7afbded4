//! Where a credential stands in a request.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE};

use super::secret::Secret;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// What a request presents, not yet looked into.
#[derive(Debug, PartialEq, Eq)]
pub enum Presented {
    /// Nothing.
    Nothing,
    /// A token.
    Token(Secret, Place),
    /// A ticket, which is for streams.
    Ticket(Secret),
}

/// Where a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the URL, and so in every log on the way.
    Query,
    /// In `Authorization: Bearer` or `X-Auth-Token`.
    Header,
    /// In the session cookie, which browsers send whoever asks them to.
    Cookie,
    /// In the body of a sign-in.
    Body,
}

impl Presented {
    /// Looks where credentials may stand. An explicit one goes before the cookie.
    ///
    /// # Errors
    /// 400 when there are two different ones, or the parameter is repeated.
    pub fn find(headers: &HeaderMap, query: &Query, cookie: &str) -> Result<Presented, Problem> {
        let mut tokens: Vec<(String, Place)> = Vec::new();
        tokens.extend(query.one("token")?.map(|token| (token.to_owned(), Place::Query)));
        let authorization = headers.get_all(AUTHORIZATION).iter();
        let bearer = authorization.filter_map(|value| bearer(value.as_bytes()));
        let field = headers.get_all("x-auth-token").iter().map(|value| value.as_bytes());
        tokens.extend(bearer.chain(field).map(|token| (lossy(token), Place::Header)));
        let ticket = query.one("ticket")?;
        let explicit = one_of(tokens)?;
        match (explicit, ticket) {
            (Some(_), Some(_)) => Err(two_credentials()),
            (Some((token, place)), None) => Ok(Presented::Token(Secret::new(token), place)),
            (None, Some(ticket)) => Ok(Presented::Ticket(Secret::new(ticket))),
            (None, None) => {
                let cookies = cookies(headers, cookie).map(|token| (lossy(token), Place::Cookie));
                let token = one_of(cookies.collect())?;
                Ok(token.map_or(Presented::Nothing, |(token, place)| {
                    Presented::Token(Secret::new(token), place)
                }))
            }
        }
    }
}

/// The same token at two places is one credential.
fn one_of(mut tokens: Vec<(String, Place)>) -> Result<Option<(String, Place)>, Problem> {
    tokens.dedup_by(|(later, _), (earlier, _)| later == earlier);
    match tokens.len() {
        0 | 1 => Ok(tokens.pop()),
        _ => Err(two_credentials()),
    }
}

fn two_credentials() -> Problem {
    Problem::bad_request("The request has two different credentials.")
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1), empty if there is none behind it.
/// Other schemes are for others, a proxy's for instance.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(value.len());
    let (scheme, token) = value.split_at(end);
    scheme.eq_ignore_ascii_case(b"Bearer").then(|| token.trim_ascii())
}

/// The values of the cookies of this name (RFC 6265 section 5.4).
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(COOKIE).iter().map(|value| value.as_bytes());
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    pairs.filter_map(move |pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Bytes that are no text are no valid token either.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn find(query: &str, fields: &[(&'static str, &str)]) -> Result<Presented, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let value = HeaderValue::from_str(value).expect("a value");
            headers.append(HeaderName::from_static(name), value);
        }
        let query = Query::parse(Some(query)).expect("a query");
        let found = Presented::find(&headers, &query, "__Host-s");
        found.map_err(|problem| problem.status.as_u16())
    }

    fn token(text: &str, place: Place) -> Result<Presented, u16> {
        Ok(Presented::Token(Secret::new(text), place))
    }

    #[test]
    fn each_place_is_looked_at_and_an_explicit_one_goes_first() {
        assert_eq!(find("", &[]), Ok(Presented::Nothing));
        assert_eq!(find("token=a", &[]), token("a", Place::Query));
        assert_eq!(find("", &[("authorization", "Bearer a")]), token("a", Place::Header));
        assert_eq!(find("", &[("x-auth-token", "a")]), token("a", Place::Header));
        let cookie = ("cookie", "x=1; __Host-s=a; y=2");
        assert_eq!(find("", &[cookie]), token("a", Place::Cookie));
        assert_eq!(find("token=b", &[cookie]), token("b", Place::Query));
        assert_eq!(find("ticket=t", &[cookie]), Ok(Presented::Ticket(Secret::new("t"))));
        assert_eq!(find("token=a", &[("x-auth-token", "a")]), token("a", Place::Query));
    }

    #[test]
    fn two_different_ones_are_refused_wherever_they_stand() {
        let bearer = ("authorization", "Bearer a");
        for (query, fields) in [
            ("token=b", &[bearer][..]),
            ("ticket=a", &[bearer]),
            ("token=a&ticket=a", &[]),
            ("token=a&token=a", &[]),
            ("ticket=a&ticket=b", &[]),
            ("", &[bearer, ("authorization", "Bearer b")]),
            ("", &[bearer, ("x-auth-token", "")]),
            ("", &[("cookie", "__Host-s=a; __Host-s=b")]),
        ] {
            assert_eq!(find(query, fields), Err(400), "{query} {fields:?}");
        }
        assert_eq!(
            find("", &[("cookie", "__Host-s=a"), ("cookie", "__Host-s=a")]),
            token("a", Place::Cookie)
        );
    }

    #[test]
    fn odd_forms_of_bearer_are_bad_tokens_or_nobody_s() {
        for (value, expected) in [
            ("bEARER a", "a"),
            ("Bearer    a", "a"),
            ("Bearer\ta", "a"),
            ("Bearer", ""),
            ("Bearer a b", "a b"),
            ("Bearer a, Bearer b", "a, Bearer b"),
            ("Bearer \"a\"", "\"a\""),
        ] {
            assert_eq!(
                find("", &[("authorization", value)]),
                token(expected, Place::Header),
                "{value}"
            );
        }
        for value in ["Basic YTpi", "Bearera", "Bear a", "", "a"] {
            assert_eq!(find("", &[("authorization", value)]), Ok(Presented::Nothing), "{value}");
        }
    }

    #[test]
    fn only_the_cookie_of_that_name_counts() {
        for cookie in ["__host-s=a", "x__Host-s=a", "__Host-s", "__Host-s2=a", "a=__Host-s=b"] {
            assert_eq!(find("", &[("cookie", cookie)]), Ok(Presented::Nothing), "{cookie}");
        }
        assert_eq!(find("", &[("cookie", "__Host-s=a=b")]), token("a=b", Place::Cookie));
    }
}
