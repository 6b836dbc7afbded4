//! The way of an event from a request to the hub.

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, StatusCode};

use super::api::{self, Draft, Fields};
use super::problem::Problem;
use super::router::Publish;
use super::{Answer, Server, json};
use crate::cursor::Cursor;
use crate::event::{Name, Payload};
use crate::identity::Identity;
use crate::json::Object;
use crate::log::Once;

/// The longest `Idempotency-Key`, in bytes.
const MOST_KEY: usize = 128;

/// What a publisher may have, and has not got yet.
pub(super) struct Asked {
    draft: Draft,
    once: Option<Once>,
}

impl Server {
    /// Reads and checks a request.
    pub(super) async fn asked(
        &self,
        endpoint: Publish,
        path: &str,
        request: Request<Incoming>,
        caller: &Identity,
    ) -> Result<Asked, Problem> {
        self.doors.rates.publish(&caller.user)?;
        // The head goes with the request.
        let keys = request.headers().get_all("idempotency-key").iter().take(2);
        let keys: Vec<HeaderValue> = keys.cloned().collect();
        let body = self.body(caller, request).await?;
        let object = Object::parse(&body.bytes)?;
        let fields = Fields(&object);
        let reader = &self.hub.reader(caller, &caller.user);
        let draft = match endpoint {
            Publish::Notification => api::notifications::send(&fields, caller)?,
            Publish::RealtimeUpdate => api::realtime::update(&fields, caller)?,
            Publish::ChatMessage => api::chat::send(&fields, caller, reader)?,
            Publish::ChatTyping => api::chat::typing(&fields, caller, reader)?,
            Publish::Maintenance => api::system::maintenance(&fields, caller)?,
            Publish::GuideNotification => api::guide::notification(&fields, caller, reader)?,
            Publish::GuideUpdate => api::guide::update(&fields, caller, reader)?,
            Publish::Event => api::guide::event(&fields, caller, reader)?,
            Publish::ToUser(user) => api::service::to_user(&fields, &user, caller, reader)?,
            Publish::ToConversation(id) => {
                api::service::to_conversation(&fields, &id, caller, reader)?
            }
        };
        let once = match draft.ephemeral {
            // Not kept, so a repeat cannot be known.
            true => None,
            false => once(&keys, &caller.user, path, &body.bytes)?,
        };
        Ok(Asked { draft, once })
    }

    /// Publishes the event.
    pub(super) async fn publish(&self, asked: Asked) -> Result<Answer, Problem> {
        let Asked { draft: Draft { event, ephemeral }, once } = asked;
        let topics = event.topics.clone();
        let cursor = match ephemeral {
            true => {
                self.hub.publish_ephemeral(&event)?;
                None
            }
            false => Some(self.hub.publish(event, once).await?),
        };
        Ok(self.published(cursor, self.hub.subscribers(&topics).await))
    }

    fn published(&self, cursor: Option<Cursor>, subscribers: usize) -> Answer {
        let id = cursor.map(|cursor| cursor.to_string());
        let body = Payload::object()
            .truth("success", true)
            .text("id", id.as_deref())
            .number("subscribers", subscribers as u64);
        let status = match self.settings.durable {
            true => StatusCode::OK,
            false => StatusCode::ACCEPTED,
        };
        json(status, &body.finish())
    }
}

/// What must be carried out once, when the request names a key.
fn once(
    keys: &[HeaderValue],
    user: &Name,
    path: &str,
    body: &[u8],
) -> Result<Option<Once>, Problem> {
    match keys {
        [] => Ok(None),
        [key] if (1..=MOST_KEY).contains(&key.len()) => {
            Ok(Some(Once::new(user.as_str(), path, key.as_bytes(), body)))
        }
        _ => Err(Problem::bad_request("Idempotency-Key: must be one of 1 to 128 bytes")),
    }
}
