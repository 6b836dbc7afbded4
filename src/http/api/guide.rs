//! `/api`: the guide's stream, its notifications and updates, and events of any name.

use super::audience::Audience;
use super::{Draft, Fields};
use crate::event::{Event, Name, Payload};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::identity::Identity;
use crate::rights::Reader;
use crate::topic::Topic;

const TYPES: [&str; 4] = ["info", "success", "warning", "error"];
const ACTIONS: [&str; 3] = ["created", "updated", "deleted"];
/// How long a page shows a notification when nobody says it, in milliseconds.
const DURATION: u64 = 5_000;

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
    let kind = fields.choice("notificationType", &TYPES)?.unwrap_or("info");
    let duration = fields.count("duration")?.unwrap_or(DURATION);
    let audience = Audience::read(fields)?.unwrap_or_else(|| Audience::of(caller));
    let topics = audience.topics(caller, reader)?;
    let payload =
        Payload::object().text("type", Some("notification")).text("notificationType", Some(kind));
    // Left out when there is none, as the guide shows it.
    let payload = match &title {
        Some(title) => payload.text("title", Some(title)),
        None => payload,
    };
    let payload = payload.text("message", Some(&message)).number("duration", duration).finish();
    Ok(Draft::kept(Event::new(topics, "notification", payload)))
}

/// `POST /api/updates`
pub fn update(fields: &Fields<'_>, caller: &Identity, reader: &Reader) -> Result<Draft, Problem> {
    fields.require(&["entity", "action"])?;
    let entity = fields.name("entity")?;
    let action = fields.choice("action", &ACTIONS)?;
    let data = fields.any_json("payload")?;
    let topics = Audience::required(fields)?.topics(caller, reader)?;
    let payload = Payload::object()
        .text("type", Some("update"))
        .text("entity", Some(entity.as_str()))
        .text("action", action)
        .json("payload", &data)
        .finish();
    Ok(Draft::kept(Event::new(topics, "update", payload)))
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
    fields.require(&["event"])?;
    let name = fields.event_name("event")?;
    let payload = Payload::of(&fields.any_json("data")?);
    let ephemeral = fields.truth("ephemeral")?.unwrap_or(false);
    Ok(Draft { event: Event { topics: topics()?, name, payload }, ephemeral })
}
