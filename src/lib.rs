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
//! `members`, `metrics`, `notification`, `update` · `rights` · `frame` · `log` · `reactor` · `hub` ·
//! `http` · `webhooks` · `config`, `service_manager` · `node`.
//!
//! # Inside your own program
//!
//! A [`node::Node`] is all that `rill serve` runs, as a value. A [`config::Config`] says what it is
//! like, without a file or a variable; the [`hub::Hub`] sends events under the names of the reference
//! documents, and is told who is a member of what ([`Hub::change_members`](hub::Hub::change_members)).
//!
//! ```
//! use rill::{config::Config, event::Name, node::Node, notification::Kind};
//! use serde_json::json;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = "C7kQy0eVb3uZ9pRmXw2tHsL5nAfJ8dGi4oBxMqTzWvE";
//! let config = Config::of([("auth.secret", secret), ("log.store", "memory")])?;
//! let node = Node::start(&config)?;
//!
//! let (user, event) = (Name::new("user123")?, Name::new("message:new")?);
//! let data = json!({ "conversationId": "conv123", "message": { "text": "Hello!" } });
//! let cursor = node.hub().send_event_to_user(&user, &event, &data).await?;
//! println!("its id is {cursor}");
//! node.hub().send_notification(&user, "Welcome!", "Welcome to our platform", Kind::Success).await?;
//!
//! node.stop();
//! # Ok(())
//! # }
//! ```
//!
//! Streams and a program's own routes share a port. Because a stream leaves hyper together with its
//! socket, no service can be mounted that would answer it; instead Rill drives the connection, and
//! the program's hyper service is a [`http::Mount`] that answers every path that is not Rill's.
//! [`Server::listen_beside`](http::Server::listen_beside) listens and does so for each connection; a
//! program with an accept loop of its own calls
//! [`Server::serve_connection`](http::Server::serve_connection) where it called hyper's.
//!
//! ```no_run
//! use std::{convert::Infallible, error::Error, sync::Arc, time::Instant};
//!
//! use hyper::{Request, Response, body::Incoming, service::service_fn};
//! use rill::{config::Config, http::{Front, Mount}, node::Node};
//!
//! async fn page(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
//!     Ok(Response::new(format!("There is nothing at {} yet.", request.uri().path())))
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn Error>> {
//!     let config = Config::of([("auth.secret_file", "/etc/app/secret")])?;
//!     let node = Node::start(&config)?;
//!     // The program's front page, even if Rill has one.
//!     let mount = Arc::new(Mount::new(service_fn(page)).keeping(&["/"]));
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     let front = Front::default();
//!     loop {
//!         let socket = tokio::select! {
//!             accepted = listener.accept() => accepted?.0,
//!             _ = tokio::signal::ctrl_c() => break,
//!         };
//!         tokio::spawn(node.server().serve_connection(socket.into(), &mount, &front));
//!     }
//!     // Streams are told, and every connection ends with its current answer.
//!     node.drain(&mut [front], Instant::now() + config.drain_timeout).await;
//!     node.stop();
//!     Ok(())
//! }
//! ```
//!
//! `examples/embedded.rs` is a whole program of the simpler kind. TLS is for a proxy in front, since
//! what leaves hyper is the bare socket, TCP or unix. Rill writes its log lines with `tracing` to
//! whatever subscriber the program has.

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
pub mod webhooks;
