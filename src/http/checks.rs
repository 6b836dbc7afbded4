//! What every request passes on its way in, in the contract's order: host and origin, rate,
//! identity.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request};

use super::auth::{Presented, Why};
use super::problem::Problem;
use super::query::Query;
use super::redact::Redacted;
use super::router::Stream;
use super::{Visitor, hosts, stream};
use crate::hub::tickets::{self, TicketDigest};
use crate::identity::Identity;

/// Somebody who has been let in.
pub(super) struct Caller {
    /// Who he is, if he has said so.
    pub(super) identity: Option<Arc<Identity>>,
    /// The ticket that said it for him, for the stream to use up.
    pub(super) ticket: Option<tickets::Presented>,
    /// Where he is, as far as that can be told.
    pub(super) address: Option<IpAddr>,
}

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
        if matches!(&presented, Presented::Token(_, super::auth::Place::Cookie)) {
            let safe = matches!(*request.method(), Method::GET | Method::HEAD);
            doors.cors.cookie_may_be_used(safe, headers, hosts::authority(request))?;
        }
        let address = doors.proxies.client(self.peer, headers);
        if wanted.is_some() && request.method() == Method::GET {
            doors.rates.connect(address)?;
        }
        if presented == Presented::Nothing {
            return Ok(Caller { identity: None, ticket: None, address });
        }
        // Before it is looked into, so that a flood of bad ones costs no signature checks.
        doors.rates.may_try(address)?;
        match self.identify(&presented, headers, wanted, address) {
            Ok((identity, ticket)) => Ok(Caller { identity, ticket, address }),
            Err(why) => {
                tracing::debug!(target = %Redacted::new(request.uri()), %why, "credential refused");
                self.server.hub.metrics().credential_refused();
                doors.rates.failed(address)?;
                Err(Problem::unauthorized(true))
            }
        }
    }

    fn identify(
        &self,
        presented: &Presented,
        headers: &HeaderMap,
        wanted: Option<Stream>,
        address: Option<IpAddr>,
    ) -> Result<(Option<Arc<Identity>>, Option<tickets::Presented>), Why> {
        let (hub, authority) = (&self.server.hub, &self.server.doors.authority);
        match (presented, wanted) {
            (Presented::Nothing, _) => Ok((None, None)),
            (Presented::Token(token, place), _) => {
                let identity = authority.read(token, *place, SystemTime::now())?;
                match hub.is_revoked(&identity) {
                    true => Err(Why::Revoked),
                    false => Ok((Some(Arc::new(identity)), None)),
                }
            }
            (Presented::Ticket(ticket), Some(stream)) => {
                let last = stream::last_event_id(headers).map(|(_, requested)| requested);
                let returns = hub.return_of(last);
                let digest = TicketDigest::of(ticket.expose());
                let path = stream.path();
                let ticket = tickets::Presented { digest, path, returns, address };
                let identity = hub.ticket_holder(&ticket).ok_or(Why::Ticket)?;
                Ok((Some(identity), Some(ticket)))
            }
            (Presented::Ticket(_), None) => Err(Why::Ticket),
        }
    }
}
