//! What is posted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::cursor::Position;
use crate::event::Payload;
use crate::hub::online::Announcement;

/// Bytes of the digest in an id: as many as keep two messages from ever having the same.
const ID_BYTES: usize = 18;

/// A batch of events. The same events make the same bytes and so the same id, after a restart too.
#[derive(Debug)]
pub struct Message {
    /// Its `webhook-id`.
    pub id: String,
    /// Its body.
    pub body: String,
    /// How many events are in it.
    pub events: usize,
    /// The newest of them.
    pub newest: Position,
}

impl Message {
    /// A message of these events; `None` without any.
    pub fn of(events: &[Announcement]) -> Option<Message> {
        let newest = events.last()?.position;
        let body = Payload::object()
            .text("type", Some("presence"))
            .timestamp(time(newest))
            .list("events", events.iter().map(event))
            .finish();
        let body = body.parts().0.to_owned();
        let digest = Sha256::digest(&body);
        let id = format!("msg_{}", URL_SAFE_NO_PAD.encode(&digest[..ID_BYTES]));
        Some(Message { id, body, events: events.len(), newest })
    }
}

fn event(announcement: &Announcement) -> Payload {
    let Announcement { position, user, online } = announcement;
    let id = format!("{}-{}", position.milliseconds(), position.sequence());
    Payload::object()
        .text("id", Some(&id))
        .text("type", Some(if *online { "user.online" } else { "user.offline" }))
        .text("userId", Some(user.as_str()))
        .timestamp(time(*position))
        .finish()
}

fn time(position: Position) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(position.milliseconds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Name;

    fn announcement(sequence: u64, user: &str, online: bool) -> Announcement {
        let position = Position::new(1_700_000_000_000, sequence).expect("a position");
        Announcement { position, user: Name::new(user).expect("a name"), online }
    }

    #[test]
    fn the_same_events_are_the_same_message() {
        let events = [announcement(0, "a \"b\"", true), announcement(1, "c", false)];
        let message = Message::of(&events).expect("a message");
        let expected = concat!(
            r#"{"type":"presence","timestamp":"2023-11-14T22:13:20.000Z","events":["#,
            r#"{"id":"1700000000000-0","type":"user.online","userId":"a \"b\"","#,
            r#""timestamp":"2023-11-14T22:13:20.000Z"},"#,
            r#"{"id":"1700000000000-1","type":"user.offline","userId":"c","#,
            r#""timestamp":"2023-11-14T22:13:20.000Z"}]}"#
        );
        assert_eq!((message.body.as_str(), message.events), (expected, 2));
        assert_eq!(message.id.len(), "msg_".len() + 24);
        assert_eq!(Message::of(&events).expect("a message").id, message.id);
        assert_ne!(Message::of(&events[..1]).expect("a message").id, message.id);
        assert!(Message::of(&[]).is_none());
    }
}
