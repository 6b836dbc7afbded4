//! `/chat`: rooms that users talk in.

use std::time::SystemTime;

use super::{Draft, Fields};
use crate::event::{Event, Name, Payload};
use crate::http::problem::Problem;
use crate::identity::Identity;
use crate::rights::Reader;
use crate::topic::Topic;

/// What a stream listens to: one room, or every one that is open to its user.
pub fn topics(room: Option<&Name>) -> Vec<Topic> {
    vec![room.map_or_else(Topic::rooms, Topic::room)]
}

/// Refuses who may not speak in a room.
fn must_enter(caller: &Identity, reader: &Reader, room: &Name) -> Result<(), Problem> {
    match caller.roles.may_publish() || reader.may_read(Some(room.as_str())) {
        true => Ok(()),
        false => Err(Problem::forbidden("This room is not open to you.")),
    }
}

/// `POST /chat/send`
pub fn send(fields: &Fields<'_>, caller: &Identity, reader: &Reader) -> Result<Draft, Problem> {
    fields.require(&["roomId", "message"])?;
    let room = fields.name("roomId")?;
    let message = fields.text("message")?;
    must_enter(caller, reader, &room)?;
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
pub fn typing(fields: &Fields<'_>, caller: &Identity, reader: &Reader) -> Result<Draft, Problem> {
    fields.require(&["roomId"])?;
    let room = fields.name("roomId")?;
    must_enter(caller, reader, &room)?;
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
