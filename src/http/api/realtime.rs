//! `/realtime`: what happened to the entities of an application.

use std::time::SystemTime;

use super::{Draft, Fields, must_publish};
use crate::event::{Event, Payload};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::identity::Identity;
use crate::topic::Topic;

/// The actions, as given and as events.
const ACTIONS: [(&str, &str); 8] = [
    ("updated", "update"),
    ("created", "create"),
    ("deleted", "delete"),
    ("status-changed", "status-change"),
    ("update", "update"),
    ("create", "create"),
    ("delete", "delete"),
    ("status-change", "status-change"),
];

/// What a stream listens to: all entities, those of one type, or one.
pub fn topics(query: &Query) -> Result<Vec<Topic>, Problem> {
    match (query.name("entityType")?, query.name("entityId")?) {
        (None, None) => Ok(vec![Topic::realtime(), Topic::system()]),
        (Some(entity_type), None) => Ok(vec![Topic::entity_type(&entity_type)]),
        (Some(entity_type), Some(id)) => Ok(vec![Topic::entity(&entity_type, &id)]),
        (None, Some(_)) => Err(Problem::bad_request("entityId: needs an entityType")),
    }
}

/// `POST /realtime/update`
pub fn update(fields: &Fields<'_>, caller: &Identity) -> Result<Draft, Problem> {
    fields.require(&["entityType", "entityId", "action"])?;
    let entity_type = fields.name("entityType")?;
    let id = fields.name("entityId")?;
    let actions = ACTIONS.map(|(action, _)| action);
    let action = fields.choice("action", &actions)?.unwrap_or_default();
    let data = fields.json("data")?;
    must_publish(caller)?;
    let payload = Payload::object()
        .text("entityType", Some(entity_type.as_str()))
        .text("entityId", Some(id.as_str()))
        .text("action", Some(action))
        .json("data", &data)
        .timestamp(SystemTime::now())
        .finish();
    let topics =
        vec![Topic::realtime(), Topic::entity_type(&entity_type), Topic::entity(&entity_type, &id)];
    let event =
        ACTIONS.iter().find(|(given, _)| *given == action).map_or("update", |(_, event)| event);
    Ok(Draft::kept(Event::new(topics, event, payload)))
}
