//! Tickets, and what becomes of those that are not taken.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::tokens::{jwt, with_tokens};
use super::{Request, Server, Setup, get, rill};

/// The path of the streams that tickets are for here.
pub(crate) const PATH: &str = "/notifications/stream";
pub(crate) const OTHER_PATH: &str = "/realtime/stream";

/// A server that has one stream of each user.
pub(crate) fn with_one_stream() -> Setup {
    rill().without_dev().flags(&["--max-connections-per-user", "1"])
}

/// A server whose tickets last a second.
pub(crate) fn hasty() -> Setup {
    with_tokens().env("RILL_AUTH_TICKET_TTL", "1s")
}

/// The second of a ticket passes, and nothing tells of it.
pub(crate) fn outlast() {
    sleep(Duration::from_millis(1100));
}

/// A ticket of ann for [`PATH`].
#[track_caller]
pub(crate) fn ticket(server: &Server) -> String {
    ticket_with(server, &jwt("ann"), json!({ "path": PATH }))
}

#[track_caller]
pub(crate) fn ticket_with(server: &Server, token: &str, body: Value) -> String {
    let response = server.post("/tickets", token, body);
    let answer = response.assert_status(200).json();
    let ticket = answer["ticket"].as_str().expect("a ticket");
    let lasts = &answer["expiresIn"];
    assert_eq!(response.text(), format!(r#"{{"ticket":"{ticket}","expiresIn":{lasts}}}"#));
    // It stands in a URL as it is.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    assert!(ticket.len() >= 32 && ticket.bytes().all(is_plain), "{ticket}");
    response.head.assert_value("cache-control", "no-store");
    ticket.to_owned()
}

/// The stream that a ticket of [`PATH`] opens.
pub(crate) fn by(ticket: &str) -> Request {
    get(&format!("{PATH}?ticket={ticket}"))
}

/// Something for ann; its id.
#[track_caller]
pub(crate) fn notify(server: &Server) -> String {
    server.publish("/notifications/send", &jwt("ann"), json!({ "message": "M" }))
}

/// Refused as any bad credential is.
#[track_caller]
pub(crate) fn assert_dead(server: &Server, request: &Request) {
    let response = server.send(request);
    let challenge = response.assert_problem(401).head.value("www-authenticate");
    assert!(challenge.is_some_and(|text| text.contains("invalid_token")), "{challenge:?}");
}
