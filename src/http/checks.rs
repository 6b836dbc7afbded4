//! What every request passes on its way in, in the contract's order: host and origin, rate,
//! identity.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};

use super::auth::secret::Secret;
use super::auth::{Place, Presented, Why};
use super::body::Whole;
use super::problem::Problem;
use super::query::Query;
use super::redact::Redacted;
use super::router::Stream;
use super::{Server, Visitor, hosts, rates, stream};
use crate::hub::tickets::{Attempt, TicketDigest};
use crate::identity::{Identity, Stamp};

/// Somebody who has been let in.
pub(super) struct Caller {
    /// Who he is, if he has said so.
    pub(super) identity: Option<Arc<Identity>>,
    /// The ticket that said it for him, for the stream to use up.
    pub(super) ticket: Option<Attempt>,
    /// Where he is, as far as that can be told.
    pub(super) address: Option<IpAddr>,
}

/// An identity, and the ticket that said it.
type Shown = (Arc<Identity>, Option<Attempt>);

impl Visitor<'_> {
    /// Refuses a request for a host that is not ours.
    pub(super) fn check_host(&self, request: &Request<Incoming>) -> Result<(), Problem> {
        match self.server.doors.hosts.allows(hosts::authority(request)) {
            true => Ok(()),
            false => Err(Problem::misdirected()),
        }
    }

    /// Finds out who sends a request; for a stream, also whether he may ask for one so often.
    pub(super) fn let_in(
        &self,
        request: &Request<Incoming>,
        query: &Query,
        wanted: Option<Stream>,
    ) -> Result<Caller, Problem> {
        let doors = &self.server.doors;
        let headers = request.headers();
        let presented = Presented::find(headers, query, &doors.authority.settings().cookie)?;
        if matches!(&presented, Presented::Token(_, Place::Cookie)) {
            let safe = matches!(*request.method(), Method::GET | Method::HEAD);
            doors.cors.cookie_may_be_used(safe, headers, hosts::authority(request))?;
        }
        let address = doors.proxies.client(self.peer, headers);
        if wanted.is_some() && request.method() == Method::GET {
            doors.rates.connect(address)?;
        }
        if presented != Presented::Nothing {
            // Before it is looked into, so that a flood of bad ones costs no signature checks.
            doors.rates.may_try(address)?;
        }
        match self.identify(&presented, headers, wanted, address) {
            Ok(Some((identity, ticket))) => {
                Ok(Caller { identity: Some(identity), ticket, address })
            }
            Ok(None) => Ok(Caller { identity: None, ticket: None, address }),
            Err(why) => Err(self.bad_credential(request.uri(), why, address)),
        }
    }

    /// The refusal of a credential, which is counted, and whose reason is for the log alone.
    pub(super) fn bad_credential(&self, target: &Uri, why: Why, from: Option<IpAddr>) -> Problem {
        tracing::debug!(target = %Redacted::new(target), %why, "credential refused");
        self.server.hub.metrics().credential_refused();
        match self.server.doors.rates.failed(from) {
            Ok(()) => Problem::unauthorized(true),
            Err(exceeded) => exceeded.into(),
        }
    }

    /// Whose a token is that stood in this place.
    pub(super) fn whose(&self, token: &Secret, place: Place) -> Result<Identity, Why> {
        let identity = self.server.doors.authority.read(token, place, SystemTime::now())?;
        match self.server.hub.is_revoked(&identity) {
            true => Err(Why::Revoked),
            false => Ok(identity),
        }
    }

    /// Lets in a probe. It is answered also when too many bad credentials came from where it is: what
    /// it shows is not looked at then.
    pub(super) fn probed(&self, request: &Request<Incoming>, query: &Query) -> Result<(), Problem> {
        match self.let_in(request, query, None) {
            Err(problem) if problem.status != StatusCode::TOO_MANY_REQUESTS => Err(problem),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn identify(
        &self,
        presented: &Presented,
        headers: &HeaderMap,
        wanted: Option<Stream>,
        address: Option<IpAddr>,
    ) -> Result<Option<Shown>, Why> {
        let hub = &self.server.hub;
        match (presented, wanted) {
            (Presented::Nothing, _) => Ok(None),
            (Presented::Token(token, place), _) => {
                Ok(Some((Arc::new(self.whose(token, *place)?), None)))
            }
            (Presented::Ticket(ticket), Some(stream)) => {
                let last = stream::last_event_id(headers).map(|(_, requested)| requested);
                let returns = hub.return_of(last);
                let digest = TicketDigest::of(ticket.expose());
                let path = stream.path();
                let address = address.map(rates::client);
                let attempt = Attempt { digest, path, returns, address };
                let identity = hub.ticket_holder(&attempt).ok_or(Why::Ticket)?;
                Ok(Some((identity, Some(attempt))))
            }
            (Presented::Ticket(_), None) => Err(Why::Ticket),
        }
    }
}

impl Server {
    /// Reads the JSON body of a caller's request. It may take a while to come, and what he has shown
    /// must still count then.
    pub(super) async fn body<'a>(
        &'a self,
        caller: &'a Identity,
        request: Request<Incoming>,
    ) -> Result<Whole<'a>, Problem> {
        let body = self.bodies.read(&caller.user, request).await?;
        self.doors.rates.bytes(&caller.user, body.bytes.len())?;
        if caller.has_expired(Stamp::of(SystemTime::now())) || self.hub.is_revoked(caller) {
            return Err(Problem::unauthorized(true));
        }
        Ok(body)
    }
}
