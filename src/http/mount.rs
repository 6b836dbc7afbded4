//! Rill next to a program's own routes, on the same port and the same connections.
//!
//! A stream leaves hyper together with its socket, which no [`Service`] can do for itself. So it is
//! the other way round: Rill drives the connection, and the program's service answers what is not
//! Rill's.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::{Request, Response};
use tokio::runtime::Handle;

use super::drive::{Handoff, HeadRefusal, Serve};
use super::front::{Front, Orders};
use super::listen::{Accepted, Listener};
use super::router;
use super::stream::Departure;
use super::{Server, Visitor};

/// What goes wrong in a program's own answers.
type BoxError = Box<dyn Error + Send + Sync>;

/// A program's own answers: every hyper service whose bodies are of [`Bytes`], as those of axum and
/// tower are by way of `hyper_util::service::TowerToHyperService`.
pub trait Routes: Send + Sync + 'static {
    /// The body of an answer; it may be a stream of its own.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// Answers a request.
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Self::Body>, BoxError>> + Send;
}

impl<S, B> Routes for S
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>,
    S: Send + Sync + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<B>, BoxError> {
        self.call(request).await.map_err(Into::into)
    }
}

/// A program's routes, and which of Rill's paths it has for itself.
///
/// What every connection must keep to, its routes' requests keep to as well: the form and size of a
/// head, the time for it, a peer that takes nothing for 30 s, `Connection: close` while draining. All
/// else is the program's: every method and OPTIONS at its paths, 404, the size and time of bodies,
/// CORS, hosts, rates and metrics. A route that fails or panics is answered 500, and the connection
/// goes on. There is no upgrade to other protocols.
pub struct Mount<R> {
    routes: R,
    kept: Vec<String>,
}

impl<R: Routes> Mount<R> {
    /// Every path at which Rill has nothing is the program's, however strange it looks.
    pub fn new(routes: R) -> Mount<R> {
        Mount { routes, kept: Vec::new() }
    }

    /// The program has these paths for itself as well, were they Rill's: `/` or `/metrics`, say. They
    /// are compared as Rill's are, after one percent-decoding.
    #[must_use]
    pub fn keeping(mut self, paths: &[&str]) -> Mount<R> {
        self.kept.extend(paths.iter().map(|path| (*path).to_owned()));
        self
    }

    fn leaves(&self, path: &str) -> bool {
        router::known(path).is_some_and(|path| !self.kept.contains(&path))
    }
}

impl Server {
    /// As [`Server::listen`], next to a program's routes. To be called on a tokio runtime.
    pub fn listen_beside<R: Routes>(
        self: &Arc<Self>,
        listeners: Vec<Listener>,
        mount: Mount<R>,
    ) -> io::Result<Front> {
        let (server, mount, runtime) = (Arc::clone(self), Arc::new(mount), Handle::current());
        Front::open(listeners, move |newcomer, orders| {
            let (server, mount) = (Arc::clone(&server), Arc::clone(&mount));
            runtime.spawn(async move {
                let peer = newcomer.address();
                match newcomer.into_socket() {
                    Ok(socket) => server.connection_beside(socket, peer, &mount, orders).await,
                    Err(error) => tracing::error!(%error, "a connection cannot be driven"),
                }
            });
        })
    }

    /// Drives a connection that the program itself has accepted, in place of hyper's
    /// `serve_connection`. It ends with `front`. To be spawned: a panic in the body of an answer goes
    /// through it.
    pub fn serve_connection<R: Routes>(
        self: &Arc<Self>,
        socket: Accepted,
        mount: &Arc<Mount<R>>,
        front: &Front,
    ) -> impl Future<Output = ()> + Send + use<R> {
        let (server, mount, orders) = (Arc::clone(self), Arc::clone(mount), front.orders());
        async move {
            match socket.prepare() {
                Ok(peer) => server.connection_beside(socket, peer, &mount, orders).await,
                Err(error) => tracing::debug!(%error, "the peer is gone already"),
            }
        }
    }

    async fn connection_beside<R: Routes>(
        &self,
        mut socket: Accepted,
        peer: Option<IpAddr>,
        mount: &Mount<R>,
        mut orders: Orders,
    ) {
        if let Some(peer) = self.introduced(&mut socket, peer, &mut orders).await {
            let rill = Visitor { server: self, peer, refusing: &orders.refusing };
            self.drive(socket, &Mounted { rill, mount }, orders.end).await;
        }
    }
}

/// One connection's view of the server and the program.
struct Mounted<'a, R> {
    rill: Visitor<'a>,
    mount: &'a Mount<R>,
}

impl<R: Routes> Serve for Mounted<'_, R> {
    type Seat = Departure;
    /// Boxed, because the driver moves bodies, and not every body may be moved.
    type Body = Either<Full<Bytes>, Pin<Box<R::Body>>>;

    async fn serve(
        &self,
        request: Request<Incoming>,
        handoff: Handoff<Departure>,
    ) -> Response<Self::Body> {
        if self.mount.leaves(request.uri().path()) {
            return self.rill.serve(request, handoff).await.map(Either::Left);
        }
        match self.mount.routes.answer(request).await {
            Ok(answer) => answer.map(|body| Either::Right(Box::pin(body))),
            Err(error) => {
                tracing::error!(%error, "a route of the program failed");
                self.fault()
            }
        }
    }

    fn refuse(&self, refusal: &HeadRefusal) -> Bytes {
        self.rill.refuse(refusal)
    }

    fn fault(&self) -> Response<Self::Body> {
        self.rill.fault().map(Either::Left)
    }
}
