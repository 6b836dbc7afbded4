//! A ticket as the log keeps it: whose it is, as JSON.

use serde_json::{Value, json};

use super::FirstStream;
use crate::cursor::Position;
use crate::event::Name;
use crate::identity::{Allowed, Credential, Grants, Identity, Pattern, Roles, Stamp};

/// What was stored of a ticket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) identity: Identity,
    pub(super) path: Option<Box<str>>,
    pub(super) stream: Option<FirstStream>,
    pub(super) fresh_until: Stamp,
}

/// The stored form.
pub(super) fn encode(
    identity: &Identity,
    path: Option<&str>,
    stream: Option<&FirstStream>,
    fresh_until: Stamp,
) -> Vec<u8> {
    let Identity { user, username, roles, grants, credential } = identity;
    let Grants { channels, rooms, conversations } = grants;
    let credential = credential.as_ref().map(|Credential { id, issued, expires }| {
        json!({ "id": id, "issued": issued.0, "expires": expires.map(|Stamp(at)| at) })
    });
    let stream = stream.map(|FirstStream { client, address, start }| {
        let client = client.as_ref().map(|(user, client)| [user.as_str(), client.as_str()]);
        json!({ "client": client, "address": address, "start": start.map(Position::to_bits) })
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
        "stream": stream,
        "freshUntil": fresh_until.0,
    })
    .to_string()
    .into_bytes()
}

impl Record {
    /// The inverse; `None` for what is no ticket.
    pub(super) fn decode(record: &[u8]) -> Option<Record> {
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
        let stream = match &record["stream"] {
            Value::Null => None,
            stream => Some(first_stream(stream)?),
        };
        let path = record["path"].as_str().map(Box::from);
        Some(Record { identity, path, stream, fresh_until: Stamp(record["freshUntil"].as_u64()?) })
    }
}

fn first_stream(stream: &Value) -> Option<FirstStream> {
    let client = match stream["client"].as_array().map(Vec::as_slice) {
        Some([user, client]) => {
            Some((Name::new(user.as_str()?).ok()?, Name::new(client.as_str()?).ok()?))
        }
        _ => None,
    };
    let address = stream["address"].as_str().map(str::parse).transpose().ok()?;
    let start = stream["start"].as_u64().map(Position::from_bits);
    Some(FirstStream { client, address, start })
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
        let streams = [
            None,
            Some(FirstStream { client: None, address: None, start: None }),
            Some(FirstStream {
                client: Some((name("ann"), name("tab"))),
                address: Some([10, 0, 0, 1].into()),
                start: Some(Position::start(7)),
            }),
        ];
        for (identity, path) in [(bare, None), (full, Some("/chat/stream"))] {
            for stream in streams.clone() {
                let fresh_until = Stamp(5);
                let record = encode(&identity, path, stream.as_ref(), fresh_until);
                assert_eq!(Record::decode(&record[..record.len() - 1]), None);
                let (identity, path) = (identity.clone(), path.map(Box::from));
                let expected = Record { identity, path, stream, fresh_until };
                assert_eq!(Record::decode(&record), Some(expected));
            }
        }
        assert_eq!(Record::decode(b"{}"), None);
    }
}
