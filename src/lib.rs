//! Rill is a Server-Sent Events hub built for connection density: backends publish over HTTP;
//! browsers, `EventSource` clients and curl listen.
//!
//! Three ideas carry it. A **frame** is the only thing that moves: an event is encoded once, into
//! the exact bytes of one HTTP chunk, and every socket gets those bytes. The **log** is the only
//! source of order: it gives an event its position, makes it durable, and only then shows it. A
//! **connection is a cursor**: it has no queue, and being live, replaying after a reconnect and
//! having fallen behind are all the same reading on from a position.
//!
//! The way of an event: [`http`] reads a bounded body and knows its sender; a file of [`http::api`]
//! turns its JSON into an [`event::Event`] that cannot be wrong; [`hub::Hub::publish`] hands it to
//! the [`log`], whose writer gives it a [`cursor::Position`], commits it and shows it in the
//! [`log::Ring`] as a [`frame::Frame`]; each shard of the [`reactor`] reads the ring and writes the
//! frame to the connections that listen to one of its [`topic`]s.
//!
//! The life of a connection: [`http::listen`] accepts it, and a driver lets hyper answer its
//! requests one by one. What each has to pass (host, origin, rate, [`http::auth`]) makes an
//! [`identity::Identity`] of whoever sends it. When one of them is a stream, [`hub::Hub::admit`]
//! gives it a place and a start, and its socket leaves hyper for a [`reactor::shard`], where it is a
//! slab entry of some hundred bytes until it ends for one [`reactor::CloseReason`].
//!
//! Each of these uses only what stands before it: `json`, `topic` and `event`, `cursor`, `identity`,
//! `members`, `metrics` · `rights` · `frame` · `log` · `reactor` · `hub` · `http` · `config`, `service_manager`.

pub mod config;
pub mod cursor;
pub mod event;
pub mod frame;
pub mod http;
pub mod hub;
pub mod identity;
mod interner;
pub mod json;
pub mod log;
pub mod members;
pub mod metrics;
pub mod node;
pub mod notification;
pub mod reactor;
pub mod rights;
mod room;
pub mod service_manager;
pub mod topic;
pub mod update;
mod vital;
