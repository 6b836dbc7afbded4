//! Tickets from their issue to their end.

use super::*;
use crate::identity::Credential;

const TTL: Duration = Duration::from_secs(60);
const PATH: &str = "/chat/stream";
/// When all of it happens.
const WALL: Stamp = Stamp(1_000_000);

fn start() -> Position {
    Position::start(1)
}

fn ann() -> Identity {
    let expires = Some(Stamp(1_000));
    let credential = Credential { id: None, issued: Stamp(0), expires };
    let ann = Identity::of(Name::new("ann").expect("a name"));
    Identity { credential: Some(credential), ..ann }
}

fn none() -> Arc<Tickets> {
    Arc::new(Tickets::read(Vec::new(), TTL, Instant::now(), WALL))
}

fn presented(ticket: &str, path: &'static str, returns: bool) -> Attempt {
    let (returns, address) = (returns.then(start), Some([10, 0, 0, 1].into()));
    Attempt { digest: TicketDigest::of(ticket), path, returns, address }
}

fn used(tickets: &Arc<Tickets>, presented: &Attempt, now: Instant) -> Option<TicketUse> {
    let mut used = tickets.open(presented, None, now)?;
    used.confirm(start());
    Some(used)
}

#[test]
fn a_ticket_opens_one_stream_and_lets_that_one_come_back() {
    let (tickets, now) = (none(), Instant::now());
    let ticket = tickets.issue(ann(), Some(PATH), now, WALL).expect("room").ticket;
    let first = presented(&ticket, PATH, false);
    let again = presented(&ticket, PATH, true);
    assert!(tickets.open(&presented(&ticket, "/realtime/stream", false), None, now).is_none());
    assert!(tickets.open(&presented("another", PATH, true), None, now).is_none());
    assert_eq!(tickets.holder(&first, now).as_deref(), Some(&ann()));
    let stream = used(&tickets, &first, now).expect("fresh");
    assert!(tickets.holder(&first, now).is_none() && tickets.open(&first, None, now).is_none());
    let successor = used(&tickets, &again, now).expect("it takes its own place");
    drop(stream);
    drop(successor);
    assert!(tickets.open(&first, None, now).is_none());
    let later = Instant::now() + TTL;
    assert!(tickets.holder(&again, now).is_some() && tickets.holder(&again, later).is_none());
}

#[test]
fn time_takes_tickets_away_but_not_from_a_stream() {
    let (tickets, now) = (none(), Instant::now());
    let issue = || tickets.issue(ann(), None, now, WALL).expect("room").ticket;
    let (waiting, open) = (issue(), issue());
    let stream = used(&tickets, &presented(&open, PATH, false), now).expect("fresh");
    let waiting = presented(&waiting, PATH, false);
    assert!(tickets.holder(&waiting, now + TTL).is_none());
    let gone = tickets.take_over(now + TTL);
    assert_eq!(
        gone.iter().map(|change| &change.key).collect::<Vec<_>>(),
        [&waiting.digest.to_string()]
    );
    let again = presented(&open, PATH, true);
    assert!(tickets.holder(&again, now + 2 * TTL).is_some());
    drop(stream);
    assert!(tickets.take_over(now + TTL).is_empty(), "its time begins when the stream ends");
    assert_eq!(tickets.take_over(now + 2 * TTL).len(), 1);
}

#[test]
fn a_refused_stream_costs_no_ticket() {
    let (tickets, now) = (none(), Instant::now());
    let ticket = tickets.issue(ann(), None, now, WALL).expect("room").ticket;
    drop(tickets.open(&presented(&ticket, PATH, false), None, now).expect("fresh"));
    let stream = used(&tickets, &presented(&ticket, "/realtime/stream", false), now);
    drop(stream.expect("still fresh, for any path"));
    drop(tickets.open(&presented(&ticket, "/realtime/stream", true), None, now).expect("back"));
    assert!(tickets.holder(&presented(&ticket, "/realtime/stream", true), now).is_some());
    assert!(tickets.holder(&presented(&ticket, PATH, true), now).is_none());
}

#[test]
fn what_comes_back_is_the_stream_that_was_there() {
    let (tickets, now) = (none(), Instant::now());
    let ticket = tickets.issue(ann(), None, now, WALL).expect("room").ticket;
    let name = |text: &str| Name::new(text).expect("a name");
    let [tab, other] = ["tab", "other"].map(|client| (name("ann"), name(client)));
    let back = presented(&ticket, PATH, true);
    drop(tickets.open(&presented(&ticket, PATH, false), Some(&other), now).expect("refused"));
    let first = presented(&ticket, PATH, false);
    let mut stream = tickets.open(&first, Some(&tab), now).expect("still fresh");
    stream.confirm(start());
    assert!(tickets.open(&back, Some(&other), now).is_none());
    assert!(tickets.open(&back, None, now).is_none());
    let before = Attempt { returns: Some(Position::start(0)), ..back.clone() };
    assert!(tickets.open(&before, Some(&tab), now).is_none());
    assert!(tickets.open(&back, Some(&tab), now).is_some());
}

#[test]
fn one_user_has_a_bounded_number_waiting() {
    let (tickets, now) = (none(), Instant::now());
    let first = tickets.issue(ann(), None, now, WALL).expect("room").ticket;
    for _ in 1..MOST_WAITING {
        assert!(tickets.issue(ann(), None, now, WALL).is_some());
    }
    assert!(tickets.issue(ann(), None, now, WALL).is_none());
    let _stream = used(&tickets, &presented(&first, PATH, false), now).expect("fresh");
    assert!(tickets.issue(ann(), None, now, WALL).is_some());
    assert_eq!(tickets.take_over(now + TTL).len(), MOST_WAITING);
    assert!(tickets.issue(ann(), None, now, WALL).is_some());
}

/// What the log has after these.
fn restarted(rows: &[&Change], now: Instant, wall: Stamp) -> Arc<Tickets> {
    let rows = rows.iter().map(|change| (change.key.clone(), change.value.clone().expect("a row")));
    Arc::new(Tickets::read(rows.collect(), TTL, now, wall))
}

#[test]
fn after_a_restart_a_used_ticket_is_still_its_own_streams_alone() {
    let (tickets, now) = (none(), Instant::now());
    let issued = tickets.issue(ann(), Some(PATH), now, WALL).expect("room");
    let first = presented(&issued.ticket, PATH, false);
    let mut stream = tickets.open(&first, None, now).expect("fresh");
    let change = stream.confirm(start()).expect("a row");
    assert_eq!(stream.confirm(start()), None, "once is enough");
    let tickets = restarted(&[&change], now, WALL.after(TTL));
    let again = presented(&issued.ticket, PATH, true);
    assert!(tickets.holder(&first, now).is_none());
    assert!(tickets.holder(&again, now).is_some());
    assert!(tickets.holder(&again, now + TTL).is_none());
    let elsewhere = Attempt { address: Some([10, 0, 0, 2].into()), ..again.clone() };
    assert!(tickets.holder(&elsewhere, now).is_none());
    let before = Attempt { returns: Some(Position::start(0)), ..again };
    assert!(tickets.holder(&before, now).is_none());
}

#[test]
fn after_a_restart_an_unused_ticket_has_what_is_left_of_its_time() {
    let (tickets, now) = (none(), Instant::now());
    let [early, late] = [0, 40].map(|seconds| {
        let wall = WALL.after(Duration::from_secs(seconds));
        tickets.issue(ann(), None, now, wall).expect("room")
    });
    let later = WALL.after(Duration::from_secs(50));
    let tickets = restarted(&[&late.change, &early.change], now, later);
    let holds = |issued: &Issued, after: u64| {
        let then = now + Duration::from_secs(after);
        tickets.holder(&presented(&issued.ticket, PATH, false), then).is_some()
    };
    assert!(holds(&early, 9) && !holds(&early, 10));
    assert!(holds(&late, 49) && !holds(&late, 50));
    assert!(
        tickets.holder(&presented(&late.ticket, PATH, true), now).is_some(),
        "a cursor is no harm"
    );
    assert_eq!(tickets.take_over(now + Duration::from_secs(10)).len(), 1);
    assert_eq!(tickets.take_over(now + Duration::from_secs(50)).len(), 1);
}

#[test]
fn only_its_own_client_comes_back() {
    let (tickets, now) = (none(), Instant::now());
    let ticket = tickets.issue(ann(), None, now, WALL).expect("room").ticket;
    let _stream = used(&tickets, &presented(&ticket, PATH, false), now).expect("fresh");
    let again = presented(&ticket, PATH, true);
    let from = |address: Option<IpAddr>| {
        tickets.holder(&Attempt { address, ..again.clone() }, now).is_some()
    };
    assert!(from(Some([10, 0, 0, 1].into())) && !from(Some([10, 0, 0, 2].into())));
    assert!(from(None), "on a unix socket nobody knows");
}
