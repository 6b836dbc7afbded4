//! Credentials traded for tickets, put under streams, and withdrawn.

use std::time::SystemTime;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};

use super::api::{Fields, credentials};
use super::problem::Problem;
use super::router::Credentials;
use super::{Answer, Server, json};
use crate::event::Payload;
use crate::identity::{Identity, Stamp};
use crate::json::Object;
use crate::reactor::Renewal;

impl Server {
    /// Does what is asked with a credential.
    pub(super) async fn trade(
        &self,
        endpoint: Credentials,
        request: Request<Incoming>,
        caller: &Identity,
    ) -> Result<Answer, Problem> {
        let body = self.body(caller, request).await?;
        let object = Object::parse(&body.bytes)?;
        let fields = Fields(&object);
        let done = match endpoint {
            Credentials::Ticket => self.ticket(&fields, caller).await?,
            Credentials::Renew => self.renew(&fields, caller).await?,
            Credentials::Revoke => self.revoke(&fields, caller).await?,
        };
        Ok(json(StatusCode::OK, &done))
    }

    async fn ticket(&self, fields: &Fields<'_>, caller: &Identity) -> Result<Payload, Problem> {
        let path = credentials::ticket(fields)?;
        let ticket = self.hub.issue_ticket(caller.clone(), path).await?;
        let expires_in = self.hub.ticket_ttl().as_secs();
        Ok(Payload::object().text("ticket", Some(&ticket)).number("expiresIn", expires_in).finish())
    }

    async fn renew(&self, fields: &Fields<'_>, caller: &Identity) -> Result<Payload, Problem> {
        let renewal = match credentials::renewal(fields)? {
            Some(id) => self.hub.renew(id, caller.clone()).await?,
            None => Renewal::NoStream,
        };
        match renewal {
            Renewal::Done => {}
            Renewal::Ended => {
                let detail = "This credential has no right to what the stream listens to.";
                return Err(Problem::forbidden(detail));
            }
            Renewal::NoStream => {
                let detail = "There is no stream of yours with this connectionId to be renewed.";
                return Err(Problem::new(StatusCode::NOT_FOUND, detail));
            }
        }
        let renewed = Payload::object().truth("success", true);
        Ok(renewed.optional_time("expiresAt", caller.expires().map(Stamp::time)).finish())
    }

    async fn revoke(&self, fields: &Fields<'_>, caller: &Identity) -> Result<Payload, Problem> {
        let revocation = credentials::revocation(fields, caller)?;
        let ended = self.hub.revoke(revocation, Stamp::of(SystemTime::now())).await?;
        Ok(Payload::object().truth("success", true).number("disconnected", ended as u64).finish())
    }
}
