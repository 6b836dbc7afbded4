//! The HTTP front: listen, drive a connection, find its endpoint, answer or hand it off.
//!
//! hyper parses and answers; a request that is a stream leaves it together with its socket.

pub mod api;
pub mod auth;
pub mod body;
mod drive;
mod front;
mod gate;
mod head;
mod linger;
pub mod listen;
pub mod problem;
mod publish;
pub mod query;
mod router;
mod stream;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::runtime::Handle;

use crate::event::Payload;
use crate::hub::{Hub, Refused};

use body::Bodies;
use drive::{Handoff, HeadRefusal, Outcome, Serve, Timeouts, drive};
pub use front::Front;
use front::Orders;
use listen::{Listener, Newcomer};
use problem::Problem;
use query::Query;
use router::{Endpoint, Stream, Verb, route};
use stream::{Departure, Wanted};

/// A whole answer, as everything but a stream is.
pub type Answer = Response<Full<Bytes>>;

/// Any page may read what its user may read.
const ALLOW_ORIGIN: (&str, &str) = ("access-control-allow-origin", "*");
/// The request headers that a page may send, for a preflight (Fetch section 3.2.3).
const ALLOW_HEADERS: &str =
    "Authorization, Cache-Control, Content-Type, Idempotency-Key, Last-Event-ID, X-Auth-Token";
/// How long a browser may remember a preflight, in seconds.
const PREFLIGHT_AGE: &str = "86400";

/// What an operator decides about requests.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// For a whole head.
    pub head_timeout: Duration,
    /// For the next request on a connection.
    pub keep_alive: Duration,
    /// The bounds of a body.
    pub body: body::Limits,
    /// Who is believed to be whom.
    pub auth: auth::Settings,
    /// What streams are told about heartbeats.
    pub heartbeat: Duration,
    /// Whether a passing refusal of a stream lets an EventSource come back by itself.
    pub retry_streams: bool,
    /// Whether a published event is kept over a restart: 200, else 202.
    pub durable: bool,
}

/// What answers requests.
pub struct Server {
    settings: Settings,
    hub: Arc<Hub>,
    bodies: Bodies,
}

impl Server {
    /// A server for a hub.
    pub fn new(settings: Settings, hub: Arc<Hub>) -> Arc<Server> {
        Arc::new(Server { settings, hub, bodies: Bodies::new(settings.body) })
    }

    /// Takes connections and drives each in a task of the runtime that this is called on.
    pub fn listen(self: &Arc<Self>, listeners: Vec<Listener>) -> io::Result<Front> {
        let (server, runtime) = (Arc::clone(self), Handle::current());
        Front::open(listeners, move |newcomer, orders| {
            runtime.spawn(Arc::clone(&server).connection(newcomer, orders));
        })
    }

    async fn connection(self: Arc<Self>, newcomer: Newcomer, orders: Orders) {
        let Settings { head_timeout: head, keep_alive, .. } = self.settings;
        let Orders { end, refusing } = orders;
        let visitor = Visitor { server: &self, address: newcomer.address(), refusing: &refusing };
        let socket = match newcomer.into_socket() {
            Ok(socket) => socket,
            Err(error) => return tracing::error!(%error, "a connection cannot be driven"),
        };
        match drive(socket, &Timeouts { head, keep_alive }, &visitor, end).await {
            Outcome::HandedOff { socket, seat: Departure { admitted, framing, opening } } => {
                match socket.into_peer() {
                    Ok(peer) => self.hub.seat(admitted, peer, framing, opening),
                    Err(error) => tracing::error!(%error, "a stream cannot leave the front"),
                }
            }
            Outcome::Ended(ending) => tracing::trace!(?ending, "connection ended"),
        }
    }
}

/// One connection's view of the server.
struct Visitor<'a> {
    server: &'a Server,
    address: Option<IpAddr>,
    /// Whether its front refuses what is new, before the hub does.
    refusing: &'a AtomicBool,
}

impl Serve for Visitor<'_> {
    type Seat = Departure;
    type Body = Full<Bytes>;

    async fn serve(&self, request: Request<Incoming>, handoff: Handoff<Departure>) -> Answer {
        match self.respond(request).await {
            Ok(Reply::Answer(answer)) => open_to_pages(answer),
            Ok(Reply::Stream(departure)) => handoff.seat(*departure).await,
            Ok(Reply::Head(head)) => handoff.say(head).await,
            Err(problem) => open_to_pages(problem.answer()),
        }
    }

    fn refuse(&self, refusal: &HeadRefusal) -> Bytes {
        Problem::new(refusal.status, refusal.detail).closing().wire(open_to_pages)
    }

    fn fault(&self) -> Answer {
        let detail = "The server could not answer this request.";
        open_to_pages(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).answer())
    }
}

/// What a request leads to.
enum Reply {
    Answer(Answer),
    Stream(Box<Departure>),
    /// Of a stream, without one.
    Head(Bytes),
}

impl Visitor<'_> {
    async fn respond(&self, request: Request<Incoming>) -> Result<Reply, Problem> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if reads && body::has_body(request.headers()) {
            return Err(Problem::bad_request("This request must not have a body.").closing());
        }
        let (endpoint, verb) = route(request.method(), request.uri().path())?;
        if verb == Verb::Options {
            return Ok(Reply::Answer(preflight(endpoint)));
        }
        let query = Query::parse(request.uri().query())?;
        let Server { hub, .. } = self.server;
        Ok(Reply::Answer(match endpoint {
            Endpoint::Stream(stream) => return self.stream(stream, verb, &request, &query).await,
            Endpoint::Publish(publish) => {
                let asked = self.server.asked(publish, request, &query).await?;
                self.takes_more()?;
                self.server.publish(asked).await?
            }
            Endpoint::SystemStatus => json(StatusCode::OK, &hub.status()),
            Endpoint::Health => word("alive"),
            Endpoint::Ready => self.takes_more().map(|()| word("ready"))?,
        }))
    }

    async fn stream(
        &self,
        stream: Stream,
        verb: Verb,
        request: &Request<Incoming>,
        query: &Query,
    ) -> Result<Reply, Problem> {
        let Settings { auth, retry_streams, .. } = &self.server.settings;
        let wanted = Wanted::read(stream, auth, request.headers(), query, self.address)?;
        if verb == Verb::Head {
            return self.takes_more().map(|()| Reply::Head(stream::head_only(request.version())));
        }
        let admitted = match self.takes_more() {
            Ok(()) => self.server.admit(wanted, request.version()).await,
            Err(refusal) => Err(refusal),
        };
        match admitted {
            Ok(departure) => Ok(Reply::Stream(Box::new(departure))),
            Err(problem) if problem.passes() && *retry_streams => {
                Ok(Reply::Answer(stream::come_back()))
            }
            Err(problem) => Err(problem),
        }
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
    let body = Bytes::copy_from_slice(body.parts().0.as_bytes());
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn word(status: &'static str) -> Answer {
    json(StatusCode::OK, &Payload::object().text("status", Some(status)).finish())
}

/// What there is at an endpoint, and what a page may send there.
fn preflight(endpoint: Endpoint) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let allow = HeaderValue::from_static(endpoint.allow());
    let headers = answer.headers_mut();
    headers.insert(header::ALLOW, allow.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, allow);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOW_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_AGE));
    answer
}

/// Lets the code of any page read an answer, a refusal too.
fn open_to_pages(mut answer: Answer) -> Answer {
    let (name, value) = ALLOW_ORIGIN;
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}
