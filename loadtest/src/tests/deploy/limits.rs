//! The limits of one address.

use super::kit::*;
use crate::nginx::{Change, Profile};

/// Loopback has no limits, neither in production nor here.
const LIMITED: Change = Change { name: "", from: "127.0.0.1 1;", to: "" };

#[test]
fn an_address_has_a_hundred_streams_and_the_rest_come_back_later() {
    let front = Front::with(Profile::Http, Some(&LIMITED));
    let bodies = front.open_many("/system/status/stream", 120);
    let open = bodies.iter().filter(|body| body.contains("event: connected")).count();
    let later = |body: &&String| {
        let time = body.strip_prefix("retry: ").and_then(|rest| rest.strip_suffix("\n\n"));
        time.is_some_and(|time| (10_000..=60_000).contains(&time.parse().unwrap_or(0)))
    };
    assert_eq!((open, bodies.iter().filter(later).count()), (100, 20), "{bodies:?}");
}

#[test]
fn requests_beyond_the_rate_are_told_so() {
    let front = Front::with(Profile::Http, Some(&LIMITED));
    let url = front.url("/healthz?n=[1-600]");
    let output = run(front.curl(&["-w", "%{http_code}\n", "-o", "/dev/null"]).arg(url));
    let said = String::from_utf8(output.stdout).unwrap();
    let count = |status: &str| said.lines().filter(|line| *line == status).count();
    assert_eq!(count("200") + count("429"), 600, "{said}");
    assert!(count("200") > 100 && count("429") > 0, "{said}");
}

#[test]
fn ones_own_machines_have_no_limits() {
    let front = Front::start(Profile::Http);
    let url = front.url("/healthz?n=[1-600]");
    let output = run(front.curl(&["-w", "%{http_code}\n", "-o", "/dev/null"]).arg(url));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.lines().all(|line| line == "200"), "{said}");
}
