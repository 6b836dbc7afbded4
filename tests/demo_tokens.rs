//! Demo tokens: where they are read, and how what is none is refused.

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
