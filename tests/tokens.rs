//! JSON Web Tokens: one identity wherever a token stands, and what makes a request that has two.

mod support;

use serde_json::json;
use support::tokens::{admin_jwt, claims, in_seconds, jwt, jwt_with, with_tokens};
use support::*;

const PATH: &str = "/notifications/stream";
const SEND: &str = "/notifications/send";

fn server() -> Server {
    with_tokens().start()
}

fn with_cookie(request: Request, token: &str) -> Request {
    request.field("Cookie", format!("theme=dark; rill_session={token}; lang=en"))
}

/// The request with the token at each place where one may stand.
fn everywhere(request: impl Fn(&str) -> Request, path: &str, token: &str) -> [Request; 5] {
    [
        request(&format!("{path}?token={token}")),
        request(path).bearer(token),
        request(path).field("Authorization", format!("bEaReR   {token}")),
        request(path).field("X-Auth-Token", token),
        // As a page of our own sends it.
        with_cookie(request(path).field("Sec-Fetch-Site", "same-origin"), token),
    ]
}

#[test]
fn one_identity_wherever_the_token_stands() {
    let server = server();
    let token = jwt("ann");
    for request in everywhere(get, PATH, &token) {
        server.open(&request).connected.assert_connected(Some("ann"), "none", 30_000);
    }
    let mut stream = server.stream(PATH, &token);
    for request in everywhere(|target| post(target, r#"{"message":"M"}"#), SEND, &token) {
        let (id, _) = server.send(&request).published();
        assert_eq!(stream.assert_next(&id).text("userId"), "ann");
    }
}

#[test]
fn the_cookie_may_have_another_name() {
    let server = with_tokens().env("RILL_AUTH_COOKIE", "__Host-session").start();
    let cookie = |name: &str| get(PATH).field("Cookie", format!("{name}={}", jwt("ann")));
    server.open(&cookie("__Host-session")).connected.assert_connected(Some("ann"), "none", 30_000);
    for other in ["rill_session", "__host-session", "session", "x__Host-session"] {
        let response = server.send(&cookie(other));
        let challenge = response.assert_problem(401).head.value("www-authenticate");
        assert_eq!(challenge, Some("Bearer"), "{other}");
    }
}

#[test]
fn an_explicit_token_goes_before_the_cookie() {
    let server = server();
    let (ann, bob) = (jwt("ann"), jwt("bob"));
    let [query, bearer, _, field, _] = everywhere(get, PATH, &ann);
    for request in [query, bearer, field] {
        let stream = server.open(&with_cookie(request, &bob));
        stream.connected.assert_connected(Some("ann"), "none", 30_000);
    }
    server.send(&with_cookie(get(PATH), &ann).bearer("none")).assert_problem(401);
}

#[test]
fn two_credentials_are_400_unless_they_are_one() {
    let server = server();
    let (ann, bob) = (&jwt("ann"), &jwt("bob"));
    let twice = format!("rill_session={ann}; rill_session={bob}");
    for request in [
        get(&format!("{PATH}?token={ann}")).bearer(bob),
        get(&format!("{PATH}?token={ann}")).field("X-Auth-Token", bob),
        get(&format!("{PATH}?token={ann}")).bearer("bad"),
        get(&format!("{PATH}?token={ann}&token={bob}")),
        get(&format!("{PATH}?token={ann}&token={ann}")),
        get(&format!("{PATH}?token=&token={ann}")),
        get(PATH).bearer(ann).bearer(bob),
        get(PATH).bearer(ann).field("X-Auth-Token", bob),
        get(PATH).field("X-Auth-Token", ann).field("X-Auth-Token", bob),
        get(PATH).field("Cookie", twice),
        post(&format!("{SEND}?token={ann}"), r#"{"message":"M"}"#).bearer(bob),
    ] {
        server.send(&request).assert_problem(400);
    }
    assert_eq!(server.connections(), 0);
    let the_same = get(&format!("{PATH}?token={ann}")).bearer(ann).field("X-Auth-Token", ann);
    server.open(&the_same).connected.assert_connected(Some("ann"), "none", 30_000);
}

#[test]
fn other_schemes_are_no_credential_and_odd_bearers_are_bad_ones() {
    let server = server();
    let token = jwt("ann");
    let challenge = |value: String| {
        let response = server.send(&get(PATH).field("Authorization", value));
        response.assert_problem(401);
        response.head.value("www-authenticate").expect("a challenge").to_owned()
    };
    for value in ["Basic YW5uOnB3", "Bear x", "Token x", ""] {
        assert_eq!(challenge(value.to_owned()), "Bearer", "{value}");
    }
    assert_eq!(challenge(format!("Bearer{token}")), "Bearer");
    assert_eq!(challenge(token.clone()), "Bearer");
    let odd =
        ["Bearer", "Bearer ", "Bearer \"$\"", "Bearer $ $", "Bearer $, Bearer $", "Bearer token=$"];
    for value in odd {
        let challenge = challenge(value.replace('$', &token));
        assert!(challenge.contains(r#"error="invalid_token""#), "{value}: {challenge}");
    }
}

#[test]
fn query_tokens_can_be_turned_off() {
    let server = with_tokens().env("RILL_AUTH_QUERY_TOKENS", "false").start();
    let [query, others @ ..] = everywhere(get, PATH, &jwt("ann"));
    let response = server.send(&query);
    let challenge = response.assert_problem(401).head.value("www-authenticate");
    assert!(challenge.is_some_and(|text| text.contains("invalid_token")), "{challenge:?}");
    let publish = post(&format!("{SEND}?token={}", jwt("ann")), r#"{"message":"M"}"#);
    server.send(&publish).assert_problem(401);
    for request in others {
        server.open(&request);
    }
}

#[test]
fn the_claims_name_the_user() {
    let server = server();
    let room = "/chat/stream?room=r";
    let mut listener = server.stream(room, &jwt("bob"));
    let mut said_by = |token: &str| {
        server.publish("/chat/send", token, json!({ "roomId": "r", "message": "M" }));
        let message = listener.next_named("message");
        (message.text("userId"), message.text("username"))
    };
    let named = jwt_with("ann", json!({ "name": "Ann Ä.", "email": "ann@example.com" }));
    assert_eq!(said_by(&named), ("ann".into(), "Ann Ä.".into()));
    assert_eq!(said_by(&jwt("ann")), ("ann".into(), "ann".into()));
    let numeric = jwt_with("ann", json!({ "sub": "17", "name": "" }));
    assert_eq!(said_by(&numeric), ("17".into(), "17".into()));
}

#[test]
fn roles_are_a_list_or_a_text() {
    let server = server();
    let to_all = json!({ "message": "M", "broadcast": true });
    for roles in [json!(["user", "publisher"]), json!("user publisher"), json!("publisher,x")] {
        let token = jwt_with("ann", json!({ "roles": roles }));
        server.publish(SEND, &token, &to_all);
    }
    for roles in [json!([]), json!(""), json!("Publisher"), json!(["publishers"])] {
        let token = jwt_with("ann", json!({ "roles": roles }));
        server.post(SEND, &token, &to_all).assert_problem(403);
    }
}

#[test]
fn the_audience_and_the_issuer_are_held_to() {
    let setup = with_tokens().env("RILL_AUTH_AUDIENCE", "rill,events");
    let server = setup.env("RILL_AUTH_ISSUER", "https://id.example").start();
    let token = |aud, iss| jwt_with("ann", json!({ "aud": aud, "iss": iss }));
    let issuer = || json!("https://id.example");
    for audience in [json!("rill"), json!(["another", "events"])] {
        server.stream(PATH, &token(audience, issuer()));
    }
    for (audience, issuer) in [
        (json!("another"), issuer()),
        (json!([]), issuer()),
        (json!("rill"), json!("https://id.example/")),
        (json!("rill"), json!(["https://id.example"])),
        (json!("Rill"), issuer()),
    ] {
        server.send(&get(PATH).bearer(&token(audience, issuer))).assert_problem(401);
    }
    server.send(&get(PATH).bearer(&jwt("ann"))).assert_problem(401);
}

#[test]
fn clocks_may_differ_by_the_leeway_and_no_more() {
    let server = with_tokens().env("RILL_AUTH_LEEWAY", "60s").start();
    let ago = |seconds: u64| in_seconds(0) - 1 - seconds;
    for claim in [
        json!({ "exp": ago(30) }),
        json!({ "nbf": in_seconds(30) }),
        json!({ "iat": in_seconds(30) }),
    ] {
        server.stream(PATH, &jwt_with("ann", claim));
    }
    for claim in [
        json!({ "exp": ago(61) }),
        json!({ "nbf": in_seconds(90) }),
        json!({ "iat": in_seconds(90) }),
    ] {
        server.send(&get(PATH).bearer(&jwt_with("ann", claim))).assert_problem(401);
    }
}

#[test]
fn the_public_status_needs_no_token_and_takes_no_bad_one() {
    let server = server();
    server.open(&get("/system/status/stream")).connected.assert_connected(None, "none", 30_000);
    server.stream("/system/status/stream", &jwt("ann"));
    server.send(&get("/system/status/stream").bearer("bad")).assert_problem(401);
}

#[test]
fn without_dev_nobody_is_believed_by_his_word() {
    let server = server();
    let demo = [DEMO.to_owned(), user("ann"), publisher()];
    for token in &demo {
        for request in everywhere(get, PATH, &token.replace('=', "%3D")) {
            server.send(&request).assert_problem(401);
        }
    }
    for target in [format!("{PATH}?userId=ann"), "/chat/stream?userId=ann&room=r".to_owned()] {
        server.send(&get(&target)).assert_problem(403);
    }
    server.send(&get("/api/notifications/stream")).assert_problem(401);
    assert_eq!(server.connections(), 0);
}

#[test]
fn jwts_count_beside_demo_tokens_under_dev() {
    let server = rill().env("RILL_AUTH_SECRET", SECRET).start();
    server.stream(PATH, &jwt("ann")).connected.assert_connected(Some("ann"), "none", 30_000);
    server.stream(PATH, DEMO).connected.assert_connected(Some("test123"), "none", 30_000);
    let forged = tokens::Signer::hmac("another secret, 0123456789-ABCDEFGHIJ");
    server.send(&get(PATH).bearer(&forged.token(&claims("ann", json!({}))))).assert_problem(401);
}

/// A proxy that has authenticated the user may say so, if it is let.
#[test]
fn a_trusted_user_id_stands_in_for_a_token() {
    let server = with_tokens().env("RILL_AUTH_TRUST_USER_ID", "true").start();
    let mut stream = server.open(&get(&format!("{PATH}?userId=ann")));
    stream.connected.assert_connected(Some("ann"), "none", 30_000);
    let body = json!({ "message": "M", "userId": "ann" });
    let id = server.publish(SEND, &admin_jwt(), body);
    stream.assert_next(&id);
    server.send(&get(&format!("{PATH}?userId=ann")).bearer(&jwt("bob"))).assert_problem(403);
    server.send(&get(&format!("{PATH}?userId=ann")).bearer("bad")).assert_problem(401);
    server.send(&post(&format!("{SEND}?userId=ann"), r#"{"message":"M"}"#)).assert_problem(401);
}
