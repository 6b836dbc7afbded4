//! What becomes of credentials that streams rest on: renewed, withdrawn, traded for tickets.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::admission::{Dismissal, Holder};
use super::tickets::{Attempt, Issued, TicketUse};
use super::{Hub, Refused, Revocation};
use crate::cursor::{Position, Requested};
use crate::identity::{Identity, Stamp};
use crate::reactor::{CloseReason, ConnectionId, Renewal};

impl Hub {
    /// Lets a stream go on under a new credential of the same user, and tells what came of it.
    ///
    /// # Errors
    /// When the new one is withdrawn in this moment, which ends the stream.
    pub async fn renew(&self, id: ConnectionId, identity: Identity) -> Result<Renewal, Refused> {
        let Some(((shard, key), holder)) = self.admission.renew(id, &identity) else {
            return Ok(Renewal::NoStream);
        };
        // Between the two it may have been withdrawn, and the stream not found by the old one.
        if self.revocations.cover(&identity) {
            self.reactor.close(shard, key, CloseReason::Revoked);
            return Err(Refused::Withdrawn);
        }
        let user = match &holder {
            Holder::User(user) => user,
            Holder::Address(_) | Holder::Nobody => &identity.user,
        };
        if *user != identity.user && !identity.roles.is_admin() {
            self.reactor.close(shard, key, CloseReason::Revoked);
            return Ok(Renewal::Ended);
        }
        let reader = self.reader(&identity, user);
        let renewed = self.reactor.renew(shard, key, reader, identity.expires());
        Ok(renewed.await.unwrap_or(Renewal::NoStream))
    }

    /// Withdraws credentials, for good, and ends the streams that rest on them. Tells how many were
    /// open.
    ///
    /// # Errors
    /// When the log did not keep it: it holds until the server is started anew.
    pub async fn revoke(&self, revocation: Revocation, until: Stamp) -> Result<usize, Refused> {
        let change = self.revocations.add(revocation.clone(), until);
        let streams = self.admission.withdraw(&revocation, until);
        let ended = self.dismiss(&streams, Dismissal::Revoked);
        self.log.keep(vec![change]).await?;
        Ok(ended)
    }

    /// Whether an identity's credential was withdrawn.
    pub fn is_revoked(&self, identity: &Identity) -> bool {
        self.revocations.cover(identity)
    }

    /// Makes a ticket that stands in for an identity, on one path or on whichever is first, and
    /// tells it once it is kept.
    pub async fn issue_ticket(
        &self,
        identity: Identity,
        path: Option<&'static str>,
    ) -> Result<String, Refused> {
        let wall = Stamp::of(SystemTime::now());
        let issued = self.tickets.issue(identity, path, Instant::now(), wall);
        let Issued { ticket, change } = issued.ok_or(Refused::Tickets)?;
        self.log.keep(vec![change]).await?;
        Ok(ticket)
    }

    /// How long a ticket waits for its stream.
    pub fn ticket_ttl(&self) -> Duration {
        self.settings.ticket_ttl
    }

    /// Whose a ticket is, if it may be used so.
    pub fn ticket_holder(&self, presented: &Attempt) -> Option<Arc<Identity>> {
        let identity = self.tickets.holder(presented, Instant::now())?;
        let now = Stamp::of(SystemTime::now());
        (!identity.has_expired(now) && !self.revocations.cover(&identity)).then_some(identity)
    }

    /// How far a stream of this log had come, if this may have been told to one.
    pub fn return_of(&self, requested: Option<Requested>) -> Option<Position> {
        match requested? {
            Requested::After { position, epoch: Some(epoch) } => {
                let told = epoch == self.log.epoch() && position <= self.log.ring().extent().head;
                told.then_some(position)
            }
            Requested::After { epoch: None, .. } | Requested::Since { .. } | Requested::Invalid => {
                None
            }
        }
    }

    /// Notes that a ticket's stream is on its way, before it begins: a crash must not let it be used
    /// again. A stream also begins when the log takes nothing.
    pub(super) async fn keep_use(&self, ticket: &mut TicketUse, start: Position) {
        if let Some(change) = ticket.confirm(start)
            && let Err(error) = self.log.keep(vec![change]).await
        {
            tracing::warn!(%error, "the use of a ticket could not be kept");
        }
    }

    /// Forgets the tickets that are over.
    pub(super) async fn forget_tickets(&self) {
        let changes = self.tickets.take_over(Instant::now());
        if !changes.is_empty()
            && let Err(error) = self.log.keep(changes).await
        {
            // They are found again at the next start, and removed once their time is over again.
            tracing::warn!(%error, "old tickets could not be removed from the log");
        }
    }
}
