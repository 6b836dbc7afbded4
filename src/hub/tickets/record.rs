//! A ticket as the log keeps it: whose it is, as JSON.

use serde_json::{Value, json};

use crate::event::Name;
use crate::identity::{Allowed, Credential, Grants, Identity, Pattern, Roles, Stamp};

/// The stored form.
pub(super) fn encode(identity: &Identity, path: Option<&str>) -> Vec<u8> {
    let Identity { user, username, roles, grants, credential } = identity;
    let Grants { channels, rooms, conversations } = grants;
    let credential = credential.as_ref().map(|Credential { id, issued, expires }| {
        json!({ "id": id, "issued": issued.0, "expires": expires.map(|Stamp(at)| at) })
    });
    json!({
        "user": user.as_str(),
        "username": username,
        "roles": roles.names().collect::<Vec<_>>(),
        "channels": texts(channels),
        "rooms": texts(rooms),
        "conversations": texts(conversations),
        "credential": credential,
        "path": path,
    })
    .to_string()
    .into_bytes()
}

/// The inverse; `None` for what is no ticket.
pub(super) fn decode(record: &[u8]) -> Option<(Identity, Option<Box<str>>)> {
    let record: Value = serde_json::from_slice(record).ok()?;
    let identity = Identity {
        user: Name::new(record["user"].as_str()?).ok()?,
        username: record["username"].as_str()?.to_owned(),
        roles: Roles::from_names(record["roles"].as_array()?.iter().filter_map(Value::as_str)),
        grants: Grants {
            channels: allowed(&record["channels"])?,
            rooms: allowed(&record["rooms"])?,
            conversations: allowed(&record["conversations"])?,
        },
        credential: match &record["credential"] {
            Value::Null => None,
            credential => Some(Credential {
                id: credential["id"].as_str().map(Box::from),
                issued: Stamp(credential["issued"].as_u64()?),
                expires: credential["expires"].as_u64().map(Stamp),
            }),
        },
    };
    Some((identity, record["path"].as_str().map(Box::from)))
}

fn texts(allowed: &Allowed) -> Option<Vec<String>> {
    match allowed {
        Allowed::Open => None,
        Allowed::Only(patterns) => Some(patterns.iter().map(Pattern::to_string).collect()),
    }
}

fn allowed(texts: &Value) -> Option<Allowed> {
    let pattern = |text: &Value| Pattern::parse(text.as_str()?).ok();
    match texts {
        Value::Null => Some(Allowed::Open),
        texts => texts.as_array()?.iter().map(pattern).collect::<Option<_>>().map(Allowed::Only),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_reads_back_as_it_was_written() {
        let name = |text: &str| Name::new(text).expect("a name");
        let pattern = |text: &str| Pattern::parse(text).expect("a pattern");
        let bare = Identity::of(name("ann \"quoted\""));
        let full = Identity {
            username: "Ann".to_owned(),
            roles: Roles::from_names(["publisher"]),
            grants: Grants {
                channels: Allowed::Only([].into()),
                rooms: Allowed::Only([pattern("a*"), pattern("b"), pattern("*")].into()),
                conversations: Allowed::Open,
            },
            credential: Some(Credential {
                id: Some("t".into()),
                issued: Stamp(1),
                expires: Some(Stamp(u64::MAX)),
            }),
            ..bare.clone()
        };
        for (identity, path) in [(bare, None), (full, Some("/chat/stream"))] {
            let record = encode(&identity, path);
            assert_eq!(decode(&record), Some((identity, path.map(Box::from))));
            assert_eq!(decode(&record[..record.len() - 1]), None);
        }
        assert_eq!(decode(b"{}"), None);
    }
}
