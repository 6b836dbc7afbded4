//! What a team that needs server-sent events would write: axum's `Sse` over tokio's broadcast
//! channels. Nothing is kept, so that a stream that comes back has missed what came in between.
//!
//! ```text
//! GET /stream?user=NAME   `connected`, then what is for everybody and what is for NAME
//! POST /publish           {"message":"...","user":null|"NAME"}  answers {"success":true,"id":"N"}
//! ```

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};

/// Broadcasts that a stream may be behind; more are lost to it. There is one such channel.
const BROADCASTS_KEPT: usize = 16 * 1024;

/// The same for a user's own events. Each user has a channel, with 72 bytes for each of these.
const OWN_KEPT: usize = 32;

const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Everything that the handlers share.
struct Hub {
    everybody: broadcast::Sender<Event>,
    users: Mutex<HashMap<String, broadcast::Sender<Event>>>,
    /// The last event's id. It is held while an event is sent, so that ids arrive in order.
    last_id: Mutex<u64>,
}

#[derive(Deserialize)]
struct Listener {
    user: String,
}

#[derive(Deserialize)]
struct Order {
    message: String,
    user: Option<String>,
}

#[derive(Serialize)]
struct Notification<'a> {
    id: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct Receipt {
    success: bool,
    id: String,
}

/// Serves until `control` is closed.
pub(crate) fn run(listener: Socket, mut control: impl Read + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let closed = runtime.spawn_blocking(move || io::copy(&mut control, &mut io::sink()));
    let ended = runtime.block_on(async {
        tokio::select! {
            served = serve(listener) => served,
            _ = closed => Ok(()),
        }
    });
    // Streams never end by themselves.
    runtime.shutdown_background();
    ended
}

async fn serve(listener: Socket) -> io::Result<()> {
    let hub = Hub {
        everybody: broadcast::Sender::new(BROADCASTS_KEPT),
        users: Mutex::default(),
        last_id: Mutex::default(),
    };
    let router = Router::new()
        .route("/stream", get(stream))
        .route("/publish", post(publish))
        .with_state(Arc::new(hub));
    if listener.domain()? == Domain::UNIX {
        axum::serve(UnixListener::from_std(listener.into())?, router).await
    } else {
        let listener = TcpListener::from_std(listener.into())?.tap_io(|socket| {
            // It fails only for a peer that is gone, which shows soon enough.
            let _ = socket.set_nodelay(true);
        });
        axum::serve(listener, router).await
    }
}

async fn stream(
    State(hub): State<Arc<Hub>>,
    Query(listener): Query<Listener>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let everybody = BroadcastStream::new(hub.everybody.subscribe());
    let own = BroadcastStream::new(hub.subscribe_to(listener.user));
    let connected = Event::default().event("connected").data("{}");
    // What a stream lags behind too far is lost to it.
    let events = everybody.merge(own).filter_map(Result::ok);
    let events = tokio_stream::once(connected).chain(events).map(Ok);
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

async fn publish(State(hub): State<Arc<Hub>>, Json(order): Json<Order>) -> Json<Receipt> {
    Json(Receipt { success: true, id: hub.send(&order) })
}

impl Hub {
    fn subscribe_to(&self, user: String) -> broadcast::Receiver<Event> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.entry(user).or_insert_with(|| broadcast::Sender::new(OWN_KEPT)).subscribe()
    }

    /// Encodes it once; each stream sends a copy of that.
    fn send(&self, order: &Order) -> String {
        let mut last_id = self.last_id.lock().unwrap_or_else(PoisonError::into_inner);
        *last_id += 1;
        let id = last_id.to_string();
        let notification = Notification { id: &id, message: &order.message };
        let event = Event::default()
            .id(&id)
            .event("notification")
            .json_data(notification)
            .expect("strings are JSON");
        // Sending fails where nobody listens.
        match &order.user {
            None => drop(self.everybody.send(event)),
            Some(user) => self.send_to(user, event),
        }
        id
    }

    fn send_to(&self, user: &str, event: Event) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.get(user).is_some_and(|own| own.send(event).is_err()) {
            users.remove(user);
        }
    }
}
