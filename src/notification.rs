//! The guide's notification: what a page shows to its user.

use std::time::Duration;

use crate::event::{Event, Payload};
use crate::topic::Topic;

/// A message for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// How it is meant.
    pub kind: Kind,
    /// Above the message; left out when there is none, as the guide shows it.
    pub title: Option<String>,
    /// What is said.
    pub message: String,
    /// How long a page shows it, told in milliseconds.
    pub duration: Duration,
}

impl Notification {
    /// How long a page shows one when nobody says it.
    pub const DURATION: Duration = Duration::from_secs(5);

    /// A message without a title, shown for [`Notification::DURATION`].
    pub fn new(kind: Kind, message: impl Into<String>) -> Notification {
        Notification { kind, title: None, message: message.into(), duration: Self::DURATION }
    }

    /// The same with a title.
    #[must_use]
    pub fn titled(self, title: impl Into<String>) -> Notification {
        Notification { title: Some(title.into()), ..self }
    }

    /// The event that carries it.
    pub fn event(&self, topics: Vec<Topic>) -> Event {
        let payload = Payload::object()
            .text("type", Some("notification"))
            .text("notificationType", Some(self.kind.as_str()));
        let payload = match &self.title {
            Some(title) => payload.text("title", Some(title)),
            None => payload,
        };
        let milliseconds = u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX);
        let payload = payload.text("message", Some(&self.message)).number("duration", milliseconds);
        Event::new(topics, "notification", payload.finish())
    }
}

/// How a notification is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// For the user to know.
    #[default]
    Info,
    /// Something went well.
    Success,
    /// Something may go wrong.
    Warning,
    /// Something went wrong.
    Error,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Info, Kind::Success, Kind::Warning, Kind::Error];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Info => "info",
            Kind::Success => "success",
            Kind::Warning => "warning",
            Kind::Error => "error",
        }
    }
}
