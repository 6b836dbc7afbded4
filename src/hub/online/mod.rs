//! Who is online: whoever has a stream, or had one a moment ago.
//!
//! ```text
//!            first stream seated          last place given back
//!  offline ──────────────────────▶ online ◀──────────────────▶ away
//!     ▲                                     a stream in time     │
//!     └──────────────────── the grace is over ───────────────────┘
//! ```
//! That a user is online is known from his places in [`Admission`](super::admission), so that it costs
//! nothing here; only those who are away do. Where somebody wants to be told, the two long arrows are
//! announced.

mod absences;
mod outbox;

use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};

use super::{Hub, Venue};
use crate::cursor::Position;
use crate::event::Name;
use crate::identity::Stamp;
use crate::log::{AppendError, Change, EventLog, Kind};
use crate::members::Group;
use absences::Absences;
pub use outbox::Announcement;
use outbox::Outbox;

/// How long a user may be without a stream and still be online: a reload, or everyone's coming back at
/// once, is no absence.
const GRACE: Duration = Duration::from_secs(5);

/// Now, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For spans of time.
    pub time: Instant,
    /// For others.
    pub wall: Stamp,
}

impl Moment {
    /// This one.
    pub fn now() -> Moment {
        Moment { time: Instant::now(), wall: Stamp::of(SystemTime::now()) }
    }
}

#[derive(Default)]
struct State {
    absences: Absences,
    /// Where somebody wants to be told.
    outbox: Option<Outbox>,
    stage: Stage,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// Users come and go.
    #[default]
    Open,
    /// The server ends, and sends everyone away: nobody goes offline by that.
    Frozen,
    /// Nobody is told any more.
    Closed,
}

impl State {
    fn arrived(&mut self, user: &Name, now: Moment) {
        self.settle(now);
        if !self.absences.end(user) {
            self.announce(user.clone(), true, now.wall);
        }
    }

    fn left(&mut self, user: Name, now: Moment) {
        self.settle(now);
        self.absences.begin(user, now.time + GRACE);
    }

    /// Whoever has been away for too long is offline.
    fn settle(&mut self, now: Moment) {
        if self.stage == Stage::Open {
            for user in self.absences.take_over(now.time) {
                self.announce(user, false, now.wall);
            }
        }
    }

    fn announce(&mut self, user: Name, online: bool, wall: Stamp) {
        let Some(outbox) = &mut self.outbox else { return };
        let left_out = outbox.push(user, online, wall);
        if left_out > 0 {
            tracing::warn!(left_out, "too much waits to be announced: only the newest is kept");
        }
    }
}

/// What somebody waits for who tells others.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// Something that the log has yet to hear of, or this time.
    News(Option<Instant>),
    /// This time alone.
    Time(Instant),
}

/// Users who come online and go offline, shared. By default nobody is announced.
#[derive(Default)]
pub struct Online {
    state: Mutex<State>,
    news: Condvar,
}

impl Online {
    /// Nobody is there yet. With `announced`, what happens is kept to be told; whoever was announced
    /// before a restart may then take so long to come back.
    pub(super) fn read(log: &EventLog, announced: Option<Duration>, now: Instant) -> Online {
        // Taken in any case, so that they take no memory.
        let (waiting, users) = (log.take_kept(Kind::Announcement), log.take_kept(Kind::Online));
        let Some(time_to_return) = announced else { return Online::default() };
        let mut absences = Absences::default();
        for (user, _) in users {
            match Name::new(&user) {
                Ok(user) => absences.begin(user, now + time_to_return),
                Err(_) => tracing::error!("a user in the log cannot be read"),
            }
        }
        let outbox = Some(Outbox::read(waiting));
        let state = State { absences, outbox, stage: Stage::Open };
        Online { state: Mutex::new(state), news: Condvar::new() }
    }

    /// A user's first stream is seated.
    pub(super) fn arrived(&self, user: &Name, now: Moment) {
        self.change(|state| state.arrived(user, now));
    }

    /// A user's last place was given back, and he had been there.
    pub(super) fn left(&self, user: Name, now: Moment) {
        self.change(|state| state.left(user, now));
    }

    /// Notes who has been away for too long.
    pub(super) fn settle(&self, now: Moment) {
        self.change(|state| state.settle(now));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        if state.stage == Stage::Open {
            change(&mut state);
            drop(state);
            self.news.notify_one();
        }
    }

    /// Whether a user without streams may come back and has never been gone then.
    pub(super) fn is_away(&self, user: &Name, now: Instant) -> bool {
        self.state.lock().absences.has(user, now)
    }

    /// From now on nobody comes or goes: the server sends everyone away itself.
    pub(super) fn freeze(&self) {
        self.state.lock().stage = Stage::Frozen;
    }

    /// Sends whoever waits home.
    pub fn close(&self) {
        self.state.lock().stage = Stage::Closed;
        self.news.notify_one();
    }

    /// Waits, and tells whether to go on then.
    pub fn wait(&self, until: Until) -> bool {
        let mut state = self.state.lock();
        loop {
            let now = Moment::now();
            state.settle(now);
            let ahead = state.outbox.as_ref().is_some_and(Outbox::is_ahead_of_log);
            let (time, ready) = match until {
                Until::News(time) => (time, ahead),
                Until::Time(time) => (Some(time), false),
            };
            if state.stage == Stage::Closed || ready || time.is_some_and(|time| time <= now.time) {
                return state.stage != Stage::Closed;
            }
            let due = state.absences.next().filter(|_| state.stage == Stage::Open);
            match [time, due].into_iter().flatten().min() {
                Some(time) => drop(self.news.wait_until(&mut state, time)),
                None => self.news.wait(&mut state),
            }
        }
    }

    /// Gives the log what it has yet to hear of, as far as that is there by now: while users come and
    /// go all the time there is always more, and it has to be told as well.
    fn keep<E>(&self, mut log: impl FnMut(Vec<Change>) -> Result<(), E>) -> Result<(), E> {
        let (waiting, _) = self.waiting();
        for _ in 0..=waiting / MOST_KEPT {
            let keeping =
                self.with_outbox(|outbox| outbox.is_ahead_of_log().then(|| outbox.keep(MOST_KEPT)));
            let Some(mut keeping) = keeping else { break };
            log(std::mem::take(&mut keeping.changes))?;
            self.with_outbox(|outbox| outbox.note_kept(&keeping));
        }
        Ok(())
    }

    fn with_outbox<T: Default>(&self, with: impl FnOnce(&mut Outbox) -> T) -> T {
        self.state.lock().outbox.as_mut().map(with).unwrap_or_default()
    }

    /// How many announcements wait, and how many of them can be told.
    pub fn waiting(&self) -> (usize, usize) {
        self.with_outbox(|outbox| (outbox.len(), outbox.ready()))
    }

    /// The oldest announcements, up to `most` of them.
    pub fn oldest(&self, most: usize) -> Vec<Announcement> {
        self.with_outbox(|outbox| outbox.oldest(most))
    }

    /// Everything up to here has been told, or is given up.
    pub fn told(&self, upto: Position) {
        self.with_outbox(|outbox| outbox.remove(upto));
    }
}

/// The most announcements that go to the log at once: publishers wait for as long as that takes.
const MOST_KEPT: usize = 1_000;

/// Whether a user is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserPresence {
    /// He has a stream, or had one a moment ago.
    pub online: bool,
    /// How many streams he has.
    pub connections: usize,
}

impl Hub {
    /// Whether a user is there now.
    pub fn presence_of(&self, user: &Name) -> UserPresence {
        self.admission.presence_of(user, Instant::now())
    }

    /// The first users in a room after one of them, in the order of their ids, each with the name that
    /// others see.
    pub fn users_in_room(
        &self,
        room: &Name,
        after: Option<&Name>,
        most: usize,
    ) -> Vec<(Name, Box<str>)> {
        self.presence.users(&Venue::Room(room.clone()), after, most)
    }

    /// The first members of a conversation after one of them who are online, in the order of their
    /// ids.
    pub fn members_online(
        &self,
        conversation: &Name,
        after: Option<&Name>,
        most: usize,
    ) -> impl Iterator<Item = Name> {
        let members = self.members.list(&Group::Conversation(conversation.clone())).into_iter();
        let behind = members.filter(move |member| after.is_none_or(|after| member > after));
        behind.filter(|member| self.presence_of(member).online).take(most)
    }

    /// Who comes and goes, for whoever tells others.
    pub fn online(&self) -> &Online {
        &self.online
    }

    /// Brings to the log what it has yet to hear of. Waits for the disk, so it is for a thread of its
    /// own.
    ///
    /// # Errors
    /// When the log does not take it now; nothing is lost by that.
    pub fn keep_announcements(&self) -> Result<(), AppendError> {
        self.online.keep(|changes| self.log.keep_blocking(changes))
    }
}

#[cfg(test)]
mod tests;
