//! What clients and publishers see while Rill is not there, or does not answer.

use super::kit::*;
use crate::nginx::{Change, Profile};

/// Body, status and content type.
const OUTCOME: [&str; 2] = ["-w", "\n%{http_code} %{content_type}"];

/// What an EventSource is told in place of a status that would end it; the time in milliseconds.
#[track_caller]
fn come_back(answer: &str) -> u32 {
    let retry = answer.strip_prefix("retry: ");
    let retry = retry.and_then(|rest| rest.strip_suffix("\n\n\n200 text/event-stream"));
    retry.and_then(|time| time.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

#[test]
fn streams_come_back_and_nothing_else_does() {
    let mut front = Front::start(Profile::Http);
    drop(front.listen());
    front.stop_rill();
    for version in ["--http2", "--http1.1"] {
        let arguments = [&OUTCOME[..], &[version]].concat();
        let mut times: Vec<u32> =
            (0..32).map(|_| come_back(&front.get(&with_token(STREAM), &arguments))).collect();
        times.sort_unstable();
        times.dedup();
        // All the same: once in 4^31.
        assert!(times.len() > 1 && times.iter().all(|time| (2000..=4000).contains(time)));
    }
    for path in ["/chat/stream", "/system/status/stream", "/sse/connect", "/api/sse"] {
        come_back(&front.get(path, &OUTCOME));
    }
    for (path, arguments) in [
        (with_token(SEND), ["-d", "{}"]),
        ("/api/sse".to_owned(), ["-d", "{}"]),
        ("/system/status".to_owned(), ["-X", "GET"]),
        ("/chat/stream".to_owned(), ["-X", "DELETE"]),
    ] {
        let answer = front.get(&path, &[arguments, OUTCOME].concat());
        assert!(answer.ends_with("\n502 text/html"), "{path}: {answer}");
    }
    front.start_rill();
    drop(front.listen());
}

#[test]
fn a_page_of_another_origin_may_read_that_it_shall_come_back() {
    let front = Front::alone(Profile::Http, None);
    let origin = ["-H", "Origin: https://page.example", "--dump-header", "-"];
    let answer = front.get(&with_token(STREAM), &origin);
    assert!(answer.contains("access-control-allow-origin: https://page.example\r\n"), "{answer}");
    assert!(answer.contains("access-control-allow-credentials: true\r\n"), "{answer}");
}

#[test]
fn a_stream_that_rill_does_not_answer_comes_back() {
    let impatient =
        Change { name: "", from: "proxy_read_timeout 90s;", to: "proxy_read_timeout 200ms;" };
    let mut front = Front::with(Profile::Http, Some(&impatient));
    front.stop_rill();
    std::fs::remove_file(front.socket()).unwrap();
    // Takes connections, as the kernel does for a process that hangs, and no more.
    let _hung = std::os::unix::net::UnixListener::bind(front.socket()).unwrap();
    come_back(&front.get(&with_token(STREAM), &OUTCOME));
    let answer = front.get(&with_token(SEND), &[&OUTCOME[..], &["-d", "{}"]].concat());
    assert!(answer.ends_with("\n504 text/html"), "{answer}");
}

#[test]
fn a_stream_comes_back_when_nginx_itself_is_full() {
    // nginx counts its listeners too, so that there is room for a few streams only.
    let small =
        Change { name: "", from: "worker_connections 32768;", to: "worker_connections 10;" };
    let front = Front::with(Profile::Http, Some(&small));
    let seen = front.open_many("/system/status/stream", 12);
    assert!(seen.iter().any(|body| body.contains("event: connected")), "{seen:?}");
    assert!(seen.iter().any(|body| body.starts_with("retry: ") && body.len() < 20), "{seen:?}");
    assert!(!seen.iter().any(|body| body.contains("<html>")), "{seen:?}");
}

#[test]
fn a_publish_that_may_have_been_carried_out_is_not_repeated() {
    for (path, method) in [(SEND, "POST"), ("/chat/rooms/r/members?token=", "PUT")] {
        // One worker, so that the second publish takes the connection of the first one.
        let front = Front::alone(Profile::Http, Some(shipped_change(Profile::Http, "one worker")));
        let recorder = Recorder::start(&front.socket(), [Some(ANSWER), None, Some(ANSWER)]);
        front.get(path, &["-d", "first"]);
        recorder.next();
        let arguments = [&OUTCOME[..], &["-X", method, "-d", "second"]].concat();
        let answer = front.get(path, &arguments);
        assert!(answer.ends_with("\n502 text/html"), "{method}: {answer}");
        let second = recorder.next();
        assert!(second.text.ends_with("second") && second.connection == 0, "{second:?}");
        assert_eq!(recorder.rest(), [], "{method} was sent again");
    }
}

#[test]
fn the_stream_profile_closes_and_browsers_come_back_from_that() {
    let mut front = Front::start(Profile::Stream);
    front.listen().wait_for("event: heartbeat");
    front.stop_rill();
    let output = run(front.curl(&[]).arg(front.url(&with_token(STREAM))));
    // 52: the server closed without an answer; 56: with a reset.
    assert!(matches!(output.status.code(), Some(52 | 56)), "{output:?}");
    front.start_rill();
    front.listen().wait_for("event: heartbeat");
}
