//! `/notifications`: messages to one user, several, or all.

use std::time::SystemTime;

use super::{Draft, Fields, Target, must_publish};
use crate::event::{Event, Name, Payload};
use crate::http::problem::Problem;
use crate::identity::Identity;
use crate::notification::Kind;
use crate::topic::Topic;

const EVENTS: [&str; 3] = ["notification", "system-notification", "error-notification"];

/// What a user's stream listens to.
pub fn topics(user: &Name) -> Vec<Topic> {
    vec![Topic::notifications_of(user), Topic::notifications()]
}

/// `POST /notifications/send`
pub fn send(fields: &Fields<'_>, caller: &Identity) -> Result<Draft, Problem> {
    fields.require(&["message"])?;
    let message = fields.text("message")?;
    let title = fields.optional_text("title")?;
    let kind = fields.one_of("type", &Kind::ALL, Kind::as_str)?.unwrap_or_default();
    let event = fields.choice("event", &EVENTS)?.unwrap_or("notification");
    let target = fields.target()?.unwrap_or_else(|| Target::Users(vec![caller.user.clone()]));
    if target != Target::Users(vec![caller.user.clone()]) {
        must_publish(caller)?;
    }
    let (topics, only_user) = match &target {
        Target::Everyone => (vec![Topic::notifications()], None),
        Target::Users(users) => {
            let only = if let [user] = users.as_slice() { Some(user.as_str()) } else { None };
            (users.iter().map(Topic::notifications_of).collect(), only)
        }
    };
    let payload = Payload::object()
        .id()
        .text("title", title.as_deref())
        .text("message", Some(&message))
        .text("type", Some(kind.as_str()))
        .timestamp(SystemTime::now())
        .text("userId", only_user)
        .finish();
    Ok(Draft::kept(Event::new(topics, event, payload)))
}
