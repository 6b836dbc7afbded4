//! Who is in which chat room.
//!
//! A user joins with the first stream on a room and has left some seconds after the last one closed,
//! so that a page reload is neither. The core is told the time; [`Presence`] puts a lock around it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::event::Name;

/// How long a user may be away without having left.
const GRACE: Duration = Duration::from_secs(5);

/// A user in a room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attendee {
    /// The room.
    pub room: Name,
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
struct Rooms {
    attending: HashMap<Attendee, Attending>,
    /// In order of time, because the grace is the same for all.
    leaving: VecDeque<(Instant, Attendee, u64)>,
}

impl Rooms {
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

/// A user who has left a room.
#[derive(Debug, PartialEq, Eq)]
pub struct Departed {
    /// Who, and from where.
    pub attendee: Attendee,
    /// The name that he joined under.
    pub username: Box<str>,
}

/// The rooms, shared.
#[derive(Default)]
pub struct Presence {
    rooms: Mutex<Rooms>,
    somebody_leaves: Notify,
}

impl Presence {
    /// A stream of a user on a room. The second part tells whether he was not there before.
    pub fn join(self: &Arc<Self>, attendee: Attendee, username: &str) -> (Attendance, bool) {
        let joined = self.rooms.lock().join(&attendee, username);
        (Attendance { presence: Arc::clone(self), attendee }, joined)
    }

    /// Waits until the grace of somebody who left is over; he may be back by then.
    pub async fn somebody_departs(&self) {
        loop {
            let next = self.rooms.lock().leaving.front().map(|(until, _, _)| *until);
            match next {
                // Nobody who leaves later is due earlier.
                Some(next) => return tokio::time::sleep_until(next.into()).await,
                None => self.somebody_leaves.notified().await,
            }
        }
    }

    /// Those whose grace is over.
    pub fn take_departed(&self, now: Instant) -> Vec<Departed> {
        self.rooms.lock().departed(now)
    }
}

/// A stream's part in its user's being there.
pub struct Attendance {
    presence: Arc<Presence>,
    attendee: Attendee,
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.presence.rooms.lock().leave(&self.attendee, Instant::now());
        self.presence.somebody_leaves.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attendee(user: &str) -> Attendee {
        let name = |text: &str| Name::new(text).expect("a name");
        Attendee { room: name("general"), user: name(user) }
    }

    #[test]
    fn the_first_stream_joins_and_the_last_leaves_after_the_grace() {
        let (mut rooms, start) = (Rooms::default(), Instant::now());
        assert!(rooms.join(&attendee("a"), "Ann"));
        assert!(!rooms.join(&attendee("a"), "Ann"));
        rooms.leave(&attendee("a"), start);
        assert_eq!(rooms.departed(start + GRACE), []);
        rooms.leave(&attendee("a"), start);
        assert_eq!(rooms.departed(start), []);
        let departed = rooms.departed(start + GRACE);
        assert_eq!((departed.len(), &*departed[0].username), (1, "Ann"));
        assert!(rooms.join(&attendee("a"), "Ann"));
    }

    #[test]
    fn who_comes_back_in_time_has_not_left() {
        let (mut rooms, start) = (Rooms::default(), Instant::now());
        rooms.join(&attendee("a"), "Ann");
        rooms.leave(&attendee("a"), start);
        assert!(!rooms.join(&attendee("a"), "Ann"));
        let later = start + GRACE / 2;
        rooms.leave(&attendee("a"), later);
        assert_eq!(rooms.departed(start + GRACE), []);
        assert_eq!(rooms.departed(later + GRACE).len(), 1);
    }
}
