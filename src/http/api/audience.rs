//! Whom an event of `/api` is for.

use super::{Fields, Target, must_publish};
use crate::event::Name;
use crate::http::problem::Problem;
use crate::identity::Identity;
use crate::rights::Reader;
use crate::topic::Topic;

const FORMS: &str = "broadcast, userId, userIds, channels, conversationId";

/// Whom an event is for.
pub(super) enum Audience {
    /// All, or some users.
    Target(Target),
    /// Whoever listens to one of these channels.
    Channels(Vec<Name>),
    /// The members of a conversation.
    Conversation(Name),
}

impl Audience {
    /// Reads it from a body, if it is there.
    pub(super) fn read(fields: &Fields<'_>) -> Result<Option<Audience>, Problem> {
        let conversation = fields.optional_name("conversationId")?;
        match (fields.target()?, fields.optional_names("channels")?, conversation) {
            (None, None, None) => Ok(None),
            (Some(target), None, None) => Ok(Some(Audience::Target(target))),
            (None, Some(channels), None) => Ok(Some(Audience::Channels(channels))),
            (None, None, Some(conversation)) => Ok(Some(Audience::Conversation(conversation))),
            _ => Err(Problem::field(FORMS, "only one of them may be given")),
        }
    }

    /// The same where there must be one.
    pub(super) fn required(fields: &Fields<'_>) -> Result<Audience, Problem> {
        let missing = || Problem::field(FORMS, "one of them must be given");
        Audience::read(fields)?.ok_or_else(missing)
    }

    /// The caller alone.
    pub(super) fn of(caller: &Identity) -> Audience {
        Audience::Target(Target::Users(vec![caller.user.clone()]))
    }

    /// Its topics, if the caller may send to it.
    pub(super) fn topics(self, caller: &Identity, reader: &Reader) -> Result<Vec<Topic>, Problem> {
        match self {
            Audience::Target(Target::Users(users)) if users == [caller.user.clone()] => {
                Ok(vec![Topic::user(&caller.user)])
            }
            Audience::Target(Target::Users(users)) => {
                must_publish(caller)?;
                Ok(users.iter().map(Topic::user).collect())
            }
            Audience::Target(Target::Everyone) => {
                must_publish(caller)?;
                Ok(vec![Topic::everyone()])
            }
            Audience::Channels(channels) => {
                must_publish(caller)?;
                Ok(channels.iter().map(Topic::channel).collect())
            }
            Audience::Conversation(conversation) => {
                must_be_member(caller, reader, &conversation)?;
                Ok(vec![Topic::conversation(&conversation)])
            }
        }
    }
}

/// Refuses who may not speak in a conversation.
pub(super) fn must_be_member(
    caller: &Identity,
    reader: &Reader,
    conversation: &Name,
) -> Result<(), Problem> {
    let is_member = || reader.may_listen(&Topic::conversation(conversation));
    match caller.roles.may_publish() || is_member() {
        true => Ok(()),
        false => Err(Problem::forbidden("You are not a member of this conversation.")),
    }
}
