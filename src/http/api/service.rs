//! `/sse`: events to users and to the members of conversations.

use super::audience::{Audience, must_be_member};
use super::guide::custom;
use super::{Draft, Fields, Target};
use crate::event::Name;
use crate::http::problem::Problem;
use crate::identity::Identity;
use crate::rights::Reader;
use crate::topic::Topic;

/// What a user's stream listens to besides his conversations, which come and go.
pub fn topics(user: &Name) -> Vec<Topic> {
    vec![Topic::user(user), Topic::everyone()]
}

/// `POST /sse/users/{id}/events`
pub fn to_user(
    fields: &Fields<'_>,
    user: &Name,
    caller: &Identity,
    reader: &Reader,
) -> Result<Draft, Problem> {
    let to_him = Audience::Target(Target::Users(vec![user.clone()]));
    custom(fields, || to_him.topics(caller, reader))
}

/// `POST /sse/conversations/{id}/events`
pub fn to_conversation(
    fields: &Fields<'_>,
    conversation: &Name,
    caller: &Identity,
    reader: &Reader,
) -> Result<Draft, Problem> {
    let members = fields.optional_names("members")?;
    custom(fields, || match members {
        // Whoever is named there hears it, a member or not.
        Some(members) => Audience::Target(Target::Users(members)).topics(caller, reader),
        None => {
            must_be_member(caller, reader, conversation)?;
            Ok(vec![Topic::conversation(conversation)])
        }
    })
}
