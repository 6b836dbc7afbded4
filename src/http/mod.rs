//! The HTTP front: listen, drive a connection, find its endpoint, answer or hand it off.
//!
//! hyper parses and answers; a request that is a stream leaves it together with its socket.

mod accept;
pub mod address;
pub mod api;
pub mod auth;
pub mod body;
mod checks;
mod connections;
pub mod cors;
mod drive;
mod front;
mod gate;
mod head;
pub mod hosts;
mod linger;
pub mod listen;
mod manage;
mod membership;
mod mount;
mod openapi;
mod pages;
mod presence;
pub mod problem;
pub mod proxies;
mod publish;
pub mod query;
pub mod rates;
mod redact;
mod router;
mod session;
mod stream;
mod trade;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use crate::event::Payload;
use crate::hub::{Hub, Refused};
use crate::identity::Identity;
use crate::metrics::MEDIA_TYPE;

use auth::Authority;
use body::Bodies;
use cors::{Allowance, Cors};
use drive::{Handoff, HeadRefusal, Serve};
pub use front::Front;
use hosts::Hosts;
pub use mount::{Mount, Routes};
use pages::Pages;
use problem::Problem;
use proxies::Proxies;
use query::Query;
use rates::Rates;
use router::{Endpoint, Route, Stream, route};
use stream::{Departure, Wanted};

/// How often the rates of those who have not come again are forgotten.
const FORGET_RATES: Duration = Duration::from_secs(60);

/// A whole answer, as everything but a stream is.
pub type Answer = Response<Full<Bytes>>;

/// What an operator decides about requests.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// For a whole head.
    pub head_timeout: Duration,
    /// For the next request on a connection.
    pub keep_alive: Duration,
    /// The bounds of a body.
    pub body: body::Limits,
    /// What streams are told about heartbeats.
    pub heartbeat: Duration,
    /// Whether a passing refusal of a stream lets an EventSource come back by itself.
    pub retry_streams: bool,
    /// Whether a stream that its client may not have is one with an error in it, as the guide has it.
    pub errors_in_streams: bool,
    /// Whether a published event is kept over a restart: 200, else 202.
    pub durable: bool,
}

/// What requests pass on their way in.
pub struct Doors {
    /// Whose word on clients counts.
    pub proxies: Proxies,
    /// The names that this server answers to.
    pub hosts: Hosts,
    /// Which pages may read answers.
    pub cors: Cors,
    /// How often somebody may come.
    pub rates: Rates,
    /// Who is believed to be whom.
    pub authority: Authority,
}

/// What answers requests.
pub struct Server {
    settings: Settings,
    doors: Doors,
    hub: Arc<Hub>,
    bodies: Bodies,
    pages: Pages,
}

impl Server {
    /// A server for a hub.
    pub fn new(settings: Settings, doors: Doors, hub: Arc<Hub>) -> Arc<Server> {
        let (bodies, pages) = (Bodies::new(settings.body), Pages::new());
        Arc::new(Server { settings, doors, hub, bodies, pages })
    }

    /// Forgets now and then who has come too often. Never ends.
    pub async fn tend(&self) {
        loop {
            tokio::time::sleep(FORGET_RATES).await;
            self.doors.rates.tidy();
        }
    }
}

/// One connection's view of the server.
struct Visitor<'a> {
    server: &'a Server,
    /// The address at the other end, or behind the proxy there; none on a unix socket.
    peer: Option<IpAddr>,
    /// Whether its front refuses what is new, before the hub does.
    refusing: &'a AtomicBool,
}

impl Serve for Visitor<'_> {
    type Seat = Departure;
    type Body = Full<Bytes>;

    async fn serve(&self, request: Request<Incoming>, handoff: Handoff<Departure>) -> Answer {
        let allowance = self.server.doors.cors.allowance(request.headers());
        let mut answer = match self.respond(request, &allowance).await {
            Ok(Reply::Answer(answer)) => self.counted(answer),
            Ok(Reply::Refusal(answer)) => answer,
            Ok(Reply::Options(allow)) => return self.counted(options(&allow, &allowance)),
            Ok(Reply::Stream(departure)) => handoff.seat(*departure).await,
            Ok(Reply::Head(head)) => handoff.say(head).await,
            Err(problem) => self.counted(problem.answer()),
        };
        allowance.add_to(answer.headers_mut());
        answer
    }

    fn refuse(&self, refusal: &HeadRefusal) -> Bytes {
        self.count(refusal.status);
        Problem::new(refusal.status, refusal.detail).closing().wire(|answer| self.to_anyone(answer))
    }

    fn fault(&self) -> Answer {
        let detail = "The server could not answer this request.";
        let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail);
        self.to_anyone(self.counted(problem.answer()))
    }
}

/// What a request leads to.
enum Reply {
    Answer(Answer),
    /// A refusal of a stream in the form of one, already counted as what it is.
    Refusal(Answer),
    /// What there is, and what a page may send there.
    Options(String),
    Stream(Box<Departure>),
    /// Of a stream, without one.
    Head(Bytes),
}

impl Visitor<'_> {
    fn count(&self, status: StatusCode) {
        self.server.hub.metrics().answered(status.as_u16());
    }

    fn counted(&self, answer: Answer) -> Answer {
        self.count(answer.status());
        answer
    }

    /// To a request whose origin is not known.
    fn to_anyone(&self, mut answer: Answer) -> Answer {
        self.server.doors.cors.allowance(&HeaderMap::new()).add_to(answer.headers_mut());
        answer
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        allowance: &Allowance,
    ) -> Result<Reply, Problem> {
        let route = route(request.method(), request.uri().path())?;
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if reads && body::has_body(request.headers()) {
            return Err(Problem::bad_request("This request must not have a body.").closing());
        }
        self.check_host(&request)?;
        let (endpoint, head, path) = match route {
            Route::Options(allow) => return Ok(Reply::Options(allow)),
            Route::To { endpoint, head, path } => (endpoint, head, path),
        };
        let query = Query::parse(request.uri().query())?;
        let Server { hub, .. } = self.server;
        Ok(Reply::Answer(match endpoint {
            Endpoint::Stream(stream) => {
                let streamed = self.stream(stream, head, &request, &query, allowance).await;
                return match streamed {
                    Err(problem) if !head => self.refuse_stream(problem),
                    streamed => streamed,
                };
            }
            Endpoint::Publish(publish) => {
                let is_managers = path == Stream::Manager.path();
                let caller = self.known_caller(&request, &query, is_managers)?;
                let asked = self.server.asked(publish, &path, request, &caller).await?;
                self.takes_more()?;
                self.server.publish(asked).await?
            }
            Endpoint::Credentials(credentials) => {
                let caller = self.known_caller(&request, &query, false)?;
                self.server.trade(credentials, request, &caller).await?
            }
            Endpoint::Membership(membership) => {
                let caller = self.known_caller(&request, &query, false)?;
                self.server.membership(membership, request, &caller).await?
            }
            Endpoint::Manage(manage) => {
                let caller = self.known_caller(&request, &query, true)?;
                self.server.manage(manage, &query, &caller).await?
            }
            // Also whoever shows a credential that is of no use any more sees where to sign in.
            Endpoint::Page(page) => self.server.pages.answer(page),
            Endpoint::Session(session) => self.session(session, request, &query).await?,
            Endpoint::Presence(presence) => {
                let caller = self.known_caller(&request, &query, false)?;
                self.server.presence(&presence, &query, &caller)?
            }
            Endpoint::SystemStatus => {
                self.let_in(&request, &query, None)?;
                json(StatusCode::OK, &hub.status())
            }
            Endpoint::Health => {
                self.probed(&request, &query)?;
                word("alive")
            }
            Endpoint::Ready => {
                self.probed(&request, &query)?;
                self.takes_more()?;
                word("ready")
            }
            Endpoint::Metrics => {
                self.let_in(&request, &query, None)?;
                text(MEDIA_TYPE, hub.metrics_text())
            }
            Endpoint::Description => {
                self.let_in(&request, &query, None)?;
                openapi::answer()
            }
        }))
    }

    /// Who sends a request that must be somebody's. Under `--dev` whoever says nothing is the manager
    /// where that is his to ask, unless a foreign page asks.
    fn known_caller(
        &self,
        request: &Request<Incoming>,
        query: &Query,
        is_managers: bool,
    ) -> Result<Arc<Identity>, Problem> {
        let Doors { authority, cors, .. } = &self.server.doors;
        let caller = self.let_in(request, query, None)?.identity;
        let by_own_page =
            || cors.cookie_may_be_used(true, request.headers(), hosts::authority(request)).is_ok();
        let manager = || (is_managers && by_own_page()).then(|| authority.manager()).flatten();
        caller.or_else(|| manager().map(Arc::new)).ok_or_else(|| Problem::unauthorized(false))
    }

    async fn stream(
        &self,
        stream: Stream,
        head: bool,
        request: &Request<Incoming>,
        query: &Query,
        allowance: &Allowance,
    ) -> Result<Reply, Problem> {
        let caller = self.let_in(request, query, Some(stream))?;
        let trust_user_id = self.server.doors.authority.settings().trust_user_id;
        let hub = &self.server.hub;
        let wanted = Wanted::read(stream, caller, trust_user_id, hub, request.headers(), query)?;
        self.takes_more()?;
        if head {
            return Ok(Reply::Head(stream::head_only(request.version(), allowance)));
        }
        let departure = self.server.admit(wanted, request.version(), allowance).await?;
        Ok(Reply::Stream(Box::new(departure)))
    }

    /// A refusal of a stream, in the form that the operator wants it to have.
    fn refuse_stream(&self, problem: Problem) -> Result<Reply, Problem> {
        let Settings { retry_streams, errors_in_streams, .. } = self.server.settings;
        let answer = match problem.status {
            StatusCode::NO_CONTENT => stream::nothing(),
            _ if problem.passes() && retry_streams => stream::come_back(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if errors_in_streams => {
                stream::with_error(&problem)
            }
            _ => return Err(problem),
        };
        self.count(problem.status);
        Ok(Reply::Refusal(answer))
    }

    /// Refuses what is new once the server ends.
    fn takes_more(&self) -> Result<(), Problem> {
        match self.refusing.load(Ordering::Relaxed) || self.server.hub.is_draining() {
            true => Err(Refused::Draining.into()),
            false => Ok(()),
        }
    }
}

/// An answer of JSON.
fn json(status: StatusCode, body: &Payload) -> Answer {
    let mut answer = text("application/json", body.parts().0.to_owned());
    *answer.status_mut() = status;
    answer
}

/// An answer of text that is of this moment.
fn text(media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn word(status: &'static str) -> Answer {
    json(StatusCode::OK, &Payload::object().text("status", Some(status)).finish())
}

/// What there is at an endpoint, and what a page may send there.
fn options(allow: &str, allowance: &Allowance) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    // The names of methods are ASCII.
    if let Ok(allow) = HeaderValue::from_str(allow) {
        allowance.add_to_preflight(headers, allow.clone());
        headers.insert(header::ALLOW, allow);
    }
    answer
}
