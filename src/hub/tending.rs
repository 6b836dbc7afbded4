//! What the hub does by itself: tells how the system is and who comes and goes, and forgets what is
//! over.

use std::time::{Duration, Instant, SystemTime};

use super::online::Moment;
use super::presence::{Attendance, Attendee, Departed};
use super::{Enters, Hub, Venue};
use crate::event::{Event, Payload};
use crate::topic::Topic;

/// How often it is looked for what can be forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(10);

impl Hub {
    /// Sends the status of the system at its interval, tells who has left, and forgets
    /// tickets that are over. Never ends.
    pub async fn tend(&self) {
        // Apart, because forgetting waits for the disk.
        tokio::join!(self.tell_status_and_departures(), self.forget());
    }

    async fn forget(&self) {
        loop {
            tokio::time::sleep(TIDY_EVERY).await;
            self.away.forget(Instant::now());
            self.online.settle(Moment::now());
            self.forget_tickets().await;
        }
    }

    async fn tell_status_and_departures(&self) {
        let mut interval = tokio::time::interval(self.settings.status_interval);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interval.tick() => {
                    if self.topics.streams(&[Topic::system()]) > 0 {
                        self.tell(&self.status_event());
                    }
                }
                () = self.presence.somebody_departs() => self.announce_departed().await,
            }
        }
    }

    async fn announce_departed(&self) {
        loop {
            self.reactor.room_to_tell().await;
            // For each anew: whoever comes does not wait until all who went are announced.
            let _in_order = self.announcing.lock();
            let departed = self.presence.take_departed(Instant::now());
            let Some(Departed { attendee, username }) = departed else { return };
            self.announce(&attendee, &username, Comes::Left);
        }
    }

    /// Others learn of it; the stream itself, which is not in its shard yet, does not.
    pub(super) async fn enter(&self, enters: Enters) -> Attendance {
        self.reactor.room_to_tell().await;
        let Enters { venue, user, username } = enters;
        let attendee = Attendee { venue, user };
        let _in_order = self.announcing.lock();
        let (attendance, joined) = self.presence.join(attendee.clone(), &username);
        if joined {
            self.announce(&attendee, &username, Comes::Joined);
        }
        attendance
    }

    fn announce(&self, attendee: &Attendee, username: &str, comes: Comes) {
        let Attendee { venue, user } = attendee;
        let payload = Payload::object();
        let (topics, name, payload) = match venue {
            Venue::Room(room) => {
                let name = match comes {
                    Comes::Joined => "user-joined",
                    Comes::Left => "user-left",
                };
                let payload = payload
                    .text("roomId", Some(room.as_str()))
                    .text("userId", Some(user.as_str()))
                    .text("username", Some(username));
                (vec![Topic::room(room), Topic::rooms()], name, payload)
            }
            Venue::Service => {
                let name = match comes {
                    Comes::Joined => "user:online",
                    Comes::Left => "user:offline",
                };
                let conversations = self.members.conversations_of(user);
                let topics = conversations.iter().map(Topic::conversation).collect();
                (topics, name, payload.text("userId", Some(user.as_str())))
            }
        };
        self.tell(&Event::new(topics, name, payload.timestamp(SystemTime::now()).finish()));
    }
}

/// What others are told of a user.
#[derive(Clone, Copy)]
enum Comes {
    Joined,
    Left,
}
