//! The way of a stream to its shard: it takes its place, its subscription and its part in its user's
//! presence, and finds where it begins.

use std::sync::Arc;
use std::time::Instant;

use super::admission::{Holder, Origin, Permit};
use super::clients::{ClaimedPlace, Taken};
use super::presence::Attendance;
use super::tickets::{Attempt, TicketUse};
use super::{Hub, Refused, Resume, Venue};
use crate::cursor::{Cursor, Requested};
use crate::event::Name;
use crate::frame::Framing;
use crate::identity::{Identity, Stamp};
use crate::reactor::{CloseReason, ConnectionId, Guard, Key, Peer, Seat, ShardNumber};
use crate::rights::Reader;
use crate::topic::{Subscription, Topic};

/// What a stream occupies; dropped when it begins to close.
pub struct Occupancy {
    place: Place,
    /// Boxed, because most streams have neither.
    _besides: Option<Box<Besides>>,
}

/// What some streams occupy besides their place; held for its drop.
struct Besides {
    _attendance: Option<Attendance>,
    _ticket: Option<TicketUse>,
}

enum Place {
    Own(Permit),
    OfClient(Box<ClaimedPlace>),
}

impl Guard for Occupancy {
    fn seated(&self, key: Key) -> Result<(), CloseReason> {
        match &self.place {
            Place::Own(permit) => permit.seated(key),
            Place::OfClient(place) => place.seated(key),
        }
    }
}

/// Who asks for a stream, and for what.
pub struct Request {
    /// Whom it counts for.
    pub holder: Holder,
    /// Where it comes from.
    pub origin: Origin,
    /// The user and the name of his client, if he gave one.
    pub client: Option<(Name, Name)>,
    /// What it listens to, but for the conversations of its user.
    pub topics: Vec<Topic>,
    /// Who reads it; `None` when it is nobody in particular.
    pub reader: Option<Reader>,
    /// Whose credential it rests on; not always the one that it counts for.
    pub identity: Option<Arc<Identity>>,
    /// The ticket that it uses up.
    pub ticket: Option<Attempt>,
    /// Where it wants to go on.
    pub requested: Option<Requested>,
    /// Where its user comes to be seen by others.
    pub enters: Option<Enters>,
}

/// A user who comes to be seen by others.
pub struct Enters {
    /// Where.
    pub venue: Venue,
    /// The user's id.
    pub user: Name,
    /// The name that others see.
    pub username: String,
}

/// A stream that has its place and is not yet in a shard.
pub struct Admitted {
    /// Its number.
    pub id: ConnectionId,
    /// Where it begins.
    pub start: Cursor,
    /// What its client is told about going on.
    pub resume: Resume,
    shard: ShardNumber,
    topics: Subscription,
    reader: Option<Box<Reader>>,
    expires: Option<Stamp>,
    stay: Occupancy,
}

impl Hub {
    /// Gives a stream its place, and finds where it begins.
    pub async fn admit(&self, request: Request) -> Result<Admitted, Refused> {
        if self.is_draining() {
            return Err(Refused::Draining);
        }
        let Request {
            holder,
            origin,
            client,
            mut topics,
            reader,
            identity,
            ticket,
            requested,
            enters,
        } = request;
        if self.away.holds(&holder, Instant::now()) {
            return Err(Refused::Away);
        }
        let used = |ticket| self.tickets.open(&ticket, client.as_ref(), Instant::now());
        let mut ticket = ticket.map(|ticket| used(ticket).ok_or(Refused::Withdrawn)).transpose()?;
        // Whoever withdraws its credential from now on finds the stream.
        let (place, id, shard) = self.place(&holder, &origin, client, identity.as_deref())?;
        if let Some(reader) = &reader {
            topics.extend(reader.besides(&topics));
        }
        let reader = reader.filter(|reader| reader.stays_with(&topics));
        let topics = self.topics.subscribe(&topics);
        let (start, resume) = self.find_start(requested, &topics, reader.as_ref()).await;
        // Finding the start may have taken a while.
        if self.is_draining() {
            return Err(Refused::Draining);
        }
        if let Some(ticket) = &mut ticket {
            self.keep_use(ticket, start.position).await;
        }
        let attendance = match enters {
            Some(enters) => Some(self.enter(enters).await),
            None => None,
        };
        let besides = (attendance.is_some() || ticket.is_some())
            .then(|| Box::new(Besides { _attendance: attendance, _ticket: ticket }));
        Ok(Admitted {
            id,
            start,
            resume,
            shard,
            topics,
            reader: reader.map(Box::new),
            expires: identity.as_ref().and_then(|identity| identity.expires()),
            stay: Occupancy { place, _besides: besides },
        })
    }

    fn place(
        &self,
        holder: &Holder,
        origin: &Origin,
        client: Option<(Name, Name)>,
        identity: Option<&Identity>,
    ) -> Result<(Place, ConnectionId, ShardNumber), Refused> {
        let shard = self.reactor.choose();
        let admit = || self.admission.admit(holder, origin);
        let counts = || !identity.is_some_and(|identity| self.revocations.cover(identity));
        let begin = |permit: &Permit| {
            permit.begin(shard, origin, identity, counts).ok_or(Refused::Withdrawn)
        };
        let Some(client) = client else {
            let permit = admit()?;
            let id = begin(&permit)?;
            return Ok((Place::Own(permit), id, shard));
        };
        let Taken { place, id, ousted } = self.clients.take_place(client, shard, admit, begin)?;
        if let Some((shard, key)) = ousted {
            self.reactor.close(shard, key, CloseReason::Replaced);
        }
        Ok((Place::OfClient(Box::new(place)), id, shard))
    }

    /// Hands an admitted stream to its shard: first the bytes of `opening`, then what follows its
    /// start.
    pub fn seat(&self, admitted: Admitted, socket: Peer, framing: Framing, opening: Box<[u8]>) {
        let Admitted { id, start, shard, topics, reader, expires, stay, .. } = admitted;
        let (start, guard) = (start.position, stay);
        let seat = Seat { socket, id, topics, reader, expires, guard, start, framing, opening };
        self.reactor.seat(shard, seat);
    }
}
