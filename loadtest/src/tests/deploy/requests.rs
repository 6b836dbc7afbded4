//! What becomes of a request on its way, and of its answer.

use super::kit::*;
use crate::nginx::Profile;

const JSON: [&str; 2] = ["-H", "Content-Type: application/json"];

/// Status and version, behind what was answered.
const OUTCOME: [&str; 2] = ["-w", "\n%{http_code} %{http_version}"];

#[test]
fn http2_is_spoken_over_tls() {
    let front = Front::start(Profile::Http);
    let answer = front.get("/system/status", &OUTCOME);
    assert!(answer.starts_with('{') && answer.ends_with("\n200 2"), "{answer}");
    let answer = front.get("/system/status", &["--http1.1", OUTCOME[0], OUTCOME[1]]);
    assert!(answer.ends_with("\n200 1.1"), "{answer}");
    // Without our word for it, the certificate is worth nothing (curl's 60).
    let distrust = run(front.curl(&["--cacert", "/dev/null"]).arg(front.url("/system/status")));
    assert!(!distrust.status.success(), "{distrust:?}");
}

#[test]
fn old_versions_of_tls_are_refused() {
    let front = Front::start(Profile::Http);
    for version in ["1.0", "1.1"] {
        let old = ["--tlsv1.0", "--tls-max", version, "--ciphers", "DEFAULT@SECLEVEL=0"];
        let output = run(front.curl(&old).arg(front.url("/system/status")));
        assert_eq!(output.status.code(), Some(35), "{version}: {output:?}");
    }
    for version in ["1.2", "1.3"] {
        front.get("/system/status", &["--tls-max", version]);
    }
}

#[test]
fn a_stream_has_the_head_of_a_stream() {
    let front = Front::start(Profile::Http);
    let mut curl = front.curl(&["--dump-header", "-", "-H", "Accept-Encoding: gzip, br"]);
    let mut listener = Listener::start(curl.arg(front.url(&with_token(STREAM))));
    let (_, head) = listener.wait_for("HTTP/");
    assert_eq!(head.trim(), "HTTP/2 200");
    let mut fields = Vec::new();
    loop {
        match listener.wait_for("").1.trim() {
            "" => break,
            field => fields.push(field.to_owned()),
        }
    }
    let has = |wanted: &str| fields.iter().any(|field| field == wanted);
    assert!(has("content-type: text/event-stream"), "{fields:?}");
    assert!(has("cache-control: no-cache, no-store, no-transform"), "{fields:?}");
    assert!(!fields.iter().any(|field| field.starts_with("content-encoding")), "{fields:?}");
    listener.wait_for("event: connected");
}

#[test]
fn who_comes_without_tls_is_sent_there() {
    let front = Front::start(Profile::Http);
    let configuration = front.nginx.error_log().with_file_name("nginx.conf");
    let configuration = read(&configuration);
    let listens = configuration.lines().filter_map(|line| line.trim().strip_prefix("listen "));
    let plain = listens.filter(|line| !line.contains("ssl")).collect::<Vec<_>>();
    let address = plain[0].split(' ').next().unwrap();
    let url = format!("http://{address}/chat/send?a=b");
    let output = run(front
        .curl(&["-w", "%{http_code} %{redirect_url}", "-d", "x", "-o"])
        .args(["/dev/null", &url]));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "308 https://127.0.0.1/chat/send?a=b");
}

#[test]
fn rill_is_told_who_asks_by_the_socket_and_not_by_the_client() {
    let front = Front::alone(Profile::Http, None);
    let recorder = Recorder::start(&front.socket(), [Some(ANSWER)]);
    let claims = [
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: http",
        "Forwarded: for=192.0.2.1",
        "Host: rill.example.com:8443",
        "Last-Event-ID: 1-2.e",
    ];
    front.get("/healthz?a=%20b", &claims.map(|claim| ["-H", claim]).concat());
    let request = recorder.next().text.to_ascii_lowercase();
    let lines: Vec<&str> = request.split("\r\n").collect();
    assert_eq!(lines[0], "get /healthz?a=%20b http/1.1");
    for line in [
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: https",
        "host: rill.example.com:8443",
        "last-event-id: 1-2.e",
    ] {
        assert_eq!(lines.iter().filter(|is| **is == line).count(), 1, "{line} in {lines:#?}");
    }
    for name in ["forwarded:", "connection:"] {
        assert!(!lines.iter().any(|line| line.starts_with(name)), "{name} in {lines:#?}");
    }
    assert!(!request.contains("192.0.2.1"), "{request}");
}

/// A notification whose body has `length` bytes.
fn body(front: &Front, length: usize) -> String {
    let path = front.path(&format!("body-{length}"));
    let (begin, end) = (r#"{"message":""#, r#""}"#);
    let filling = "x".repeat(length - begin.len() - end.len());
    std::fs::write(&path, format!("{begin}{filling}{end}")).unwrap();
    format!("@{}", path.display())
}

#[test]
fn a_body_may_be_as_long_as_rill_allows() {
    let front = Front::start(Profile::Http);
    let limit = 256 * 1024;
    for (length, status) in [(limit, "200"), (limit + 1, "413")] {
        let body = body(&front, length);
        for version in ["--http2", "--http1.1"] {
            let arguments = [&JSON[..], &OUTCOME, &[version, "--data-binary", &body]].concat();
            let answer = front.get(&with_token(SEND), &arguments);
            let (_, outcome) = answer.rsplit_once('\n').unwrap();
            assert!(outcome.starts_with(status), "{length} {version}: {answer}");
        }
    }
}

#[test]
fn heads_up_to_rills_limits_come_to_rill() {
    let front = Front::start(Profile::Http);
    for (length, status) in [(8 * 1024 - 40, "200"), (9 * 1024, "414")] {
        for version in ["--http2", "--http1.1"] {
            let path = format!("/system/status?a={}", "x".repeat(length));
            let answer = front.get(&path, &[&[version][..], &OUTCOME].concat());
            let (body, outcome) = answer.rsplit_once('\n').unwrap();
            assert!(outcome.starts_with(status) && body.starts_with('{'), "{version}: {answer}");
        }
    }
}

#[test]
fn publishes_share_a_connection() {
    for profile in [Profile::Http, Profile::Stream] {
        let front = Front::start(profile);
        let mut listener = front.listen();
        let json = r#"{"message":"shared"}"#;
        let arguments =
            [&JSON[..], &["-d", json, "-w", "\n%{http_code} %{num_connects}\n"]].concat();
        let url = front.url(&with_token(SEND));
        let output = run(front.curl(&arguments).args(["--http1.1", &url, &url, &url]));
        let said = String::from_utf8(output.stdout).unwrap();
        let outcomes: Vec<&str> = said.lines().filter(|line| line.starts_with("200 ")).collect();
        assert_eq!(outcomes, ["200 1", "200 0", "200 0"], "{profile:?}: {said}");
        for _ in 0..3 {
            listener.wait_for("shared");
        }
    }
}

#[test]
fn publishes_share_the_connections_to_rill() {
    // Each worker keeps its own.
    let front = Front::alone(Profile::Http, Some(shipped_change(Profile::Http, "one worker")));
    let recorder = Recorder::start(&front.socket(), [Some(ANSWER); 4]);
    for _ in 0..4 {
        assert_eq!(front.get(&with_token(SEND), &["-d", "{}"]), "{}");
        assert_eq!(recorder.next().connection, 0);
    }
}
