//! A shop with Rill inside: its own routes and Rill's streams on one port.
//!
//! ```text
//! cargo run --example embedded
//! curl -N 'http://127.0.0.1:3000/api/notifications/stream?token=dGVzdDEyMzp0ZXN0dXNlcjp0ZXN0QGV4YW1wbGUuY29tOnVzZXIsYWRtaW4='
//! curl -X POST http://127.0.0.1:3000/orders -d '{"item":"tea"}'
//! ```
//! It takes the guide's demo tokens, and so listens on loopback alone. A real one would be given
//! `auth.secret_file` instead of `dev`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use rill::config::Config;
use rill::event::Name;
use rill::http::Mount;
use rill::hub::{Hub, SendError};
use rill::node::Node;
use rill::notification::{Kind, Notification};
use rill::update::Action;
use serde_json::{Value, json};

/// The largest order, in bytes.
const MOST_BODY: usize = 16 << 10;

type Failure = Box<dyn Error + Send + Sync>;
type Answer = Response<Full<Bytes>>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let config = Config::of([("dev", "true"), ("listen", &address), ("log.store", "memory")])?;
    let node = Node::start(&config)?;

    let shop = Arc::new(Shop::open(Arc::clone(node.hub()))?);
    let routes = service_fn(move |request| Arc::clone(&shop).answer(request));
    let listeners = node.listeners()?;
    for listener in &listeners {
        println!("listening on {}", listener.address());
    }
    let front = node.server().listen_beside(listeners, Mount::new(routes))?;

    tokio::signal::ctrl_c().await?;
    node.drain(&mut [front], Instant::now() + config.drain_timeout).await;
    node.stop();
    Ok(())
}

struct Shop {
    hub: Arc<Hub>,
    orders: AtomicU64,
    /// What its updates are about.
    entity: Name,
}

impl Shop {
    fn open(hub: Arc<Hub>) -> Result<Shop, Failure> {
        Ok(Shop { hub, orders: AtomicU64::new(0), entity: Name::new("order")? })
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Failure> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/hello") => Ok(answer(StatusCode::OK, &json!({ "hello": "world" }))),
            (&Method::POST, "/orders") => self.take_order(request).await,
            _ => Ok(answer(StatusCode::NOT_FOUND, &json!({ "error": "no such page" }))),
        }
    }

    async fn take_order(&self, request: Request<Incoming>) -> Result<Answer, Failure> {
        let body = Limited::new(request.into_body(), MOST_BODY).collect().await;
        let wanted =
            body.ok().and_then(|body| serde_json::from_slice::<Value>(&body.to_bytes()).ok());
        let Some(item) = wanted.as_ref().and_then(|order| order["item"].as_str()) else {
            return Ok(answer(StatusCode::BAD_REQUEST, &json!({ "error": "which item?" })));
        };
        let id = self.orders.fetch_add(1, Ordering::Relaxed) + 1;
        let order = json!({ "id": id, "item": item });
        self.tell(id, &order).await?;
        Ok(answer(StatusCode::CREATED, &order))
    }

    /// As the guide does it: a notification for people, and an update for the page's data.
    async fn tell(&self, id: u64, order: &Value) -> Result<(), SendError> {
        let message = format!("Order #{id} has been created");
        let notification = Notification::new(Kind::Success, message).titled("New Order");
        self.hub.broadcast_notification(&notification, None).await?;
        self.hub.broadcast_update(&self.entity, Action::Created, order).await?;
        Ok(())
    }
}

fn answer(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::from(format!("{body}\n")));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}
