//! The guide's update: what happened to an entity of an application.

use crate::event::{Event, Name, Payload};
use crate::json::Json;
use crate::topic::Topic;

/// News of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The kind of entity, as `order`.
    pub entity: Name,
    /// What happened to it.
    pub action: Action,
    /// The entity, or what changed.
    pub payload: Json,
}

impl Update {
    /// The event that carries it.
    pub fn event(&self, topics: Vec<Topic>) -> Event {
        let payload = Payload::object()
            .text("type", Some("update"))
            .text("entity", Some(self.entity.as_str()))
            .text("action", Some(self.action.as_str()))
            .json("payload", &self.payload)
            .finish();
        Event::new(topics, "update", payload)
    }
}

/// What happens to entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is new.
    Created,
    /// It is another than it was.
    Updated,
    /// It is gone.
    Deleted,
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 3] = [Action::Created, Action::Updated, Action::Deleted];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Created => "created",
            Action::Updated => "updated",
            Action::Deleted => "deleted",
        }
    }
}
