//! `/system`: how the server is, and what its operators announce.

use std::time::SystemTime;

use super::{Draft, Fields};
use crate::event::{Event, Payload};
use crate::http::problem::Problem;
use crate::identity::Identity;
use crate::topic::Topic;

/// What a status stream listens to.
pub fn topics() -> Vec<Topic> {
    vec![Topic::system()]
}

/// `POST /system/maintenance`
pub fn maintenance(fields: &Fields<'_>, caller: &Identity) -> Result<Draft, Problem> {
    fields.require(&["message"])?;
    let message = fields.text("message")?;
    let starts_at = fields.optional_text("startsAt")?;
    let ends_at = fields.optional_text("endsAt")?;
    if !caller.roles.is_admin() {
        return Err(Problem::forbidden("Only admins may announce maintenance."));
    }
    let payload = Payload::object()
        .id()
        .text("message", Some(&message))
        .text("startsAt", starts_at.as_deref())
        .text("endsAt", ends_at.as_deref())
        .timestamp(SystemTime::now())
        .finish();
    Ok(Draft::kept(Event::new(topics(), "maintenance", payload)))
}
