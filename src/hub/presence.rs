//! Who is in which chat room, and who is connected to the service.
//!
//! A user comes with the first stream there and has left some seconds after the last one closed,
//! so that a page reload is neither. The core is told the time; [`Presence`] puts a lock around it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
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
    /// By venue, because lists of users are asked for while others come and go; in the order in which
    /// they are listed. No venue is empty.
    attending: HashMap<Venue, BTreeMap<Name, Attending>>,
    /// In order of time, because the grace is the same for all.
    leaving: VecDeque<(Instant, Attendee, u64)>,
}

impl Venues {
    /// One more stream; tells whether the user was not there before.
    fn join(&mut self, Attendee { venue, user }: &Attendee, username: &str) -> bool {
        let here = self.attending.entry(venue.clone()).or_default();
        if let Some(attending) = here.get_mut(user) {
            attending.streams += 1;
            return false;
        }
        let attending = Attending { username: username.into(), streams: 1, departures: 0 };
        here.insert(user.clone(), attending);
        true
    }

    fn leave(&mut self, attendee: &Attendee, now: Instant) {
        let here = self.attending.get_mut(&attendee.venue);
        let Some(attending) = here.and_then(|here| here.get_mut(&attendee.user)) else { return };
        attending.streams -= 1;
        if attending.streams == 0 {
            attending.departures += 1;
            self.leaving.push_back((now + GRACE, attendee.clone(), attending.departures));
        }
    }

    /// Some users at a venue, in the order of their ids.
    fn users(&self, venue: &Venue, after: Option<&Name>, most: usize) -> Vec<(Name, Box<str>)> {
        let Some(here) = self.attending.get(venue) else { return Vec::new() };
        let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let users = here.range::<Name, _>(behind).take(most);
        users.map(|(user, attending)| (user.clone(), attending.username.clone())).collect()
    }

    /// One whose grace is over.
    fn departed(&mut self, now: Instant) -> Option<Departed> {
        while let Some((_, attendee, departure)) =
            self.leaving.pop_front_if(|(until, _, _)| *until <= now)
        {
            if let Some(username) = self.remove(&attendee, departure) {
                return Some(Departed { attendee, username });
            }
        }
        None
    }

    /// Removes a user if that departure was his last, and tells the name that he joined under.
    fn remove(&mut self, Attendee { venue, user }: &Attendee, departure: u64) -> Option<Box<str>> {
        let here = self.attending.get_mut(venue)?;
        here.get(user).filter(|one| one.streams == 0 && one.departures == departure)?;
        let attending = here.remove(user)?;
        if here.is_empty() {
            self.attending.remove(venue);
        }
        Some(attending.username)
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

    /// One of those whose grace is over.
    pub fn take_departed(&self, now: Instant) -> Option<Departed> {
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
        assert_eq!(venues.departed(start + GRACE), None);
        venues.leave(&attendee("a"), start);
        assert_eq!(venues.departed(start), None);
        let departed = Departed { attendee: attendee("a"), username: "Ann".into() };
        assert_eq!(venues.departed(start + GRACE), Some(departed));
        assert!(venues.attending.is_empty() && venues.departed(start + GRACE).is_none());
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
        assert_eq!(venues.departed(start + GRACE), None);
        assert!(venues.departed(later + GRACE).is_some());
    }

    #[test]
    fn users_of_a_venue_are_listed_in_order_and_page_by_page() {
        let mut venues = Venues::default();
        for user in ["b", "c", "a"] {
            venues.join(&attendee(user), &user.to_uppercase());
        }
        venues.join(&Attendee { venue: Venue::Service, ..attendee("d") }, "D");
        let listed = |after: Option<&str>, most| {
            let after = after.map(|user| attendee(user).user);
            let users = venues.users(&attendee("a").venue, after.as_ref(), most);
            users.iter().map(|(user, name)| format!("{user}{name}")).collect::<Vec<_>>()
        };
        assert_eq!(listed(None, 2), ["aA", "bB"]);
        assert_eq!(listed(Some("aa"), 9), ["bB", "cC"]);
        assert!(listed(Some("c"), 9).is_empty());
    }
}
