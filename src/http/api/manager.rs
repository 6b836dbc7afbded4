//! `/api/sse`: the manager's stream, to everyone and to whoever has said who he is.

use crate::event::Name;
use crate::topic::Topic;

/// What every stream listens to.
pub fn topics() -> Vec<Topic> {
    vec![Topic::everyone()]
}

/// What a user's stream listens to besides.
pub fn topics_of(user: &Name) -> Vec<Topic> {
    vec![Topic::user(user)]
}
