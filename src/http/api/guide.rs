//! `/api`: the guide's stream, its notifications and updates, and events of any name.

use std::time::Duration;

use super::audience::Audience;
use super::{Draft, Fields};
use crate::event::{Event, Name, Payload};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::identity::Identity;
use crate::notification::{Kind, Notification};
use crate::rights::Reader;
use crate::topic::Topic;
use crate::update::{Action, Update};

/// What every stream of a user listens to.
pub fn topics(user: &Name) -> Vec<Topic> {
    vec![Topic::user(user), Topic::everyone()]
}

/// The channels that a stream asks for besides.
pub fn channels(query: &Query) -> Result<Vec<Topic>, Problem> {
    Ok(query.names("channels")?.iter().map(Topic::channel).collect())
}

/// What a stream is told when it begins.
pub fn welcome() -> Event {
    let payload = Payload::object()
        .text("type", Some("notification"))
        .text("notificationType", Some("info"))
        .text("message", Some("Connected to notification stream"))
        .finish();
    Event::new(Vec::new(), "notification", payload)
}

/// `POST /api/notifications`
pub fn notification(
    fields: &Fields<'_>,
    caller: &Identity,
    reader: &Reader,
) -> Result<Draft, Problem> {
    fields.require(&["message"])?;
    let message = fields.text("message")?;
    let title = fields.optional_text("title")?;
    let kind = fields.one_of("notificationType", &Kind::ALL, Kind::as_str)?.unwrap_or_default();
    let duration = fields.count("duration")?.map(Duration::from_millis);
    let duration = duration.unwrap_or(Notification::DURATION);
    let audience = Audience::read(fields)?.unwrap_or_else(|| Audience::of(caller));
    let topics = audience.topics(caller, reader)?;
    Ok(Draft::kept(Notification { kind, title, message, duration }.event(topics)))
}

/// `POST /api/updates`
pub fn update(fields: &Fields<'_>, caller: &Identity, reader: &Reader) -> Result<Draft, Problem> {
    fields.require_with(&["entity", "action"], "payload")?;
    let entity = fields.name("entity")?;
    let action = fields.one_of("action", &Action::ALL, Action::as_str)?;
    let action = action.ok_or_else(|| Problem::field("action", "required"))?;
    let payload = fields.json("payload")?;
    let topics = Audience::required(fields)?.topics(caller, reader)?;
    Ok(Draft::kept(Update { entity, action, payload }.event(topics)))
}

/// `POST /api/events`
pub fn event(fields: &Fields<'_>, caller: &Identity, reader: &Reader) -> Result<Draft, Problem> {
    custom(fields, || Audience::required(fields)?.topics(caller, reader))
}

/// An event of a publisher's own, to whomever `topics` says.
pub(super) fn custom(
    fields: &Fields<'_>,
    topics: impl FnOnce() -> Result<Vec<Topic>, Problem>,
) -> Result<Draft, Problem> {
    fields.require_with(&["event"], "data")?;
    let name = fields.event_name("event")?;
    let payload = Payload::of(&fields.json("data")?);
    let ephemeral = fields.truth("ephemeral")?.unwrap_or(false);
    Ok(Draft { event: Event { topics: topics()?, name, payload }, ephemeral })
}
