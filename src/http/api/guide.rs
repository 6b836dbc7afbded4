//! `/api`: the guide's stream, and events of any name.

use super::{Draft, Fields, Target, must_publish};
use crate::event::{Event, Name, Payload};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::identity::Identity;
use crate::topic::Topic;

const TARGETS: &str = "broadcast, userId, userIds, channels";

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

/// `POST /api/events`
pub fn event(fields: &Fields<'_>, caller: &Identity) -> Result<Draft, Problem> {
    fields.require(&["event"])?;
    let name = fields.event_name("event")?;
    let payload = Payload::of(&fields.any_json("data")?);
    let ephemeral = fields.truth("ephemeral")?.unwrap_or(false);
    let topics = match (fields.target()?, fields.optional_names("channels")?) {
        (Some(target), None) => {
            if target != Target::Users(vec![caller.user.clone()]) {
                must_publish(caller)?;
            }
            match target {
                Target::Everyone => vec![Topic::everyone()],
                Target::Users(users) => users.iter().map(Topic::user).collect(),
            }
        }
        (None, Some(channels)) => {
            must_publish(caller)?;
            channels.iter().map(Topic::channel).collect()
        }
        (None, None) | (Some(_), Some(_)) => {
            return Err(Problem::field(TARGETS, "one of them must be given, and only one"));
        }
    };
    Ok(Draft { event: Event { topics, name, payload }, ephemeral })
}
