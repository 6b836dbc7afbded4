//! `/chat`: rooms that users talk in.

use std::time::SystemTime;

use super::{Draft, Fields};
use crate::event::{Event, Name, Payload};
use crate::http::auth::Identity;
use crate::http::problem::Problem;
use crate::topic::Topic;

/// What a stream listens to: one room, or every open one.
pub fn topics(room: Option<&Name>) -> Vec<Topic> {
    vec![room.map_or_else(Topic::rooms, Topic::room)]
}

/// `POST /chat/send`
pub fn send(fields: &Fields<'_>, caller: &Identity) -> Result<Draft, Problem> {
    fields.require(&["roomId", "message"])?;
    let room = fields.name("roomId")?;
    let message = fields.text("message")?;
    let payload = Payload::object()
        .id()
        .text("roomId", Some(room.as_str()))
        .text("userId", Some(caller.user.as_str()))
        .text("username", Some(&caller.username))
        .text("message", Some(&message))
        .timestamp(SystemTime::now())
        .finish();
    Ok(Draft::kept(Event::new(audience(&room), "message", payload)))
}

/// `POST /chat/typing`
pub fn typing(fields: &Fields<'_>, caller: &Identity) -> Result<Draft, Problem> {
    fields.require(&["roomId"])?;
    let room = fields.name("roomId")?;
    let payload = Payload::object()
        .text("roomId", Some(room.as_str()))
        .text("userId", Some(caller.user.as_str()))
        .text("username", Some(&caller.username))
        .timestamp(SystemTime::now())
        .finish();
    Ok(Draft::ephemeral(Event::new(audience(&room), "typing", payload)))
}

fn audience(room: &Name) -> Vec<Topic> {
    vec![Topic::room(room), Topic::rooms()]
}
