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

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::cursor::Position;
use crate::event::Name;
use crate::identity::{Identity, Stamp};
use crate::log::{Change, Kind, Row};

/// The most tickets of one user that are not in use: each takes memory until its time is over.
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
pub struct Presented {
    /// Which one.
    pub digest: TicketDigest,
    /// The path of the stream.
    pub path: &'static str,
    /// How far its stream had come, if the request says so.
    pub returns: Option<Position>,
    /// Where the request comes from, if that is known.
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
    /// What its stream was, once there was one.
    stream: Option<Stream>,
    state: State,
}

/// What a stream that comes back must have been.
#[derive(Clone, Copy)]
struct Stream {
    /// Whoever has its ticket and some cursor of this log is not yet its client.
    address: Option<IpAddr>,
    /// It has nothing from before.
    start: Position,
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
    /// How many of a user's are fresh.
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
    /// What the log has kept. Which of them were in use is not known, so all are taken for streams
    /// that ended just now.
    pub fn read(rows: Vec<Row>, time_to_live: Duration, now: Instant) -> Tickets {
        let mut table = Table::default();
        for (key, value) in rows {
            match digest_of(&key).zip(record::decode(&value)) {
                Some((digest, (identity, path))) => {
                    let until = now + time_to_live;
                    let identity = Arc::new(identity);
                    table.tickets.insert(
                        digest,
                        Ticket { identity, path, stream: None, state: State::Ended(until) },
                    );
                    table.over.push_back((until, digest));
                }
                None => tracing::error!("a ticket in the log cannot be read"),
            }
        }
        Tickets { time_to_live, table: Mutex::new(table) }
    }

    /// How long a ticket waits for its stream.
    pub fn time_to_live(&self) -> Duration {
        self.time_to_live
    }

    /// Makes a ticket; `None` when too many of its user's wait already.
    pub fn issue(
        &self,
        identity: Identity,
        path: Option<&'static str>,
        now: Instant,
    ) -> Option<Issued> {
        let ticket = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let digest = TicketDigest::of(&ticket);
        let value = Some(record::encode(&identity, path));
        let mut table = self.table.lock();
        let waiting = table.waiting.entry(identity.user.clone()).or_default();
        if *waiting >= MOST_WAITING {
            return None;
        }
        *waiting += 1;
        let until = now + self.time_to_live;
        let (identity, path) = (Arc::new(identity), path.map(Box::from));
        table
            .tickets
            .insert(digest, Ticket { identity, path, stream: None, state: State::Fresh(until) });
        table.over.push_back((until, digest));
        Some(Issued {
            ticket,
            change: Change { kind: Kind::Ticket, key: digest.to_string(), value },
        })
    }

    /// Whose a ticket is, if it may be used so.
    pub fn holder(&self, presented: &Presented, now: Instant) -> Option<Arc<Identity>> {
        let table = self.table.lock();
        let ticket = table.tickets.get(&presented.digest)?;
        ticket.admits(presented, now).then(|| Arc::clone(&ticket.identity))
    }

    /// Uses a ticket for a stream.
    pub fn open(self: &Arc<Self>, presented: &Presented, now: Instant) -> Option<TicketUse> {
        let mut table = self.table.lock();
        let ticket = table.tickets.get_mut(&presented.digest)?;
        if !ticket.admits(presented, now) {
            return None;
        }
        let unused = Unused { state: ticket.state, path: ticket.path.clone() };
        ticket.path.get_or_insert_with(|| presented.path.into());
        let user = ticket.identity.user.clone();
        match ticket.state {
            State::Fresh(_) => {
                ticket.state = State::Open(1);
                table.one_waits_less(&user);
            }
            State::Open(streams) => ticket.state = State::Open(streams + 1),
            State::Ended(_) => ticket.state = State::Open(1),
        }
        let (tickets, digest) = (Arc::clone(self), presented.digest);
        Some(TicketUse { tickets, digest, address: presented.address, unused: Some(unused) })
    }

    /// Takes away the tickets that are over; the log has to forget them.
    pub fn take_over(&self, now: Instant, wall: Stamp) -> Vec<Change> {
        let mut table = self.table.lock();
        let mut gone = Vec::new();
        while let Some((until, digest)) = table.over.pop_front_if(|(until, _)| *until <= now) {
            let Some(ticket) = table.tickets.get(&digest) else { continue };
            if matches!(ticket.state, State::Fresh(end) | State::Ended(end) if end == until) {
                gone.push(digest);
            }
        }
        // One whose credential has ended opens nothing any more, also while its stream winds up.
        let expired = |ticket: &Ticket| ticket.identity.has_expired(wall);
        gone.extend(table.tickets.iter().filter(|(_, ticket)| expired(ticket)).map(|(of, _)| of));
        gone.iter().filter_map(|digest| table.remove(digest)).collect()
    }
}

impl Ticket {
    fn admits(&self, presented: &Presented, now: Instant) -> bool {
        let on_its_path = self.path.as_deref().is_none_or(|path| path == presented.path);
        on_its_path
            && match self.state {
                State::Fresh(until) => now < until,
                State::Open(_) => self.returns(presented),
                State::Ended(until) => self.returns(presented) && now < until,
            }
    }
}

impl Ticket {
    /// Whether it is its own stream that comes back. After a restart nobody knows where it was.
    fn returns(&self, presented: &Presented) -> bool {
        match (presented.returns, self.stream) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(position), Some(Stream { address, start })) => {
                let there = address.zip(presented.address).is_none_or(|(was, is)| same(was, is));
                there && position >= start
            }
        }
    }
}

/// Whether these may be the same client's: of an IPv6 address it chooses the lower half itself.
fn same(was: IpAddr, is: IpAddr) -> bool {
    match (was, is) {
        (IpAddr::V6(was), IpAddr::V6(is)) => was.segments()[..4] == is.segments()[..4],
        (was, is) => was == is,
    }
}

impl Table {
    fn remove(&mut self, digest: &TicketDigest) -> Option<Change> {
        let ticket = self.tickets.remove(digest)?;
        if matches!(ticket.state, State::Fresh(_)) {
            self.one_waits_less(&ticket.identity.user);
        }
        Some(Change { kind: Kind::Ticket, key: digest.to_string(), value: None })
    }

    /// A ticket is again what it was; its time may have passed unseen meanwhile.
    fn look_again(&mut self, until: Instant, digest: TicketDigest) {
        if until <= Instant::now() {
            self.over.push_front((until, digest));
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
    address: Option<IpAddr>,
    /// What the ticket was before, as long as no stream has come of it.
    unused: Option<Unused>,
}

struct Unused {
    state: State,
    path: Option<Box<str>>,
}

impl TicketUse {
    /// The stream is on its way, from this position: the ticket has been used.
    pub fn confirm(&mut self, start: Position) {
        self.unused = None;
        if let Some(ticket) = self.tickets.table.lock().tickets.get_mut(&self.digest) {
            ticket.stream = Some(Stream { address: self.address, start });
        }
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
        match self.unused.take() {
            // Refused: it is as good as before.
            Some(Unused { state: State::Fresh(until), path }) => {
                (ticket.state, ticket.path) = (State::Fresh(until), path);
                *table.waiting.entry(user).or_default() += 1;
                table.look_again(until, self.digest);
            }
            Some(Unused { state: State::Ended(until), .. }) => {
                ticket.state = State::Ended(until);
                table.look_again(until, self.digest);
            }
            Some(Unused { state: State::Open(_), .. }) | None => {
                let until = Instant::now() + self.tickets.time_to_live;
                ticket.state = State::Ended(until);
                table.over.push_back((until, self.digest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Credential;

    const TTL: Duration = Duration::from_secs(60);
    const PATH: &str = "/chat/stream";

    fn ann() -> Identity {
        let expires = Some(Stamp(1_000));
        let credential = Credential { id: None, issued: Stamp(0), expires };
        let ann = Identity::of(Name::new("ann").expect("a name"));
        Identity { credential: Some(credential), ..ann }
    }

    fn none() -> Arc<Tickets> {
        Arc::new(Tickets::read(Vec::new(), TTL, Instant::now()))
    }

    fn presented(ticket: &str, path: &'static str, returns: bool) -> Presented {
        let (digest, returns) = (TicketDigest::of(ticket), returns.then(|| at(7)));
        Presented { digest, path, returns, address: Some([10, 0, 0, 1].into()) }
    }

    fn at(milliseconds: u64) -> Position {
        Position::new(milliseconds, 0).expect("in range")
    }

    fn used(tickets: &Arc<Tickets>, presented: &Presented, now: Instant) -> Option<TicketUse> {
        let mut used = tickets.open(presented, now)?;
        used.confirm(at(5));
        Some(used)
    }

    #[test]
    fn a_ticket_opens_one_stream_and_lets_that_one_come_back() {
        let (tickets, now) = (none(), Instant::now());
        let ticket = tickets.issue(ann(), Some(PATH), now).expect("room").ticket;
        let first = presented(&ticket, PATH, false);
        let again = presented(&ticket, PATH, true);
        assert!(tickets.open(&presented(&ticket, "/realtime/stream", false), now).is_none());
        assert!(tickets.open(&presented("another", PATH, true), now).is_none());
        assert_eq!(tickets.holder(&first, now).as_deref(), Some(&ann()));
        let stream = used(&tickets, &first, now).expect("fresh");
        assert!(tickets.holder(&first, now).is_none() && tickets.open(&first, now).is_none());
        let successor = used(&tickets, &again, now).expect("it takes its own place");
        drop(stream);
        drop(successor);
        assert!(tickets.open(&first, now).is_none());
        let later = Instant::now() + TTL;
        assert!(tickets.holder(&again, now).is_some() && tickets.holder(&again, later).is_none());
    }

    #[test]
    fn only_its_own_stream_comes_back() {
        let (tickets, now) = (none(), Instant::now());
        let ticket = tickets.issue(ann(), None, now).expect("room").ticket;
        let _stream = used(&tickets, &presented(&ticket, PATH, false), now).expect("fresh");
        let again = presented(&ticket, PATH, true);
        let comes = |address: &str, position: u64| {
            let address = Some(address.parse().expect("an address"));
            let returns = Some(at(position));
            tickets.holder(&Presented { address, returns, ..again.clone() }, now).is_some()
        };
        assert!(comes("10.0.0.1", 5));
        assert!(!comes("10.0.0.1", 4), "from before it began");
        assert!(!comes("10.0.0.2", 5), "from elsewhere");
        let unknown = Presented { address: None, ..again.clone() };
        assert!(tickets.holder(&unknown, now).is_some());
    }

    #[test]
    fn an_ipv6_client_may_change_the_half_that_is_its_own() {
        let address = |text: &str| text.parse().expect("an address");
        assert!(same(address("2001:db8::1"), address("2001:db8::ffff:1")));
        assert!(!same(address("2001:db8::1"), address("2001:db8:0:1::1")));
        assert!(!same(address("::1"), address("127.0.0.1")));
    }

    #[test]
    fn time_takes_tickets_away_but_not_from_a_stream() {
        let (tickets, now) = (none(), Instant::now());
        let issue = || tickets.issue(ann(), None, now).expect("room").ticket;
        let (waiting, open) = (issue(), issue());
        let stream = used(&tickets, &presented(&open, PATH, false), now).expect("fresh");
        let waiting = presented(&waiting, PATH, false);
        assert!(tickets.holder(&waiting, now + TTL).is_none());
        let gone = tickets.take_over(now + TTL, Stamp(0));
        assert_eq!(
            gone.iter().map(|change| &change.key).collect::<Vec<_>>(),
            [&waiting.digest.to_string()]
        );
        let again = presented(&open, PATH, true);
        assert!(tickets.holder(&again, now + 2 * TTL).is_some());
        // The credential's own end is the end.
        assert_eq!(tickets.take_over(now, Stamp(1_000)).len(), 1);
        drop(stream);
        assert!(tickets.holder(&again, now).is_none());
    }

    #[test]
    fn a_refused_stream_costs_no_ticket() {
        let (tickets, now) = (none(), Instant::now());
        let ticket = tickets.issue(ann(), None, now).expect("room").ticket;
        drop(tickets.open(&presented(&ticket, PATH, false), now).expect("fresh"));
        let stream = used(&tickets, &presented(&ticket, "/realtime/stream", false), now);
        drop(stream.expect("still fresh, for any path"));
        drop(tickets.open(&presented(&ticket, "/realtime/stream", true), now).expect("back"));
        assert!(tickets.holder(&presented(&ticket, "/realtime/stream", true), now).is_some());
        assert!(tickets.holder(&presented(&ticket, PATH, true), now).is_none());
    }

    #[test]
    fn one_user_has_a_bounded_number_waiting() {
        let (tickets, now) = (none(), Instant::now());
        let first = tickets.issue(ann(), None, now).expect("room").ticket;
        for _ in 1..MOST_WAITING {
            assert!(tickets.issue(ann(), None, now).is_some());
        }
        assert!(tickets.issue(ann(), None, now).is_none());
        let _stream = used(&tickets, &presented(&first, PATH, false), now).expect("fresh");
        assert!(tickets.issue(ann(), None, now).is_some());
        assert_eq!(tickets.take_over(now + TTL, Stamp(0)).len(), MOST_WAITING);
        assert!(tickets.issue(ann(), None, now).is_some());
    }

    #[test]
    fn after_a_restart_streams_come_back_and_none_begins() {
        let now = Instant::now();
        let issued = none().issue(ann(), Some(PATH), now).expect("room");
        let row = (issued.change.key, issued.change.value.expect("a record"));
        let tickets = Arc::new(Tickets::read(vec![row], TTL, now));
        assert!(tickets.holder(&presented(&issued.ticket, PATH, false), now).is_none());
        assert!(tickets.holder(&presented(&issued.ticket, PATH, true), now).is_some());
        assert!(tickets.holder(&presented(&issued.ticket, PATH, true), now + TTL).is_none());
    }
}
