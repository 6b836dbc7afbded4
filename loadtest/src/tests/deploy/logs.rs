//! Tokens travel in queries. No log has one.

use std::time::Instant;

use super::kit::*;
use crate::nginx::{Change, Profile};

/// Whatever a client may do wrong with a token in its hand, and right.
fn use_the_token(front: &mut Front) {
    let long = front.path("long");
    std::fs::write(&long, "x".repeat(300_000)).unwrap();
    let long = format!("@{}", long.display());
    let referer = format!("Referer: https://page.example/?token={TOKEN}");
    let many = [
        vec!["-d", "{}"],
        vec!["-d", "{}", "--http1.1", "-H", &referer],
        vec!["--data-binary", &long],
        vec!["-X", "ODD"],
        vec!["-H", "Host: not a host"],
    ];
    let all = |front: &Front| {
        for arguments in &many {
            // Some are refused so early that curl has nothing to show.
            run(front.curl(arguments).args(["--max-time", "5"]).arg(front.url(&with_token(SEND))));
        }
        for path in ["/nowhere?token=", "/notifications/stream%3Ftoken=", "/%zz?token="] {
            run(front.curl(&["--max-time", "5"]).arg(front.url(&with_token(path))));
        }
        run(front.curl(&["--max-time", "0.5"]).arg(front.url(&with_token(STREAM))));
    };
    all(front);
    front.stop_rill();
    // Its socket refuses (`error`), then is not there at all (`crit`).
    all(front);
    std::fs::remove_file(front.socket()).unwrap();
    all(front);
}

/// Both logs, once the last request is in them.
#[track_caller]
fn logs(front: &Front, lines: usize) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let access = read(&front.nginx.access_log());
        if access.lines().count() >= lines {
            return access + &read(&front.nginx.error_log());
        }
        assert!(Instant::now() < end, "the access log has not {lines} lines:\n{access}");
    }
}

#[test]
fn the_logs_have_no_token() {
    for profile in [Profile::Http, Profile::Stream] {
        let mut front = Front::start(profile);
        use_the_token(&mut front);
        let logs = logs(&front, 3 * 9);
        assert!(!logs.contains(&TOKEN[..10]) && !logs.contains("token"), "{logs}");
        if profile == Profile::Http {
            for said in [
                "GET /notifications/stream HTTP/2.0 200 ",
                "POST /notifications/send HTTP/1.1 ",
                " 413 ",
                " upstream=502,",
            ] {
                assert!(logs.contains(said), "no {said:?} in\n{logs}");
            }
        }
    }
}

#[test]
fn the_error_log_would_have_tokens_if_locations_did_not_drop_what_is_said_of_requests() {
    for (level, wanted) in [("error", "Connection refused"), ("crit", "No such file")] {
        let change = match level {
            "error" => "error_log /var/log/nginx/error.log error;",
            _ => "error_log /var/log/nginx/error.log crit;",
        };
        let told = Change { name: "", from: "error_log /dev/null emerg;", to: change };
        let mut front = Front::with(Profile::Http, Some(&told));
        use_the_token(&mut front);
        let logs = logs(&front, 3 * 9);
        let line = logs.lines().find(|line| line.contains(wanted) && line.contains(level));
        assert!(line.is_some_and(|line| line.contains(TOKEN)), "{level}: {logs}");
    }
}
