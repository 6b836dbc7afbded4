//! Demo tokens: where they are read, what is refused and how, and that they are never written down.

mod support;

use base64::Engine;
use support::*;

const PATH: &str = "/notifications/stream";

fn with_query(token: &str) -> Request {
    get(&format!(
        "{PATH}?token={}",
        token.replace('=', "%3D").replace('+', "%2B").replace('/', "%2F")
    ))
}

fn base64(text: impl AsRef<[u8]>) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn one_identity_wherever_the_token_stands() {
    let server = Server::start();
    let plain_query = get(&format!("{PATH}?token={DEMO}"));
    let field = get(PATH).field("X-Auth-Token", DEMO);
    for request in [with_query(DEMO), plain_query, get(PATH).bearer(DEMO), field] {
        server.open(&request).connected.assert_connected(Some("test123"), "none", 30_000);
    }
    let body = r#"{"message":"M"}"#;
    let path = "/notifications/send";
    let bare = post(path, body);
    let by_query = post(&format!("{path}?token={DEMO}"), body);
    for request in [by_query, bare.clone().bearer(DEMO), bare.field("X-Auth-Token", DEMO)] {
        server.send(&request).published();
    }
}

#[test]
fn the_scheme_may_be_written_in_any_case() {
    let server = Server::start();
    for scheme in ["bearer", "BEARER"] {
        server.open(&get(PATH).field("Authorization", format!("{scheme} {DEMO}")));
    }
}

#[test]
fn no_credential_is_a_plain_challenge() {
    let server = Server::start();
    for request in [
        get(PATH),
        get("/realtime/stream"),
        get("/chat/stream?room=r"),
        post("/notifications/send", r#"{"message":"M"}"#),
        post("/realtime/update", "{}"),
        post("/chat/send", "{}"),
        post("/chat/typing", "{}"),
        post("/system/maintenance", "{}"),
    ] {
        let response = server.send(&request);
        response.assert_problem(401);
        let challenge = response.head.value("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("Bearer") && !challenge.contains("error"), "{challenge}");
    }
}

#[test]
fn a_bad_credential_is_one_text_whatever_is_wrong() {
    let server = Server::start();
    let bad = [
        "YOUR_TOKEN".to_owned(),
        "%%%".to_owned(),
        "x".repeat(4000),
        base64("ann"),
        base64("ann:ann-name"),
        base64(":nobody:nobody@example.com:user"),
        base64(b"\xff\xfe:x:x@example.com:user"),
        DEMO[..20].to_owned(),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.".to_owned(),
    ];
    let refusals: Vec<_> = bad
        .iter()
        .flat_map(|token| [get(PATH).bearer(token), get(PATH).field("X-Auth-Token", token)])
        .map(|request| {
            let response = server.send(&request);
            response.assert_problem(401);
            let challenge =
                response.head.value("www-authenticate").expect("a challenge").to_owned();
            assert!(
                challenge.starts_with("Bearer") && challenge.contains(r#"error="invalid_token""#),
                "{challenge}"
            );
            (challenge, response.detail())
        })
        .collect();
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:#?}");
    server.send(&get(PATH).field("Authorization", "Basic YW5uOnB3")).assert_problem(401);
}

#[test]
fn two_credentials_are_400_unless_they_are_one() {
    let server = Server::start();
    let (ann, bob) = (user("ann"), user("bob"));
    for request in [
        with_query(&ann).bearer(&bob),
        with_query(&ann).field("X-Auth-Token", &bob),
        get(PATH).bearer(&ann).field("X-Auth-Token", &bob),
        get(PATH).bearer(&ann).bearer(&bob),
        get(PATH).field("X-Auth-Token", &ann).field("X-Auth-Token", &bob),
        get(&format!("{PATH}?token={ann}&token={bob}")),
        get(&format!("{PATH}?token={ann}&token={ann}")),
    ] {
        server.send(&request).assert_problem(400);
    }
    server.open(&with_query(&ann).bearer(&ann)).connected.assert_connected(
        Some("ann"),
        "none",
        30_000,
    );
}

#[test]
fn demo_tokens_are_for_dev_only() {
    let server = rill().without_dev().start();
    for request in [with_query(DEMO), get(PATH).bearer(DEMO), get(PATH).field("X-Auth-Token", DEMO)]
    {
        let response = server.send(&request);
        response.assert_problem(401);
        assert!(
            response
                .head
                .value("www-authenticate")
                .is_some_and(|text| text.contains("invalid_token"))
        );
    }
    server.open(&get("/system/status/stream"));
    server.send(&get("/system/status")).assert_status(200);
}

#[test]
fn tokens_are_in_no_log_header_or_error() {
    let server = rill().env("RILL_LOG_LEVEL", "trace").start();
    let token = user("a-name-to-look-for");
    server.open(&with_query(&token));
    server.stream(PATH, &token);
    server.open(&get(PATH).field("X-Auth-Token", &token));
    let refusals = [
        with_query(&format!("{token}x")),
        with_query(&token).bearer(&user("another")),
        get(&format!("/nowhere?token={token}")),
        get(&format!("{PATH}?token={token}&token={token}")),
        get(PATH).bearer(&format!("{token}x")),
        request("PUT", PATH).bearer(&token),
        post("/notifications/send", "{").bearer(&token),
        post("/notifications/send", r#"{"message":"M","userId":"bob"}"#).bearer(&token),
    ];
    let part = token.trim_end_matches('=');
    for request in refusals {
        let response = server.send(&request);
        assert!(response.status() >= 400);
        assert!(!format!("{:?} {}", response.head, response.text()).contains(part), "{response:?}");
    }
    let said = server.log() + &server.stdout();
    assert!(!said.contains(part), "{said}");
}
