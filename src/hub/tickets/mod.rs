//! Tickets: a credential's stand-in for one stream, to be written into a URL.
//!
//! ```text
//!  issued ──▶ Fresh ──▶ Open ◀──▶ Ended
//!               │                   │
//!               └────── time ───────┴──▶ gone
//! ```
//! A ticket that somebody reads in a log is worth nothing: it has been used, and from then on it only
//! lets that stream go on, from where its client is and for whoever can say how far it had come.

mod record;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::clients::ClientName;
use crate::cursor::Position;
use crate::event::Name;
use crate::identity::{Identity, Stamp};
use crate::log::{Change, Kind, Row};

use record::Record;

/// The most tickets of one user that are waiting, for their stream or for its return: each takes
/// memory until its time is over.
const MOST_WAITING: usize = 100;

/// What is known of a ticket; whoever reads it in memory or on the disk cannot use it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TicketDigest([u8; 32]);

impl TicketDigest {
    /// Of a ticket as its holder writes it.
    pub fn of(ticket: &str) -> TicketDigest {
        TicketDigest(Sha256::digest(ticket).into())
    }
}

impl fmt::Display for TicketDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How a ticket is about to be used.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Which one.
    pub digest: TicketDigest,
    /// The path of the stream.
    pub path: &'static str,
    /// How far its stream had come, if the request says so in full.
    pub returns: Option<Position>,
    /// Where the request comes from, if that is known: as much of an address as a client cannot choose.
    pub address: Option<IpAddr>,
}

impl fmt::Debug for TicketDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[ticket]")
    }
}

struct Ticket {
    identity: Arc<Identity>,
    /// Any path, until the first stream chooses.
    path: Option<Box<str>>,
    /// `None` until there is one.
    stream: Option<FirstStream>,
    /// By the wall clock, until when it is fresh; for the log.
    fresh_until: Stamp,
    state: State,
}

/// What the streams that come back must have in common with the one that a ticket was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FirstStream {
    /// Whose place it takes; with another, both would stay.
    client: Option<ClientName>,
    /// Where its client was: whoever has its ticket and some cursor of this log is not yet its client.
    address: Option<IpAddr>,
    /// Where it began, once that is known. No return goes on from before.
    start: Option<Position>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Opens one stream until then.
    Fresh(Instant),
    /// Its stream is there; for a moment there may be two, the old one and the one that takes its
    /// place.
    Open(u32),
    /// Its stream may come back until then.
    Ended(Instant),
}

#[derive(Default)]
struct Table {
    tickets: HashMap<TicketDigest, Ticket>,
    /// When a ticket that was not in use is over, in order of time, because it is the same for all.
    over: VecDeque<(Instant, TicketDigest)>,
    /// How many of a user's are fresh or ended.
    waiting: HashMap<Name, usize>,
}

/// All tickets, kept in the log as well.
pub struct Tickets {
    time_to_live: Duration,
    table: Mutex<Table>,
}

/// A ticket that was made.
pub struct Issued {
    /// For its holder alone.
    pub ticket: String,
    /// For the log.
    pub change: Change,
}

impl Tickets {
    /// What the log has kept. Which of those that were used are over is not known, so all their
    /// streams are taken for ones that ended just now.
    pub fn read(rows: Vec<Row>, time_to_live: Duration, now: Instant, wall: Stamp) -> Tickets {
        let mut table = Table::default();
        for (key, value) in rows {
            let Some((digest, record)) = digest_of(&key).zip(Record::decode(&value)) else {
                tracing::error!("a ticket in the log cannot be read");
                continue;
            };
            let Record { identity, path, stream, fresh_until } = record;
            let left = fresh_until.since(wall).min(time_to_live);
            let state = match &stream {
                Some(_) => State::Ended(now + time_to_live),
                None => State::Fresh(now + left),
            };
            *table.waiting.entry(identity.user.clone()).or_default() += 1;
            let identity = Arc::new(identity);
            let ticket = Ticket { identity, path, stream, fresh_until, state };
            table.over.extend(ticket.over().map(|until| (until, digest)));
            table.tickets.insert(digest, ticket);
        }
        // Those that were never used are over earlier.
        table.over.make_contiguous().sort_unstable_by_key(|(until, _)| *until);
        Tickets { time_to_live, table: Mutex::new(table) }
    }

    /// Makes a ticket; `None` when too many of its user's wait already.
    pub fn issue(
        &self,
        identity: Identity,
        path: Option<&'static str>,
        now: Instant,
        wall: Stamp,
    ) -> Option<Issued> {
        let ticket = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let digest = TicketDigest::of(&ticket);
        let mut table = self.table.lock();
        let waiting = table.waiting.entry(identity.user.clone()).or_default();
        if *waiting >= MOST_WAITING {
            return None;
        }
        *waiting += 1;
        let until = now + self.time_to_live;
        let issued = Ticket {
            identity: Arc::new(identity),
            path: path.map(Box::from),
            stream: None,
            fresh_until: wall.after(self.time_to_live),
            state: State::Fresh(until),
        };
        let change = issued.kept(&digest);
        table.tickets.insert(digest, issued);
        table.over.push_back((until, digest));
        Some(Issued { ticket, change })
    }

    /// Whose a ticket is, if it may be used so.
    pub fn holder(&self, presented: &Attempt, now: Instant) -> Option<Arc<Identity>> {
        let table = self.table.lock();
        let ticket = table.tickets.get(&presented.digest)?;
        ticket.admits(presented, now).then(|| Arc::clone(&ticket.identity))
    }

    /// Uses a ticket for a stream, in the place of this client.
    pub fn open(
        self: &Arc<Self>,
        presented: &Attempt,
        client: Option<&ClientName>,
        now: Instant,
    ) -> Option<TicketUse> {
        let mut table = self.table.lock();
        let ticket = table.tickets.get_mut(&presented.digest)?;
        let another = |first: &FirstStream| first.client.as_ref() != client;
        if !ticket.admits(presented, now) || ticket.stream.as_ref().is_some_and(another) {
            return None;
        }
        let (path, stream) = (ticket.path.clone(), ticket.stream.clone());
        let unused = Unused { state: ticket.state, path, stream };
        ticket.path.get_or_insert_with(|| presented.path.into());
        let Attempt { returns: start, address, .. } = *presented;
        ticket.stream.get_or_insert_with(|| {
            let client = client.cloned();
            FirstStream { client, address, start }
        });
        let user = ticket.identity.user.clone();
        match ticket.state {
            State::Fresh(_) | State::Ended(_) => {
                ticket.state = State::Open(1);
                table.one_waits_less(&user);
            }
            State::Open(streams) => ticket.state = State::Open(streams + 1),
        }
        let (tickets, digest) = (Arc::clone(self), presented.digest);
        Some(TicketUse { tickets, digest, unused: Some(unused) })
    }

    /// Takes away the tickets that are over; the log has to forget them.
    pub fn take_over(&self, now: Instant) -> Vec<Change> {
        let mut table = self.table.lock();
        let mut gone = Vec::new();
        while let Some((until, digest)) = table.over.pop_front_if(|(until, _)| *until <= now) {
            let is_over = |ticket: &&Ticket| ticket.over() == Some(until);
            if table.tickets.get(&digest).filter(is_over).is_some() {
                table.remove(&digest);
                gone.push(digest);
            }
        }
        drop(table);
        let forgotten = |digest: TicketDigest| Change {
            kind: Kind::Ticket,
            key: digest.to_string(),
            value: None,
        };
        gone.into_iter().map(forgotten).collect()
    }
}

impl Ticket {
    /// When it is over, unless it is in use.
    fn over(&self) -> Option<Instant> {
        match self.state {
            State::Fresh(until) | State::Ended(until) => Some(until),
            State::Open(_) => None,
        }
    }

    /// What the log has to keep of it.
    fn kept(&self, digest: &TicketDigest) -> Change {
        let Ticket { identity, path, stream, fresh_until, .. } = self;
        let value = record::encode(identity, path.as_deref(), stream.as_ref(), *fresh_until);
        Change { kind: Kind::Ticket, key: digest.to_string(), value: Some(value) }
    }

    fn admits(&self, presented: &Attempt, now: Instant) -> bool {
        let on_its_path = self.path.as_deref().is_none_or(|path| path == presented.path);
        let returns = self.returns(presented);
        on_its_path
            && match self.state {
                State::Fresh(until) => now < until,
                State::Open(_) => returns,
                State::Ended(until) => returns && now < until,
            }
    }

    /// Whether it may be its own stream that comes back.
    fn returns(&self, presented: &Attempt) -> bool {
        let (Some(from), Some(first)) = (presented.returns, &self.stream) else { return false };
        let there = first.address.zip(presented.address).is_none_or(|(was, is)| was == is);
        there && first.start.is_none_or(|start| start <= from)
    }
}

impl Table {
    fn remove(&mut self, digest: &TicketDigest) {
        if let Some(ticket) = self.tickets.remove(digest)
            && ticket.over().is_some()
        {
            self.one_waits_less(&ticket.identity.user);
        }
    }

    fn one_waits_less(&mut self, user: &Name) {
        if let Some(waiting) = self.waiting.get_mut(user) {
            *waiting -= 1;
            if *waiting == 0 {
                self.waiting.remove(user);
            }
        }
    }
}

fn digest_of(key: &str) -> Option<TicketDigest> {
    let mut digest = [0; 32];
    if key.len() != 2 * digest.len() || !key.is_ascii() {
        return None;
    }
    for (number, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&key[2 * number..2 * number + 2], 16).ok()?;
    }
    Some(TicketDigest(digest))
}

/// A stream's use of its ticket. When it is dropped, the time begins in which the stream may come
/// back.
pub struct TicketUse {
    tickets: Arc<Tickets>,
    digest: TicketDigest,
    /// What the ticket was before, as long as no stream has come of it.
    unused: Option<Unused>,
}

struct Unused {
    state: State,
    path: Option<Box<str>>,
    stream: Option<FirstStream>,
}

impl TicketUse {
    /// The stream is on its way, from this start: the ticket has been used. The first time, the log
    /// has to keep what its stream is.
    pub fn confirm(&mut self, start: Position) -> Option<Change> {
        let unused = self.unused.take()?;
        let mut table = self.tickets.table.lock();
        let ticket = table.tickets.get_mut(&self.digest)?;
        ticket.stream.as_mut()?.start.get_or_insert(start);
        unused.stream.is_none().then(|| ticket.kept(&self.digest))
    }
}

impl Drop for TicketUse {
    fn drop(&mut self) {
        let mut table = self.tickets.table.lock();
        let Some(ticket) = table.tickets.get_mut(&self.digest) else { return };
        let State::Open(streams) = &mut ticket.state else { return };
        *streams -= 1;
        if *streams > 0 {
            return;
        }
        let user = ticket.identity.user.clone();
        let now = Instant::now();
        match self.unused.take() {
            // Refused: it is as good as before.
            Some(Unused {
                state: state @ (State::Fresh(until) | State::Ended(until)),
                path,
                stream,
            }) => {
                (ticket.state, ticket.path, ticket.stream) = (state, path, stream);
                // Its time may have passed unseen meanwhile.
                if until <= now {
                    table.over.push_front((until, self.digest));
                }
            }
            Some(Unused { state: State::Open(_), .. }) | None => {
                let until = now + self.tickets.time_to_live;
                ticket.state = State::Ended(until);
                table.over.push_back((until, self.digest));
            }
        }
        *table.waiting.entry(user).or_default() += 1;
    }
}
