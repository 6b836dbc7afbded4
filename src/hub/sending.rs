//! What an embedding program says, in the words of the reference documents.
//!
//! Each function sends what its endpoint would, to the same topics and with the same bytes. The event
//! is on its way from the call on; the future tells its cursor once it is as durable as promised, and
//! may be dropped by whoever does not want to know.

use std::collections::HashSet;
use std::future::Future;

use serde::Serialize;
use thiserror::Error;

use super::{Hub, Refused};
use crate::cursor::Cursor;
use crate::event::{Event, Name, Payload};
use crate::json::{Json, JsonError};
use crate::notification::{Kind, Notification};
use crate::topic::Topic;
use crate::update::{Action, Update};

/// Why an event is not sent.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SendError {
    /// Streams send events of this name themselves, and their clients would be misled.
    #[error("{0:?} is an event of the server's own")]
    Reserved(Name),
    /// There is no user in the list.
    #[error("there is nobody to send to")]
    Nobody,
    /// The data does not make JSON that every client can read.
    #[error(transparent)]
    Data(#[from] JsonError),
    /// The hub does not take it.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Hub {
    /// Sends an event to a user (service).
    pub fn send_event_to_user<T: Serialize + ?Sized>(
        &self,
        user: &Name,
        event: &Name,
        data: &T,
    ) -> impl Future<Output = Result<Cursor, SendError>> + Send + use<T> {
        self.send(named(vec![Topic::user(user)], event, data))
    }

    /// Sends an event to the members of a conversation (service).
    pub fn broadcast_to_conversation<T: Serialize + ?Sized>(
        &self,
        conversation: &Name,
        event: &Name,
        data: &T,
    ) -> impl Future<Output = Result<Cursor, SendError>> + Send + use<T> {
        self.send(named(vec![Topic::conversation(conversation)], event, data))
    }

    /// Sends an event to everyone (manager).
    pub fn broadcast_message<T: Serialize + ?Sized>(
        &self,
        event: &Name,
        data: &T,
    ) -> impl Future<Output = Result<Cursor, SendError>> + Send + use<T> {
        self.send(named(vec![Topic::everyone()], event, data))
    }

    /// Sends an event to some users (manager).
    pub fn send_to_users<T: Serialize + ?Sized>(
        &self,
        event: &Name,
        data: &T,
        users: &[Name],
    ) -> impl Future<Output = Result<Cursor, SendError>> + Send + use<T> {
        let mut seen = HashSet::with_capacity(users.len());
        let topics: Vec<Topic> =
            users.iter().filter(|user| seen.insert(*user)).map(Topic::user).collect();
        self.send(match topics.is_empty() {
            true => Err(SendError::Nobody),
            false => named(topics, event, data),
        })
    }

    /// Shows a user a notification (manager).
    pub fn send_notification(
        &self,
        user: &Name,
        title: &str,
        message: &str,
        kind: Kind,
    ) -> impl Future<Output = Result<Cursor, SendError>> + Send + use<> {
        self.broadcast_notification(&Notification::new(kind, message).titled(title), Some(user))
    }

    /// Shows everyone a notification, or with a user only him (guide).
    pub fn broadcast_notification(
        &self,
        notification: &Notification,
        user: Option<&Name>,
    ) -> impl Future<Output = Result<Cursor, SendError>> + Send + use<> {
        let topic = user.map_or_else(Topic::everyone, Topic::user);
        self.send(Ok(notification.event(vec![topic])))
    }

    /// Tells everyone what happened to an entity (guide).
    pub fn broadcast_update<T: Serialize + ?Sized>(
        &self,
        entity: &Name,
        action: Action,
        payload: &T,
    ) -> impl Future<Output = Result<Cursor, SendError>> + Send + use<T> {
        let update = Json::of(payload)
            .map(|payload| Update { entity: entity.clone(), action, payload })
            .map(|update| update.event(vec![Topic::everyone()]));
        self.send(update.map_err(SendError::from))
    }

    fn send(
        &self,
        event: Result<Event, SendError>,
    ) -> impl Future<Output = Result<Cursor, SendError>> + Send + use<> {
        let published = event.map(|event| self.publish(event, None));
        async move { Ok(published?.await?) }
    }
}

/// An event of a program's own name and data.
fn named<T: Serialize + ?Sized>(
    topics: Vec<Topic>,
    name: &Name,
    data: &T,
) -> Result<Event, SendError> {
    if name.is_reserved() {
        return Err(SendError::Reserved(name.clone()));
    }
    let payload = Payload::of(&Json::of(data)?);
    Ok(Event { topics, name: name.clone(), payload })
}
