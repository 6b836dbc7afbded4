//! The session cookie: a credential that browsers send along with whatever any page asks for.

mod support;

use serde_json::json;
use support::tokens::{jwt, jwt_with};
use support::*;

const PATH: &str = "/notifications/stream";
const SEND: &str = "/notifications/send";
const EVIL: &str = "https://evil.example";
const APP: &str = "https://app.example";
/// Of the kit's requests, which are for the host `rill`.
const OWN: &str = "http://rill";

fn server() -> Server {
    rill().without_dev().start()
}

fn cookie(token: &str) -> String {
    format!("rill_session={token}")
}

/// The same request with a cookie and these fields of a browser.
fn from(request: Request, token: &str, fields: &[(&str, &str)]) -> Request {
    let request = request.field("Cookie", cookie(token));
    fields.iter().fold(request, |request, (name, value)| request.field(name, value))
}

/// A POST of a media type that a form or a beacon may send without a preflight.
fn simple_post(path: &str, kind: &str, body: &str) -> Request {
    post(path, body).without("Content-Type").field("Content-Type", kind)
}

const SIMPLE: [&str; 3] = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "text/plain;charset=UTF-8",
];

/// Every path that takes a POST, and a body with which an admin has success there.
const POSTS: [(&str, &str); 11] = [
    (SEND, r#"{"message":"forged","broadcast":true}"#),
    ("/realtime/update", r#"{"entityType":"t","entityId":"1","action":"updated"}"#),
    ("/chat/send", r#"{"roomId":"r","message":"forged"}"#),
    ("/chat/typing", r#"{"roomId":"r"}"#),
    ("/system/maintenance", r#"{"message":"forged"}"#),
    ("/api/events", r#"{"event":"forged","data":1,"broadcast":true}"#),
    ("/api/notifications", r#"{"message":"forged","broadcast":true}"#),
    ("/api/updates", r#"{"entity":"e","action":"updated","payload":1,"broadcast":true}"#),
    ("/api/sse", r#"{"event":"forged","data":1,"broadcast":true}"#),
    ("/tickets", "{}"),
    ("/auth/revoke", r#"{"sub":"bob"}"#),
];

/// A victim with all rights, and streams that would hear of whatever is done in his name.
struct Victim {
    server: Server,
    token: String,
    streams: [Stream; 4],
}

/// A stream, and a publish that it hears of.
const HEARD: [(&str, (&str, &str)); 4] = [
    (PATH, POSTS[0]),
    ("/realtime/stream", POSTS[1]),
    ("/chat/stream", POSTS[2]),
    ("/api/notifications/stream", POSTS[5]),
];

impl Victim {
    fn start(setup: Setup) -> Self {
        let server = setup.without_dev().start();
        let listener = jwt_with("listener", json!({ "roles": ["admin"] }));
        let mut streams = HEARD.map(|(path, _)| server.stream(path, &listener));
        // The guide's welcome.
        streams[3].next_named("notification");
        Self { token: jwt_with("victim", json!({ "roles": ["admin"] })), server, streams }
    }

    #[track_caller]
    fn assert_nothing_happened(&mut self) {
        let publisher = jwt_with("publisher", json!({ "roles": ["admin"] }));
        for (stream, (_, (path, body))) in self.streams.iter_mut().zip(HEARD) {
            let id = self.server.publish(path, &publisher, body);
            stream.assert_next(&id);
        }
        self.server
            .send(&get(PATH).bearer(&jwt("bob")).field("Accept", "text/html"))
            .assert_problem(406);
        let open = from(get(PATH), &self.token, &[("Sec-Fetch-Site", "same-origin")]);
        let _five: Vec<_> = (0..5).map(|_| self.server.open(&open)).collect();
        self.server.send(&open).assert_problem(429);
    }
}

#[test]
fn the_cookie_is_a_credential_for_our_own_pages() {
    let server = server();
    let ann = jwt("ann");
    for fields in [
        &[][..],
        &[("Sec-Fetch-Site", "same-origin")],
        &[("Sec-Fetch-Site", "none")],
        &[("Origin", OWN)],
        &[("Origin", OWN), ("Sec-Fetch-Site", "same-origin")],
    ] {
        let stream = server.open(&from(get(PATH), &ann, fields));
        stream.connected.assert_connected(Some("ann"), "none", 30_000);
    }
    let admin = jwt_with("root", json!({ "roles": ["admin"] }));
    for (path, body) in POSTS {
        server.send(&from(post(path, body), &admin, &[("Origin", OWN)])).assert_status(200);
        let site = [("Sec-Fetch-Site", "same-origin")];
        server.send(&from(post(path, body), &admin, &site)).assert_status(200);
    }
}

/// Such a page has the scheme of the proxy, and the proxy passes its `Host` on.
#[test]
fn our_own_page_behind_a_proxy_that_ends_tls_is_our_own() {
    let server = server();
    let ann = jwt("ann");
    for (origin, host) in [
        ("https://rill", "rill"),
        ("https://rill", "rill:443"),
        ("https://rill:8443", "rill:8443"),
        ("http://rill:3000", "RILL:3000"),
    ] {
        let request = from(post(SEND, r#"{"message":"M"}"#), &ann, &[("Origin", origin)]);
        server.send(&request.without("Host").field("Host", host)).published();
    }
}

#[test]
fn whoever_only_looks_like_our_own_page_is_not() {
    let server = server();
    let ann = jwt("ann");
    for (origin, host) in [
        ("http://rill:8080", "rill"),
        ("http://rill", "rill:3000"),
        ("https://rill", "rill:80"),
        ("http://rill.", "rill"),
        ("http://rill/", "rill"),
        ("http://rill.evil.example", "rill"),
        ("http://evilrill", "rill"),
        ("http://rill@evil.example", "rill"),
        ("http://evil.example@rill", "rill"),
        ("http://evil.example#@rill", "rill"),
        ("ftp://rill", "rill"),
        ("rill", "rill"),
        ("null", "null"),
        ("", ""),
    ] {
        let publish = from(post(SEND, r#"{"message":"M"}"#), &ann, &[("Origin", origin)]);
        let listen = from(get(PATH), &ann, &[("Origin", origin)]);
        for request in [publish, listen] {
            server.send(&request.without("Host").field("Host", host)).assert_problem(403);
        }
    }
    let twice = from(get(PATH), &ann, &[("Origin", OWN), ("Origin", EVIL)]);
    server.send(&twice).assert_problem(403);
}

#[test]
fn no_foreign_page_posts_with_the_cookie() {
    let mut victim = Victim::start(rill());
    let origin = |value| ("Origin", value);
    let site = |value| ("Sec-Fetch-Site", value);
    for (path, body) in POSTS.into_iter().chain([("/auth/renew", "{}")]) {
        for fields in [
            &[origin(EVIL)][..],
            &[origin(EVIL), site("cross-site")],
            &[origin(EVIL), site("same-origin")],
            &[origin("null"), site("cross-site")],
            &[origin("http://rill:8080"), site("same-site")],
            &[origin(OWN), site("cross-site")],
            &[site("cross-site")],
            &[site("same-site")],
            &[site("")],
            &[("Referer", "http://rill/")],
            &[],
        ] {
            let plain = from(post(path, body), &victim.token, fields);
            victim.server.send(&plain).assert_problem(403);
            for kind in SIMPLE {
                let forged = from(simple_post(path, kind, body), &victim.token, fields);
                victim.server.send(&forged).assert_problem(403);
            }
        }
    }
    victim.assert_nothing_happened();
}

#[test]
fn no_form_posts_at_all() {
    let mut victim = Victim::start(rill());
    for (path, body) in POSTS.into_iter().chain([("/auth/renew", "{}")]) {
        for kind in SIMPLE.into_iter().chain(["", "application/json5", "text/json"]) {
            let own = from(simple_post(path, kind, body), &victim.token, &[("Origin", OWN)]);
            victim.server.send(&own).assert_problem(415);
            let bearer = simple_post(path, kind, body).bearer(&victim.token);
            victim.server.send(&bearer).assert_problem(415);
        }
    }
    victim.assert_nothing_happened();
}

#[test]
fn a_foreign_page_takes_none_of_the_victims_streams() {
    let mut victim = Victim::start(rill());
    for fields in [
        &[("Origin", EVIL)][..],
        &[("Origin", EVIL), ("Sec-Fetch-Site", "cross-site")],
        // An image, say.
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Origin", "null")],
        &[("Sec-Fetch-Site", "same-site")],
    ] {
        for path in [PATH, "/chat/stream", "/system/status/stream"] {
            let five = vec![from(get(path), &victim.token, fields); 5];
            for request in &five {
                victim.server.send(request).assert_problem(403);
            }
        }
        let head = from(request("HEAD", PATH), &victim.token, fields);
        victim.server.send(&head).assert_status(403);
    }
    assert_eq!(victim.server.connections(), 4);
    victim.assert_nothing_happened();
}

#[test]
fn a_foreign_page_is_refused_before_its_credential_and_its_body_are_read() {
    let server = rill().without_dev().env("RILL_RATES_FAILED_CREDENTIALS", "1/h").start();
    for _ in 0..5 {
        server.send(&from(get(PATH), "bad", &[("Origin", EVIL)])).assert_problem(403);
    }
    let ann = jwt("ann");
    let unsent = |length: &str| {
        let bare = post(SEND, "").without("Content-Length").field("Content-Length", length);
        from(bare, &ann, &[("Origin", EVIL)])
    };
    server.send(&unsent("100")).assert_problem(403);
    server.send(&unsent("300000")).assert_problem(403);
    let asking = unsent("100").field("Expect", "100-continue");
    server.send(&asking).assert_problem(403);
    server.send(&post(SEND, r#"{"message":"M"}"#).bearer(&ann)).published();
}

#[test]
fn a_listed_page_may_use_the_cookie() {
    let setup = rill().without_dev().env("RILL_CORS_ORIGINS", APP);
    let server = setup.env("RILL_CORS_CREDENTIALS", "true").start();
    let ann = jwt("ann");
    let fields = [("Origin", APP), ("Sec-Fetch-Site", "cross-site")];
    let stream = server.open(&from(get(PATH), &ann, &fields));
    stream.connected.assert_connected(Some("ann"), "none", 30_000);
    stream.head.assert_value("access-control-allow-credentials", "true");
    server.send(&from(post(SEND, r#"{"message":"M"}"#), &ann, &fields)).published();
    let foreign = from(get(PATH), &ann, &[("Origin", "https://app.example.evil.example")]);
    server.send(&foreign).assert_problem(403);
    // A star is no list.
    let any = rill().without_dev().env("RILL_CORS_ORIGINS", "*").start();
    any.send(&from(get(PATH), &ann, &fields)).assert_problem(403);
}

#[test]
fn an_explicit_credential_may_come_from_any_page() {
    let server = server();
    let (ann, victim) = (jwt("ann"), jwt("victim"));
    let fields = [("Origin", EVIL), ("Sec-Fetch-Site", "cross-site")];
    for request in [
        from(get(PATH).bearer(&ann), &victim, &fields),
        from(get(PATH).field("X-Auth-Token", &ann), &victim, &fields),
        from(get(&format!("{PATH}?token={ann}")), &victim, &fields),
    ] {
        server.open(&request).connected.assert_connected(Some("ann"), "none", 30_000);
    }
    server.send(&from(post(SEND, r#"{"message":"M"}"#).bearer(&ann), &victim, &fields)).published();
    // What is no credential of ours does not stand before the cookie.
    let basic = get(PATH).field("Authorization", "Basic YTpi");
    server.send(&from(basic, &victim, &fields)).assert_problem(403);
    server.send(&from(get(PATH).bearer("bad"), &victim, &[])).assert_problem(401);
}

#[test]
fn only_the_cookie_of_the_configured_name_counts() {
    let named = rill().without_dev().env("RILL_AUTH_COOKIE", "__Host-rill_session").start();
    let ann = jwt("ann");
    let with = |cookie: String| get(PATH).field("Cookie", cookie);
    let prefixed = format!("theme=dark; __Host-rill_session={ann}; x=y");
    named.open(&with(prefixed)).connected.assert_connected(Some("ann"), "none", 30_000);
    for other in
        ["rill_session", "__host-rill_session", "x__Host-rill_session", "__Secure-rill_session"]
    {
        named.send(&with(format!("{other}={ann}"))).assert_problem(401);
    }
    let server = server();
    for cookie in [
        format!("session={ann}"),
        format!("Rill_session={ann}"),
        format!("x=rill_session={ann}"),
        "rill_session".into(),
    ] {
        let response = server.send(&with(cookie));
        assert_eq!(response.assert_problem(401).head.value("www-authenticate"), Some("Bearer"));
    }
}

#[test]
fn two_cookies_of_the_name_are_one_credential_or_none() {
    let server = server();
    let (ann, bob) = (cookie(&jwt("ann")), cookie(&jwt("bob")));
    for request in [
        get(PATH).field("Cookie", format!("{ann}; {bob}")),
        get(PATH).field("Cookie", &ann).field("Cookie", &bob),
        get(PATH).field("Cookie", format!("{ann}; rill_session=")),
    ] {
        server.send(&request).assert_problem(400);
    }
    server.open(&get(PATH).field("Cookie", format!("{ann}; {ann}")));
}

/// What a page does with a cookie that is not its own: everything that needs no preflight, then what needs one.
fn attack(hub: &str, control: &str) -> String {
    let posts = json!(POSTS);
    format!(
        r#"
const hub = 'http://{hub}', control = '{control}', posts = {posts};
const later = (done) => setTimeout(done, 2000);
const submit = (path, body, enctype) => new Promise((done) => {{
  const frame = document.createElement('iframe'), form = document.createElement('form'), input = document.createElement('input');
  frame.name = Math.random().toString();
  [form.method, form.action, form.enctype, form.target] = ['POST', hub + path, enctype, frame.name];
  // As text/plain that is JSON with one member more.
  [input.name, input.value] = [body.replace(/}}$/, body === '{{}}' ? '"_":"' : ',"_":"'), '"}}'];
  form.append(input);
  document.body.append(frame, form);
  frame.onload = () => done();
  later(done);
  form.submit();
}});
const listen = () => new Promise((done) => {{
  // Who joins a room is announced there.
  const source = new EventSource(hub + '/chat/stream?room=r', {{ withCredentials: true }});
  source.addEventListener('connected', () => done('connected'));
  source.onerror = () => done(source.readyState === EventSource.CLOSED ? 'refused' : 'again');
}});
attempt(async () => {{
  await fetch(control, {{ mode: 'no-cors', credentials: 'include' }});
  for (const [path, body] of posts) {{
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/json'])
      navigator.sendBeacon(hub + path, new Blob([body], {{ type }}));
    await fetch(hub + path, {{ method: 'POST', mode: 'no-cors', credentials: 'include', body }});
    const json = {{ method: 'POST', credentials: 'include', headers: {{ 'Content-Type': 'application/json' }}, body }};
    await fetch(hub + path, json).catch(() => 0);
  }}
  const kinds = ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data'];
  await Promise.all(posts.flatMap(([path, body]) => kinds.map((kind) => submit(path, body, kind))));
  return await Promise.all([listen(), listen(), listen(), listen(), listen()]);
}});
"#
    )
}

/// The victim's browser has the cookie, and goes to the attacker's page on `host`.
fn attacked_from(host: &str, attributes: &str) {
    let site = Site::open();
    let mut victim = Victim::start(rill());
    // A cookie is for all ports of its host, so the hub and the control get what this page sets.
    let next = format!("location = '{}/attack'", site.origin(host));
    let set = format!("document.cookie = 'rill_session={}{attributes}'; {next};", victim.token);
    site.page("/", &set);
    let control = format!("{}/control", site.origin("127.0.0.1"));
    site.page("/attack", &attack(&victim.server.address().to_string(), &control));
    let _chromium = site.visit("127.0.0.1", "/");
    assert_eq!(site.report(), json!(vec!["refused"; 5]));
    let with_cookie =
        |head: &String| head.starts_with("GET /control") && head.contains(&cookie(&victim.token));
    assert!(site.heads().iter().any(with_cookie), "the cookie never came: {:#?}", site.heads());
    victim.assert_nothing_happened();
}

#[test]
fn a_page_of_another_site_does_nothing_with_the_cookie_in_chromium() {
    attacked_from("evil.example", "; SameSite=None; Secure");
}

/// The same host on another port is another origin, but the same site: no `SameSite` keeps the cookie back.
#[test]
fn a_page_of_the_same_site_does_nothing_with_the_cookie_in_chromium() {
    attacked_from("127.0.0.1", "; SameSite=Strict");
}
