//! Conversations and who is a member of them, as Rill has it: lists that are put, changed and deleted
//! over HTTP.

use serde_json::json;

use crate::courier::Courier;
use crate::dialect::user_name;
use crate::failure::Failure;
use crate::target::Target;

/// The conversation that the dialect `rill-service` publishes to.
pub(crate) const EVERYBODY: &str = "everybody";

/// A connection that changes lists.
pub(crate) struct Conversations(Courier);

impl Conversations {
    /// Connects.
    pub(crate) fn connect(target: &Target) -> Result<Conversations, Failure> {
        Courier::connect(target).map(Conversations)
    }

    /// These users and no others are members from now on.
    pub(crate) fn put(
        &mut self,
        conversation: &str,
        users: impl Iterator<Item = usize>,
    ) -> Result<(), Failure> {
        let body = json!({"members": users.map(user_name).collect::<Vec<_>>()});
        self.0.ask("PUT", &list(conversation), &body.to_string())
    }

    /// There is no list any more.
    pub(crate) fn delete(&mut self, conversation: &str) -> Result<(), Failure> {
        self.0.ask("DELETE", &list(conversation), "")
    }

    /// One user more.
    pub(crate) fn add(&mut self, conversation: &str, user: usize) -> Result<(), Failure> {
        self.0.ask("PUT", &member(conversation, user), "")
    }

    /// One user less.
    pub(crate) fn remove(&mut self, conversation: &str, user: usize) -> Result<(), Failure> {
        self.0.ask("DELETE", &member(conversation, user), "")
    }
}

fn list(conversation: &str) -> String {
    format!("/sse/conversations/{conversation}/members")
}

fn member(conversation: &str, user: usize) -> String {
    format!("{}/{}", list(conversation), user_name(user))
}
