//! `/sse/conversations/{id}/members` and `/chat/rooms/{id}/members`: who belongs where.

use super::Fields;
use crate::event::{Name, Payload};
use crate::http::problem::Problem;
use crate::identity::Identity;

/// The most members that one list can be given at once.
const MOST: usize = 10_000;

/// `PUT` of a list: those who are on it from now on.
pub fn list(fields: &Fields<'_>) -> Result<Vec<Name>, Problem> {
    fields.require(&["members"])?;
    let members = fields.names("members")?;
    match members.len() {
        0..=MOST => Ok(members),
        _ => Err(Problem::field("members", &format!("must be at most {MOST}"))),
    }
}

/// Refuses who may not see who is on a list.
pub fn may_read(caller: &Identity, is_member: bool) -> Result<(), Problem> {
    match caller.roles.may_publish() || is_member {
        true => Ok(()),
        false => Err(Problem::forbidden("Only members, publishers and admins may see this.")),
    }
}

/// Refuses who may not change a list.
pub fn may_change(caller: &Identity) -> Result<(), Problem> {
    match caller.roles.may_publish() {
        true => Ok(()),
        false => Err(Problem::forbidden("Only publishers and admins may change this.")),
    }
}

/// What is answered.
pub fn answer(members: &[Name]) -> Payload {
    Payload::object()
        .truth("success", true)
        .texts("members", members.iter().map(Name::as_str))
        .finish()
}
