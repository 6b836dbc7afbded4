//! A native EventSource, in real Chromium, that holds a ticket: it comes back by itself and misses nothing.

mod support;

use serde_json::json;
use support::tokens::{jwt, with_tokens};
use support::*;

/// Tells each event's id, and when the stream opens; only the browser itself ever comes back.
const LISTEN: &str = "
const events = new EventSource('$url');
events.onopen = () => tell('open');
events.addEventListener('notification', (event) => tell(event.lastEventId));
";

#[test]
fn it_comes_back_with_its_ticket_after_a_restart_and_misses_nothing() {
    // An orderly end tells clients to stay away for as long.
    let setup = with_tokens().env("RILL_DRAIN_TIMEOUT", "1s");
    let server = setup.env("RILL_AUTH_QUERY_TOKENS", "false").start();
    let path = "/notifications/stream";
    let answer = server.post("/tickets", &jwt("ann"), json!({ "path": path })).json();
    let ticket = answer["ticket"].as_str().expect("a ticket").to_owned();
    let url = format!("http://{}{path}?ticket={ticket}", server.address());
    let site = Site::open();
    site.page("/", &LISTEN.replace("$url", &url));
    let _browser = site.visit("page.example", "/");
    let notify = |server: &Server| {
        server.publish("/notifications/send", &jwt("ann"), json!({ "message": "M" }))
    };
    assert_eq!(site.report(), "open");
    let seen = notify(&server);
    assert_eq!(site.report(), seen);

    let address = server.address().to_string();
    let mut setup = server.crash().listen(&address);
    for round in 0..2 {
        let server = setup.start();
        let missed = notify(&server);
        assert_eq!(site.report(), "open");
        assert_eq!(site.report(), missed);
        let live = notify(&server);
        assert_eq!(site.report(), live);
        // Read in a log, the ticket opens nothing.
        server.send(&get(&format!("{path}?ticket={ticket}"))).assert_problem(401);
        setup = if round == 0 { server.stop() } else { return };
    }
}
