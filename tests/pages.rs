//! The pages for people, as bytes: what they may do is named, and nothing else would run in them.

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use support::*;

const PAGES: [&str; 2] = ["/", "/sse-client"];

/// What stands between two tags that are there once.
#[track_caller]
fn only<'a>(html: &'a str, tag: &str) -> &'a str {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    assert_eq!(html.matches(&format!("<{tag}")).count(), 1, "{tag}");
    let (_, rest) = html.split_once(&open).expect("an element without attributes");
    rest.split_once(&close).expect("its end").0
}

fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[test]
fn a_page_names_all_that_may_run_in_it() {
    for server in [Server::start(), rill().without_dev().start()] {
        for path in PAGES {
            let response = server.send(&get(path));
            let (head, html) = (&response.assert_status(200).head, response.text());
            let (script, style) = (hash(only(&html, "script")), hash(only(&html, "style")));
            head.assert_value(
                "content-security-policy",
                &format!(
                    "default-src 'none'; script-src {script}; style-src {style}; img-src data:; \
                     connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
                ),
            );
            head.assert_value("content-type", "text/html; charset=utf-8");
            head.assert_value("cache-control", "no-store");
            head.assert_value("x-content-type-options", "nosniff");
            head.assert_value("referrer-policy", "no-referrer");
            head.assert_value("cross-origin-opener-policy", "same-origin");
            assert_eq!(head.value("set-cookie"), None);
        }
    }
}

#[test]
fn a_page_brings_all_of_itself_along() {
    let server = Server::start();
    for path in PAGES {
        let response = server.send(&get(path));
        let html = response.text();
        // The icon's namespace is a name; nobody goes there.
        let html = html.replace("xmlns='http://www.w3.org/2000/svg'", "");
        for elsewhere in ["http:", "https:", "//www", " src=", "@import", "url("] {
            assert!(!html.contains(elsewhere), "{path} has {elsewhere}");
        }
        for unsafe_way in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "document.write"]
        {
            assert!(!html.contains(unsafe_way), "{path} has {unsafe_way}");
        }
        // A form whose script does not run must not put a token into the URL.
        assert_eq!(html.matches("<form ").count(), html.matches("method=\"").count(), "{path}");
        assert!(!html.contains("method=\"get\""), "{path}");
    }
}

#[test]
fn head_is_get_without_the_page() {
    let server = Server::start();
    for path in PAGES {
        let mut peer = server.connect();
        let whole = peer.exchange(&get(path));
        let head = peer.exchange(&request("HEAD", path));
        let fields = |head: &Head| {
            let mut fields = head.fields.clone();
            fields.retain(|(name, _)| name != "date");
            fields
        };
        assert_eq!(fields(&head.head), fields(&whole.head));
        assert!(whole.body.len() > 1000 && head.body.is_empty());
        // Nothing of a body was left in the connection.
        peer.exchange(&get("/healthz")).assert_status(200);
    }
}

#[test]
fn pages_are_read_and_nothing_else() {
    let server = Server::start();
    for path in PAGES {
        let refused = server.send(&post(path, "{}"));
        refused.assert_problem(405).head.assert_value("allow", "GET, HEAD, OPTIONS");
    }
    for nowhere in ["/sse-client/", "/sse-client.html", "/index.html", "//"] {
        server.send(&get(nowhere)).assert_problem(404);
    }
    let hosts = rill().env("RILL_HTTP_ALLOWED_HOSTS", "hub.example").start();
    hosts.send(&get("/")).assert_problem(421);
}
