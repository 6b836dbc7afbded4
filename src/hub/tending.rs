//! What the hub does by itself: tells how the system is and who comes and goes, and forgets what is
//! over.

use std::time::{Duration, Instant, SystemTime};

use super::presence::{Attendance, Attendee, Departed};
use super::{Enters, Hub};
use crate::event::{Event, Payload};
use crate::topic::Topic;

/// How often it is looked for what can be forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(10);

impl Hub {
    /// Sends the status of the system at its interval, tells rooms who has left them, and forgets
    /// tickets that are over. Never ends.
    pub async fn tend(&self) {
        // Apart, because forgetting waits for the disk.
        tokio::join!(self.tell_status_and_departures(), self.forget());
    }

    async fn forget(&self) {
        loop {
            tokio::time::sleep(TIDY_EVERY).await;
            self.away.forget(Instant::now());
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
                () = self.presence.somebody_departs() => self.announce_departed(),
            }
        }
    }

    fn announce_departed(&self) {
        let _in_order = self.announcing.lock();
        for Departed { attendee, username } in self.presence.take_departed(Instant::now()) {
            self.tell(&attendance_event("user-left", &attendee, &username));
        }
    }

    /// Others in the room learn of it; the stream itself, which is not in its shard yet, does not.
    pub(super) fn enter(&self, enters: Enters) -> Attendance {
        let Enters { room, user, username } = enters;
        let attendee = Attendee { room, user };
        let _in_order = self.announcing.lock();
        let (attendance, joined) = self.presence.join(attendee.clone(), &username);
        if joined {
            self.tell(&attendance_event("user-joined", &attendee, &username));
        }
        attendance
    }
}

fn attendance_event(name: &'static str, attendee: &Attendee, username: &str) -> Event {
    let payload = Payload::object()
        .text("roomId", Some(attendee.room.as_str()))
        .text("userId", Some(attendee.user.as_str()))
        .text("username", Some(username))
        .timestamp(SystemTime::now())
        .finish();
    Event::new(vec![Topic::room(&attendee.room), Topic::rooms()], name, payload)
}
