//! Who is in which chat room, and who is connected to the service.
//!
//! A user comes with the first stream there and has left some seconds after the last one closed,
//! so that a page reload is neither. The core is told the time; [`Presence`] puts a lock around it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::event::Name;

/// How long a user may be away without having left.
const GRACE: Duration = Duration::from_secs(5);

/// Where users are seen by others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Venue {
    /// In a chat room: by those who listen to it.
    Room(Name),
    /// On the service (`/sse/connect`): by those who share a conversation with them.
    Service,
}

/// A user at a venue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attendee {
    /// Where.
    pub venue: Venue,
    /// The user's id.
    pub user: Name,
}

struct Attending {
    username: Box<str>,
    streams: usize,
    /// Counts the times that the last stream closed, so that an old departure is not taken for a
    /// newer one.
    departures: u64,
}

#[derive(Default)]
struct Venues {
    attending: HashMap<Attendee, Attending>,
    /// In order of time, because the grace is the same for all.
    leaving: VecDeque<(Instant, Attendee, u64)>,
}

impl Venues {
    /// One more stream; tells whether the user was not there before.
    fn join(&mut self, attendee: &Attendee, username: &str) -> bool {
        if let Some(attending) = self.attending.get_mut(attendee) {
            attending.streams += 1;
            return false;
        }
        let attending = Attending { username: username.into(), streams: 1, departures: 0 };
        self.attending.insert(attendee.clone(), attending);
        true
    }

    fn leave(&mut self, attendee: &Attendee, now: Instant) {
        let Some(attending) = self.attending.get_mut(attendee) else { return };
        attending.streams -= 1;
        if attending.streams == 0 {
            attending.departures += 1;
            self.leaving.push_back((now + GRACE, attendee.clone(), attending.departures));
        }
    }

    /// Some users at a venue, in the order of their ids.
    fn users(&self, venue: &Venue, after: Option<&Name>, most: usize) -> Vec<(Name, Box<str>)> {
        let is_meant = |attendee: &Attendee| {
            attendee.venue == *venue
                && after.is_none_or(|after| attendee.user.as_str() > after.as_str())
        };
        let mut found: Vec<_> =
            self.attending.iter().filter(|(attendee, _)| is_meant(attendee)).collect();
        found.sort_unstable_by_key(|(attendee, _)| attendee.user.as_str());
        found.truncate(most);
        let shown = |(attendee, attending): (&Attendee, &Attending)| {
            (attendee.user.clone(), attending.username.clone())
        };
        found.into_iter().map(shown).collect()
    }

    fn departed(&mut self, now: Instant) -> Vec<Departed> {
        let mut departed = Vec::new();
        while let Some((_, attendee, departure)) =
            self.leaving.pop_front_if(|(until, _, _)| *until <= now)
        {
            let left = |attending: &&Attending| {
                attending.streams == 0 && attending.departures == departure
            };
            if self.attending.get(&attendee).filter(left).is_some()
                && let Some(attending) = self.attending.remove(&attendee)
            {
                departed.push(Departed { attendee, username: attending.username });
            }
        }
        departed
    }
}

/// A user who has left a venue.
#[derive(Debug, PartialEq, Eq)]
pub struct Departed {
    /// Who, and from where.
    pub attendee: Attendee,
    /// The name that he joined under.
    pub username: Box<str>,
}

/// All venues, shared.
#[derive(Default)]
pub struct Presence {
    venues: Mutex<Venues>,
    somebody_leaves: Notify,
}

impl Presence {
    /// A stream of a user at a venue. The second part tells whether he was not there before.
    pub fn join(self: &Arc<Self>, attendee: Attendee, username: &str) -> (Attendance, bool) {
        let joined = self.venues.lock().join(&attendee, username);
        (Attendance { presence: Arc::clone(self), attendee }, joined)
    }

    /// The first users at a venue after one of them, in the order of their ids, each with the name that
    /// he joined under.
    pub fn users(&self, venue: &Venue, after: Option<&Name>, most: usize) -> Vec<(Name, Box<str>)> {
        self.venues.lock().users(venue, after, most)
    }

    /// Waits until the grace of somebody who left is over; he may be back by then.
    pub async fn somebody_departs(&self) {
        loop {
            let next = self.venues.lock().leaving.front().map(|(until, _, _)| *until);
            match next {
                // Nobody who leaves later is due earlier.
                Some(next) => return tokio::time::sleep_until(next.into()).await,
                None => self.somebody_leaves.notified().await,
            }
        }
    }

    /// Those whose grace is over.
    pub fn take_departed(&self, now: Instant) -> Vec<Departed> {
        self.venues.lock().departed(now)
    }
}

/// A stream's part in its user's being there.
pub struct Attendance {
    presence: Arc<Presence>,
    attendee: Attendee,
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.presence.venues.lock().leave(&self.attendee, Instant::now());
        self.presence.somebody_leaves.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attendee(user: &str) -> Attendee {
        let name = |text: &str| Name::new(text).expect("a name");
        Attendee { venue: Venue::Room(name("general")), user: name(user) }
    }

    #[test]
    fn the_first_stream_joins_and_the_last_leaves_after_the_grace() {
        let (mut venues, start) = (Venues::default(), Instant::now());
        assert!(venues.join(&attendee("a"), "Ann"));
        assert!(!venues.join(&attendee("a"), "Ann"));
        venues.leave(&attendee("a"), start);
        assert_eq!(venues.departed(start + GRACE), []);
        venues.leave(&attendee("a"), start);
        assert_eq!(venues.departed(start), []);
        let departed = venues.departed(start + GRACE);
        assert_eq!((departed.len(), &*departed[0].username), (1, "Ann"));
        assert!(venues.join(&attendee("a"), "Ann"));
    }

    #[test]
    fn who_comes_back_in_time_has_not_left() {
        let (mut venues, start) = (Venues::default(), Instant::now());
        venues.join(&attendee("a"), "Ann");
        venues.leave(&attendee("a"), start);
        assert!(!venues.join(&attendee("a"), "Ann"));
        let later = start + GRACE / 2;
        venues.leave(&attendee("a"), later);
        assert_eq!(venues.departed(start + GRACE), []);
        assert_eq!(venues.departed(later + GRACE).len(), 1);
    }
}
