//! The session: the credential of whoever has signed in on our pages, in a cookie that no script
//! can read.
//!
//! It is a token like any other, so there is nothing to keep here and nothing to clean up. Whoever
//! may use a cookie may set one: a foreign page that could sign its visitor in as somebody else
//! would be told what he writes from then on.

use std::time::{Duration, SystemTime};

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Request, StatusCode};

use super::api::Fields;
use super::api::credentials::{SignIn, sign_in};
use super::auth::Place;
use super::auth::secret::Secret;
use super::problem::Problem;
use super::query::Query;
use super::router::Session;
use super::{Answer, Visitor, hosts, json};
use crate::event::Payload;
use crate::identity::{Identity, Stamp};
use crate::json::Object;

/// The longest cookie that browsers take, name and value, in bytes (RFC 6265bis section 5.7).
const LONGEST_COOKIE: usize = 4096;

impl Visitor<'_> {
    /// Begins the session, ends it, or shows it; each answers who is signed in from then on.
    pub(super) async fn session(
        &self,
        session: Session,
        request: Request<Incoming>,
        query: &Query,
    ) -> Result<Answer, Problem> {
        match session {
            Session::Show => {
                let caller = self.let_in(&request, query, None)?.identity;
                Ok(self.signed_in_is(caller.as_deref()))
            }
            Session::SignIn => self.sign_in(request).await,
            Session::SignOut => {
                self.check_page(&request)?;
                let cookie = self.cookie(None, self.is_secure(request.headers()))?;
                Ok(with_cookie(self.signed_in_is(None), cookie))
            }
        }
    }

    async fn sign_in(&self, request: Request<Incoming>) -> Result<Answer, Problem> {
        self.check_page(&request)?;
        let doors = &self.server.doors;
        let address = doors.proxies.client(self.peer, request.headers());
        doors.rates.may_try(address)?;
        let (target, secure) = (request.uri().clone(), self.is_secure(request.headers()));
        let body = self.server.bodies.read_small(request).await?;
        let token = match sign_in(&Fields(&Object::parse(&body)?))? {
            SignIn::Token(token) => token,
            SignIn::Name(name, roles) => {
                let token = doors.authority.demo_token(&name, &roles);
                token.ok_or_else(|| {
                    Problem::forbidden("Names alone are believed under --dev only.")
                })?
            }
        };
        let identity = self.whose(&token, Place::Body);
        let identity = identity.map_err(|why| self.bad_credential(&target, why, address))?;
        let cookie = self.cookie(Some((&token, identity.expires())), secure)?;
        Ok(with_cookie(self.signed_in_is(Some(&identity)), cookie))
    }

    /// Refuses the pages that may not use the cookie.
    fn check_page(&self, request: &Request<Incoming>) -> Result<(), Problem> {
        let (headers, authority) = (request.headers(), hosts::authority(request));
        Ok(self.server.doors.cors.cookie_may_be_used(false, headers, authority)?)
    }

    /// Whether the browser shall keep the cookie to https: the page came by it, as its origin says, or
    /// the cookie's name demands it (RFC 6265bis section 4.1.3).
    fn is_secure(&self, request: &HeaderMap) -> bool {
        let name = &self.server.doors.authority.settings().cookie;
        let origin = request.get(header::ORIGIN);
        let by_https = origin.is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
        by_https || ["__Host-", "__Secure-"].iter().any(|prefix| name.starts_with(prefix))
    }

    fn signed_in_is(&self, identity: Option<&Identity>) -> Answer {
        let by_name = self.server.doors.authority.settings().demo_tokens;
        let roles = identity.into_iter().flat_map(|identity| identity.roles.names());
        let expires = identity.and_then(Identity::expires).map(Stamp::time);
        let body = Payload::object()
            .truth("success", true)
            .text("userId", identity.map(|identity| identity.user.as_str()))
            .text("username", identity.map(|identity| identity.username.as_str()))
            .texts("roles", roles)
            .optional_time("expiresAt", expires)
            .truth("signInByName", by_name);
        json(StatusCode::OK, &body.finish())
    }

    /// The session's cookie with this token, or with none.
    fn cookie(
        &self,
        token: Option<(&Secret, Option<Stamp>)>,
        secure: bool,
    ) -> Result<HeaderValue, Problem> {
        let name = &self.server.doors.authority.settings().cookie;
        let value = token.map_or("", |(token, _)| token.expose());
        if name.len() + value.len() > LONGEST_COOKIE {
            return Err(Problem::field("token", "is too long for a cookie"));
        }
        let lasts = match token {
            Some((_, expires)) => expires.map(|end| end.since(Stamp::of(SystemTime::now()))),
            None => Some(Duration::ZERO),
        };
        let lasts = lasts.map_or(String::new(), |time| format!("; Max-Age={}", time.as_secs()));
        let secure = if secure { "; Secure" } else { "" };
        let line = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{lasts}");
        // What is a credential consists of characters that a cookie may have.
        let mut cookie = HeaderValue::try_from(line).map_err(|_| Problem::unauthorized(true))?;
        cookie.set_sensitive(true);
        Ok(cookie)
    }
}

fn with_cookie(mut answer: Answer, cookie: HeaderValue) -> Answer {
    answer.headers_mut().insert(header::SET_COOKIE, cookie);
    answer
}
