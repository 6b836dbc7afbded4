//! The names that the server answers to.

mod support;

use support::*;

const PATH: &str = "/notifications/stream";
const SEND: &str = "/notifications/send";

fn listed() -> Server {
    rill().env("RILL_HTTP_ALLOWED_HOSTS", "hub.example,other.example:8443,[::1]").start()
}

fn for_host(request: Request, host: impl AsRef<[u8]>) -> Request {
    request.without("Host").field("Host", host)
}

#[test]
fn by_default_every_host_is_answered() {
    let server = Server::start();
    for host in ["rill", "evil.example:1", "", "[::1]:80"] {
        server.send(&for_host(get("/healthz"), host)).assert_status(200);
    }
    server.send(&get("/healthz").without("Host").http_1_0()).assert_status(200);
}

#[test]
fn a_listed_host_is_answered() {
    let server = listed();
    for host in [
        "hub.example",
        "HUB.Example",
        "hub.example:80",
        "hub.example:443",
        "hub.example:65535",
        "other.example:8443",
        "OTHER.example:8443",
        "[::1]",
        "[::1]:3000",
        "[0:0:0:0:0:0:0:1]",
    ] {
        server.send(&for_host(get("/healthz"), host)).assert_status(200);
    }
}

#[test]
fn any_other_host_is_421() {
    let server = listed();
    let own = server.address().to_string();
    for host in [
        "evil.example",
        "rill",
        "localhost",
        &own,
        "127.0.0.1",
        "::1",
        "[::1",
        "[::2]",
        "hub.example.",
        ".hub.example",
        "hub.example.evil.example",
        "sub.hub.example",
        "evilhub.example",
        "hub.example:",
        "hub.example:65536",
        "hub.example:80:80",
        "hub.example:+80",
        "other.example",
        "other.example:443",
        "other.example:84430",
        "hub.example,evil.example",
        "hub%2eexample",
        "xn--hub-.example",
        "*",
    ] {
        server.send(&for_host(get("/healthz"), host)).assert_problem(421);
    }
    // The parser may be stricter still.
    for host in [
        &b""[..],
        b"hub.example@evil.example",
        b"evil.example#hub.example",
        b"hub.example/",
        b"hub.example evil.example",
        b"h\xfcb.example",
        b"hub.example\0",
    ] {
        let status = server.send(&for_host(get("/healthz"), host)).status();
        assert!(matches!(status, 400 | 421), "{status} for {host:?}");
    }
}

#[test]
fn for_another_host_there_is_nothing_at_any_path() {
    let server = listed();
    let mut stream = server.open(&for_host(get(PATH).bearer(DEMO), "hub.example"));
    let mut gets = vec!["/healthz", "/readyz", "/system/status", "/system/status/stream", PATH];
    gets.extend(["/realtime/stream", "/chat/stream", "/api/notifications/stream"]);
    for path in gets {
        for method in ["GET", "OPTIONS"] {
            let request = request(method, path).bearer(DEMO).field("Origin", "http://rill");
            let preflight = request.field("Access-Control-Request-Method", "GET");
            server.send(&preflight).assert_problem(421);
        }
        server.send(&request("HEAD", path).bearer(DEMO)).assert_status(421);
    }
    let mut posts = vec![SEND, "/realtime/update", "/chat/send", "/chat/typing", "/api/events"];
    posts.extend(["/system/maintenance", "/tickets", "/auth/renew", "/auth/revoke"]);
    posts.extend(["/api/notifications", "/api/updates", "/api/sse", "/api/sse/disconnect-all"]);
    for path in posts {
        let body = r#"{"message":"forged","broadcast":true}"#;
        server.send(&post(path, body).bearer(DEMO)).assert_problem(421);
        server.send(&request("OPTIONS", path)).assert_problem(421);
    }
    let held = server.send(&for_host(get("/system/status"), "hub.example")).json();
    assert_eq!(held["connections"], 1);
    let publish = post(SEND, r#"{"message":"M"}"#).bearer(DEMO);
    let (id, _) = server.send(&for_host(publish, "hub.example")).published();
    stream.assert_next(&id);
}

/// RFC 9112 section 3.2.2.
#[test]
fn the_host_of_an_absolute_target_goes_before_the_field() {
    let server = listed();
    let asked = |target: &str, host: &str| server.send(&for_host(get(target), host)).status();
    assert_eq!(asked("http://hub.example/healthz", "evil.example"), 200);
    assert_eq!(asked("http://hub.example:8080/healthz", "evil.example"), 200);
    assert_eq!(asked("http://evil.example/healthz", "hub.example"), 421);
    assert_eq!(asked("http://other.example/healthz", "hub.example"), 421);
    for target in
        ["http://hub.example@evil.example/healthz", "http://evil.example@hub.example/healthz"]
    {
        assert!(matches!(asked(target, "hub.example"), 400 | 421), "{target}");
    }
}

#[test]
fn who_says_no_host_is_421() {
    let server = listed();
    server.send(&get("/healthz").without("Host").http_1_0()).assert_problem(421);
    server.send(&for_host(get("/healthz"), "hub.example").http_1_0()).assert_status(200);
    server.send(&get("/healthz").without("Host")).assert_status(400);
    server.send(&get("/healthz").field("Host", "hub.example")).assert_status(400);
}

/// The attacker's page is at `evil.example`, whose name now has the server's address. To the browser it is one origin, so
/// it says `same-origin`, and the page may read all answers: no rule of CORS and none of cookies is in the way.
#[test]
fn a_name_that_was_bound_anew_gets_nothing() {
    let server = listed();
    let own = |request: Request| {
        let request = for_host(request, "evil.example").field("Sec-Fetch-Site", "same-origin");
        request.field("Cookie", format!("rill_session={DEMO}"))
    };
    server.send(&own(get(PATH))).assert_problem(421);
    server.send(&own(get("/notifications/stream?userId=ann"))).assert_problem(421);
    let publish = post(SEND, r#"{"message":"M"}"#).field("Origin", "http://evil.example");
    server.send(&own(publish)).assert_problem(421);
    assert_eq!(
        server.send(&for_host(get("/system/status"), "hub.example")).json()["connections"],
        0
    );
}

#[test]
fn what_is_no_host_is_refused_at_the_start() {
    for host in [
        "https://hub.example",
        "hub.example/",
        "*.example",
        "*",
        "hub.example:x",
        "hub example",
        "::1",
    ] {
        let output = rill().env("RILL_HTTP_ALLOWED_HOSTS", host).output();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("RILL_HTTP_ALLOWED_HOSTS"),
            "{host}: {said}"
        );
    }
}
