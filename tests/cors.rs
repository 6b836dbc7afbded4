//! Which pages of other origins may read answers, and what a browser is told before it asks.

mod support;

use serde_json::json;
use support::tokens::jwt;
use support::*;

const PATH: &str = "/notifications/stream";
const APP: &str = "https://app.example";
const EVIL: &str = "https://evil.example";
const EXPOSED: &str = "RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate";

/// With two origins on the list.
fn listed() -> Setup {
    rill().env("RILL_CORS_ORIGINS", "https://app.example,http://localhost:8080")
}

fn origin(server: &Server, origin: &str) -> Head {
    server.send(&get("/system/status").field("Origin", origin)).head
}

fn preflight(path: &str, from: &str, method: &str) -> Request {
    request("OPTIONS", path)
        .field("Origin", from)
        .field("Access-Control-Request-Method", method)
        .field("Access-Control-Request-Headers", "authorization,content-type")
}

/// A server that has a refusal of every kind to give.
struct Refusing {
    server: Server,
    _streams: Vec<Stream>,
}

impl Refusing {
    /// Five of six places are eve's, and the last is bob's.
    fn start(setup: Setup) -> Self {
        let setup = setup.flags(&["--max-connections", "6"]);
        let server = setup.env("RILL_HTTP_BODY_TIMEOUT", "100ms").start();
        let users = ["eve", "eve", "eve", "eve", "eve", "bob"];
        let streams = users.map(|name| server.stream(PATH, &user(name)));
        let first = post("/notifications/send", r#"{"message":"M"}"#).bearer(&user("ann"));
        server.send(&first.field("Idempotency-Key", "k")).published();
        Self { server, _streams: streams.into() }
    }

    /// What is refused once it is known who asks, and how.
    fn refusals(&self) -> Vec<(u16, Request)> {
        let send = "/notifications/send";
        let (ann, eve) = (user("ann"), user("eve"));
        vec![
            (400, post(send, "{").bearer(&ann)),
            (400, get("/system/status").body("x").field("Content-Length", "1")),
            (401, get(PATH)),
            (401, get(PATH).bearer("bad")),
            (403, get("/notifications/stream?userId=bob").bearer(&ann)),
            (404, get("/nowhere")),
            (405, request("PUT", PATH)),
            (406, get(PATH).bearer(&ann).field("Accept", "text/html")),
            (
                408,
                post(send, "").without("Content-Length").field("Content-Length", "9").bearer(&ann),
            ),
            (409, post(send, r#"{"message":"N"}"#).bearer(&ann).field("Idempotency-Key", "k")),
            (
                413,
                post(send, "")
                    .without("Content-Length")
                    .field("Content-Length", "300000")
                    .bearer(&ann),
            ),
            (
                415,
                post(send, "{}")
                    .without("Content-Type")
                    .field("Content-Type", "text/plain")
                    .bearer(&ann),
            ),
            (422, post(send, "{}").bearer(&ann)),
            (429, get(PATH).bearer(&eve)),
            (501, request("BREW", PATH)),
            (503, get(PATH).bearer(&ann)),
        ]
    }
}

/// What the parser itself refuses: nobody knows the origin yet.
fn unparsed() -> Vec<(u16, Request)> {
    vec![
        (400, get("/system/status").field("Host", "second")),
        (414, get(&format!("/{}", "x".repeat(9000)))),
        (417, get("/system/status").field("Expect", "200-ok")),
        (431, get("/system/status").field("X", "x".repeat(17_000))),
    ]
}

#[test]
fn by_default_every_page_may_read_every_answer() {
    let server = rill().without_dev().start();
    let ann = jwt("ann");
    let everyone = |head: &Head| {
        head.assert_value("access-control-allow-origin", "*");
        assert_eq!(head.values("vary"), [""; 0], "{head:?}");
        assert_eq!(head.values("access-control-allow-credentials"), [""; 0], "{head:?}");
    };
    for origin in [None, Some(EVIL), Some("null")] {
        let with = |request: Request| match origin {
            Some(origin) => request.field("Origin", origin),
            None => request,
        };
        for path in ["/system/status", "/healthz", "/readyz"] {
            everyone(&server.send(&with(get(path))).assert_status(200).head);
        }
        let publish = post("/notifications/send", r#"{"message":"M"}"#).bearer(&ann);
        everyone(&server.send(&with(publish)).assert_status(200).head);
        everyone(&server.send(&with(post("/tickets", "{}").bearer(&ann))).assert_status(200).head);
        for path in [
            PATH,
            "/realtime/stream",
            "/chat/stream",
            "/system/status/stream",
            "/api/notifications/stream",
        ] {
            everyone(&server.open(&with(get(path).bearer(&ann))).head);
            everyone(
                &server.send(&with(request("HEAD", path).bearer(&ann))).assert_status(200).head,
            );
        }
    }
}

#[test]
fn by_default_every_page_may_read_every_refusal() {
    let refusing = Refusing::start(rill());
    for (status, request) in refusing.refusals().into_iter().chain(unparsed()) {
        let response = refusing.server.send(&request.field("Origin", EVIL));
        let head = &response.assert_status(status).head;
        head.assert_value("access-control-allow-origin", "*");
        head.assert_value("access-control-expose-headers", EXPOSED);
    }
    let misdirected = rill().env("RILL_HTTP_ALLOWED_HOSTS", "hub.example").start();
    let response = misdirected.send(&get("/healthz").field("Origin", EVIL));
    response.assert_problem(421).head.assert_value("access-control-allow-origin", "*");
}

/// The fields that `APP` reads and `EVIL` does not: on refusals of all kinds but those of the parser, which are bare.
#[test]
fn with_a_list_a_refusal_is_for_the_listed_page() {
    let refusing = Refusing::start(listed());
    for (status, request) in refusing.refusals() {
        let response = refusing.server.send(&request.clone().field("Origin", APP));
        let head = &response.assert_status(status).head;
        head.assert_value("access-control-allow-origin", APP);
        head.assert_value("access-control-expose-headers", EXPOSED);
        head.assert_value("vary", "Origin");
        let response = refusing.server.send(&request.field("Origin", EVIL));
        assert_for_nobody(&response.assert_status(status).head);
    }
    for (status, request) in unparsed() {
        let response = refusing.server.send(&request.field("Origin", EVIL));
        assert_for_nobody(&response.assert_status(status).head);
    }
}

/// Another origin might be answered otherwise; this one reads nothing.
#[track_caller]
fn assert_for_nobody(head: &Head) {
    head.assert_value("vary", "Origin");
    assert!(!head.fields.iter().any(|(name, _)| name.starts_with("access-control-")), "{head:?}");
}

#[test]
fn a_listed_page_may_read_streams_and_their_heads() {
    let server = listed().start();
    for (from, allowed) in [(APP, true), ("http://localhost:8080", true), (EVIL, false)] {
        let stream = server.open(&get(PATH).bearer(DEMO).field("Origin", from)).head;
        let head = server.send(&request("HEAD", PATH).bearer(DEMO).field("Origin", from)).head;
        let old = get(PATH).bearer(DEMO).field("Origin", from).http_1_0();
        for head in [stream, head, server.open(&old).head, origin(&server, from)] {
            head.assert_value("vary", "Origin");
            assert_eq!(head.value("access-control-allow-origin"), allowed.then_some(from));
            assert_eq!(head.value("access-control-allow-credentials"), None);
        }
    }
    // Without an origin too: a cache may give this answer to a page later.
    assert_for_nobody(&server.send(&get("/system/status")).head);
    assert_for_nobody(&server.stream(PATH, DEMO).head);
}

#[test]
fn credentials_are_allowed_to_listed_pages_and_only_if_configured() {
    let server = listed().env("RILL_CORS_CREDENTIALS", "true").start();
    for head in [
        origin(&server, APP),
        server.open(&get(PATH).bearer(DEMO).field("Origin", APP)).head,
        server.send(&get(PATH).field("Origin", APP)).assert_problem(401).head.clone(),
        server.send(&preflight(PATH, APP, "GET")).assert_status(204).head.clone(),
    ] {
        head.assert_value("access-control-allow-origin", APP);
        head.assert_value("access-control-allow-credentials", "true");
    }
    assert_for_nobody(&origin(&server, EVIL));
}

#[test]
fn an_origin_that_looks_like_a_listed_one_is_another() {
    let server = listed().env("RILL_CORS_CREDENTIALS", "true").start();
    for lookalike in [
        "https://app.example.evil.example",
        "https://app.examplee",
        "https://evil-app.example",
        "https://evilapp.example",
        "https://sub.app.example",
        "https://app.example:8443",
        "https://app.example:443",
        "http://app.example",
        "https://APP.example",
        "HTTPS://app.example",
        "https://app.example.",
        "https://app.example/",
        "https://app-example",
        "https://appxexample",
        "https://app.example@evil.example",
        "https://evil@app.example",
        "https://xn--pp-7ia.example",
        "https://\u{e0}pp.example",
        "https://app.example\0",
        "https://app.example https://evil.example",
        "https://app.example,https://evil.example",
        "http://localhost",
        "http://localhost:80800",
        "null",
        "*",
        "",
    ] {
        let head = origin(&server, lookalike);
        if head.status != 400 {
            assert_for_nobody(&head);
        }
    }
    let twice = get("/system/status").field("Origin", APP).field("Origin", APP);
    assert_for_nobody(&server.send(&twice).head);
    let second = get("/system/status").field("Origin", APP).field("Origin", EVIL);
    assert_for_nobody(&server.send(&second).head);
}

#[test]
fn a_preflight_names_methods_and_headers() {
    let server = listed().start();
    for (path, method, methods) in [
        (PATH, "GET", "GET, HEAD, OPTIONS"),
        ("/system/status", "GET", "GET, HEAD, OPTIONS"),
        ("/notifications/send", "POST", "POST, OPTIONS"),
        ("/tickets", "POST", "POST, OPTIONS"),
    ] {
        let response = server.send(&preflight(path, APP, method));
        let head = &response.assert_status(204).head;
        assert_eq!(response.text(), "");
        head.assert_value("access-control-allow-origin", APP);
        head.assert_value("access-control-allow-methods", methods);
        head.assert_value(
            "access-control-allow-headers",
            "Authorization, Cache-Control, Content-Type, Idempotency-Key, Last-Event-ID, X-Auth-Token",
        );
        head.assert_value("access-control-max-age", "86400");
        head.assert_value("vary", "Origin");
        let refused = server.send(&preflight(path, EVIL, method));
        assert_eq!(refused.assert_status(204).head.value("access-control-allow-origin"), None);
    }
    let any = Server::start();
    let response = any.send(&preflight(PATH, EVIL, "GET"));
    response.assert_status(204).head.assert_value("access-control-allow-origin", "*");
}

#[test]
fn a_preflight_needs_no_credential_no_rate_and_no_slot() {
    let setup = rill().flags(&["--max-connections", "1"]).env("RILL_RATES_CONNECTS", "1/h");
    let server = setup.env("RILL_RATES_FAILED_CREDENTIALS", "1/h").start();
    let _stream = server.stream(PATH, DEMO);
    server.send(&get(PATH).bearer(DEMO)).assert_problem(429);
    for _ in 0..20 {
        server.send(&preflight(PATH, EVIL, "GET")).assert_status(204);
        // A browser sends none along, but whoever does is not looked at either.
        server.send(&preflight(PATH, EVIL, "GET").bearer("bad")).assert_status(204);
    }
    assert_eq!(server.connections(), 1);
    server.send(&post("/notifications/send", r#"{"message":"M"}"#).bearer(DEMO)).published();
}

/// The path comes before everything else, so there is nothing to be allowed; that much a page may read.
#[test]
fn a_preflight_for_an_unknown_path_is_404() {
    let server = listed().start();
    let response = server.send(&preflight("/nowhere", APP, "POST"));
    response.assert_problem(404).head.assert_value("access-control-allow-origin", APP);
    assert_for_nobody(&server.send(&preflight("/nowhere", EVIL, "POST")).head);
}

#[test]
fn page_code_may_read_when_to_come_again_and_what_is_wanted() {
    let server = Server::start();
    let challenged = server.send(&get(PATH).field("Origin", EVIL));
    let head = &challenged.assert_problem(401).head;
    assert!(head.value("www-authenticate").is_some());
    head.assert_value("access-control-expose-headers", EXPOSED);
    let _streams: Vec<_> = (0..5).map(|_| server.stream(PATH, DEMO)).collect();
    let full = server.send(&get(PATH).bearer(DEMO).field("Origin", EVIL));
    full.assert_problem(429).head.assert_retry_after();
    full.head.assert_value("access-control-expose-headers", EXPOSED);
}

#[test]
fn a_refusal_in_the_form_of_a_stream_may_be_read_too() {
    let server = listed().env("RILL_REFUSE_STREAMS", "retry").start();
    let _streams: Vec<_> = (0..5).map(|_| server.stream(PATH, DEMO)).collect();
    let refused = |from| server.send(&get(PATH).bearer(DEMO).field("Origin", from)).head;
    refused(APP).assert_value("access-control-allow-origin", APP);
    refused(APP).assert_value("vary", "Origin");
    assert_for_nobody(&refused(EVIL));
}

#[test]
fn what_would_open_everything_is_refused_at_the_start() {
    for (origins, credentials, named) in [
        ("*", "true", "cors.credentials"),
        ("https://app.example/", "false", "cors.origins"),
        ("https://*.app.example", "false", "cors.origins"),
        ("null", "false", "cors.origins"),
        ("app.example", "false", "cors.origins"),
        ("https://App.example", "false", "cors.origins"),
        ("https://app.example,*", "true", "cors"),
    ] {
        let setup = rill().env("RILL_CORS_ORIGINS", origins);
        let output = setup.env("RILL_CORS_CREDENTIALS", credentials).output();
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(!output.status.success(), "{origins} {credentials}");
        let variable = format!("rill_{}", named.replace('.', "_"));
        assert!(said.contains(named) || said.contains(&variable), "{origins}: {said}");
    }
}

/// With a header that needs a preflight.
#[test]
fn a_page_in_chromium_reads_refusals() {
    let server = Server::start();
    let _streams: Vec<_> = (0..5).map(|_| server.stream(PATH, DEMO)).collect();
    let site = Site::open();
    site.page(
        "/",
        &format!(
            "const ask = async (token) => {{
               const answer = await fetch('http://{}{PATH}', {{ headers: token ? {{ 'X-Auth-Token': token }} : {{}} }});
               const header = (name) => answer.headers.get(name);
               const {{ detail, code }} = await answer.json();
               return [answer.status, code, typeof detail, header('Retry-After') > 0, header('WWW-Authenticate')];
             }};
             attempt(async () => [await ask(), await ask('{DEMO}')]);",
            server.address()
        ),
    );
    let _chromium = site.visit("page.example", "/");
    let read = json!([[401, 401, "string", false, "Bearer"], [429, 429, "string", true, null]]);
    assert_eq!(site.report(), read);
}

#[test]
fn an_event_source_with_the_cookie_works_on_a_listed_page_in_chromium() {
    let site = Site::open();
    let setup = rill().without_dev().env("RILL_CORS_ORIGINS", &site.origin("127.0.0.1"));
    let server = setup.env("RILL_CORS_CREDENTIALS", "true").start();
    site.page(
        "/",
        &format!(
            "document.cookie = 'rill_session={}';
             const source = new EventSource('http://{}{PATH}', {{ withCredentials: true }});
             for (const name of ['connected', 'notification'])
               source.addEventListener(name, (event) => report(JSON.parse(event.data)));
             source.onerror = () => report('error');",
            jwt("ann"),
            server.address()
        ),
    );
    let _chromium = site.visit("127.0.0.1", "/");
    assert_eq!(site.report()["userId"], "ann");
    server.publish("/notifications/send", &jwt("ann"), r#"{"message":"for ann"}"#);
    assert_eq!(site.report()["message"], "for ann");
}
