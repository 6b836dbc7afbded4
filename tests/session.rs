//! The session of our own pages: who may begin one, with what, and what the browser is told to do with it.

mod support;

use serde_json::json;
use support::tokens::{ISSUER, admin_jwt, claims, in_seconds, jwt, jwt_with, rfc3339};
use support::*;

/// Of the kit's requests, which are for the host `rill`.
const OWN: &str = "http://rill";

fn with_tokens() -> Server {
    rill().without_dev().start()
}

/// A request as a browser sends it for one of our pages.
fn ours(request: Request) -> Request {
    request.field("Origin", OWN).field("Sec-Fetch-Site", "same-origin")
}

fn sign_in(body: impl ToString) -> Request {
    ours(post("/session", body.to_string()))
}

/// The value of the cookie that an answer sets, and its attributes.
#[track_caller]
fn cookie(response: &Response) -> (String, String) {
    let line = response.assert_status(200).head.value("set-cookie").expect("a cookie");
    let (pair, attributes) = line.split_once("; ").expect("attributes");
    (pair.to_owned(), attributes.to_owned())
}

#[test]
fn a_token_becomes_a_cookie_that_lasts_no_longer() {
    let server = with_tokens();
    let expires = in_seconds(100);
    let further = json!({ "exp": expires, "name": "Ann", "roles": ["user", "publisher"] });
    let token = jwt_with("ann", further);
    let response = server.send(&sign_in(json!({ "token": token })));
    let until = rfc3339(expires);
    let shown = format!(
        r#"{{"success":true,"userId":"ann","username":"Ann","roles":["publisher"],"expiresAt":"{until}","signInByName":false}}"#
    );
    assert_eq!(response.text(), shown);
    response.head.assert_value("cache-control", "no-store");
    let (pair, attributes) = cookie(&response);
    assert_eq!(pair, format!("rill_session={token}"));
    let lasts = attributes.strip_prefix("Path=/; HttpOnly; SameSite=Strict; Max-Age=");
    let lasts: u64 = lasts.expect("these attributes").parse().expect("seconds");
    assert!((90..=101).contains(&lasts), "{lasts}");

    let answer = server.send(&ours(get("/session")).field("Cookie", &pair));
    assert_eq!(answer.text(), shown);
    assert_eq!(answer.head.value("set-cookie"), None);
    let stream = server.open(&get("/notifications/stream").field("Cookie", &pair));
    stream.connected.assert_connected(Some("ann"), "none", 30_000);
}

#[test]
fn nobody_is_nobody() {
    let nobody = |by_name| {
        format!(
            r#"{{"success":true,"userId":null,"username":null,"roles":[],"expiresAt":null,"signInByName":{by_name}}}"#
        )
    };
    assert_eq!(with_tokens().send(&get("/session")).assert_status(200).text(), nobody(false));
    let dev = Server::start();
    assert_eq!(dev.send(&get("/session")).assert_status(200).text(), nobody(true));
    let head = dev.send(&request("HEAD", "/session"));
    head.assert_status(200).head.assert_value("content-length", &nobody(true).len().to_string());
}

#[test]
fn the_session_is_shown_whatever_credential_says_it() {
    let server = with_tokens();
    let shown = server.send(&get("/session").bearer(&admin_jwt())).assert_status(200).json();
    assert_eq!((&shown["userId"], &shown["roles"]), (&json!("root"), &json!(["admin"])));
    server.send(&get("/session").bearer("bad")).assert_problem(401);
}

#[test]
fn under_dev_a_name_is_enough() {
    let server = Server::start();
    let response = server.send(&sign_in(json!({ "name": "ann" })));
    let (pair, attributes) = cookie(&response);
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict");
    let answer = response.json();
    assert_eq!(answer["userId"], "ann");
    assert_eq!((&answer["roles"], &answer["expiresAt"]), (&json!([]), &json!(null)));
    let stream = server.open(&get("/notifications/stream").field("Cookie", pair));
    stream.connected.assert_connected(Some("ann"), "none", 30_000);

    let with_roles = json!({ "name": "Zo\u{eb} 1", "roles": ["user", "admin"] });
    let (pair, _) = cookie(&server.send(&sign_in(with_roles)));
    let shown = server.send(&get("/session").field("Cookie", pair)).json();
    assert_eq!((&shown["username"], &shown["roles"]), (&json!("Zo\u{eb} 1"), &json!(["admin"])));
    // The reference's own token is one too.
    assert_eq!(server.send(&sign_in(json!({ "token": DEMO }))).json()["userId"], "test123");
}

#[test]
fn without_dev_a_name_is_not_enough() {
    let server = with_tokens();
    for body in [json!({ "name": "ann" }), json!({ "name": "ann", "roles": ["admin"] })] {
        let refused = server.send(&sign_in(body));
        assert_eq!(refused.assert_problem(403).head.value("set-cookie"), None);
    }
    let forged = server.send(&sign_in(json!({ "token": user("ann") })));
    assert_eq!(forged.assert_problem(401).head.value("set-cookie"), None);
}

/// Else it would sign its visitor in as somebody else, who reads what he writes from then on.
#[test]
fn no_foreign_page_signs_anybody_in_or_out() {
    let setup = rill().env("RILL_CORS_ORIGINS", "https://app.example");
    let server = setup.env("RILL_CORS_CREDENTIALS", "true").start();
    let body = json!({ "name": "mallory" }).to_string();
    for fields in [
        &[][..],
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Origin", "http://rill.evil.example")],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Origin", OWN), ("Sec-Fetch-Site", "cross-site")],
        &[("Origin", OWN), ("Origin", OWN)],
    ] {
        for request in [post("/session", body.clone()), request("DELETE", "/session")] {
            let request = fields.iter().fold(request, |it, (name, value)| it.field(name, value));
            let refused = server.send(&request);
            assert_eq!(refused.assert_problem(403).head.value("set-cookie"), None, "{fields:?}");
        }
    }
    for origin in [OWN, "https://app.example"] {
        cookie(&server.send(&post("/session", body.clone()).field("Origin", origin)));
    }
    // A form, which needs no script's permission to be sent.
    let form = ours(post("/session", "name=mallory")).without("Content-Type");
    let form = form.field("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(server.send(&form).assert_problem(415).head.value("set-cookie"), None);
}

#[test]
fn what_is_no_sign_in() {
    let server = Server::start();
    let long = "x".repeat(4090);
    for (status, body) in [
        (400, "{".to_owned()),
        (400, r#"{"name":"a","name":"b"}"#.into()),
        (400, r#"{"name":"a\nb"}"#.into()),
        (401, r#"{"token":"bad"}"#.into()),
        (401, r#"{"token":"a b; Path=/x"}"#.into()),
        (422, "{}".into()),
        (422, r#"{"token":""}"#.into()),
        (422, r#"{"token":7}"#.into()),
        (422, r#"{"name":"ann:ann::admin"}"#.into()),
        (422, r#"{"name":"ann","roles":"admin"}"#.into()),
        (422, format!(r#"{{"name":"ann","token":"{DEMO}"}}"#)),
        (413, format!(r#"{{"token":"{}"}}"#, "x".repeat(9000))),
    ] {
        let refused = server.send(&sign_in(&body));
        assert_eq!(refused.assert_problem(status).head.value("set-cookie"), None, "{body}");
    }
    // Bearable for the server, and not for a browser.
    let tokens = with_tokens();
    let token = ISSUER.token(&claims("ann", json!({ "padding": long })));
    tokens.send(&get("/session").bearer(&token)).assert_status(200);
    let refused = tokens.send(&sign_in(json!({ "token": token })));
    assert_eq!(refused.assert_problem(422).detail(), "token: is too long for a cookie");
}

#[test]
fn the_cookie_is_kept_to_https_where_the_page_came_by_it() {
    let server = Server::start();
    let body = r#"{"name":"ann"}"#;
    let (_, attributes) =
        cookie(&server.send(&post("/session", body).field("Origin", "https://rill")));
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict; Secure");
    for name in ["__Host-session", "__Secure-session"] {
        let server = rill().env("RILL_AUTH_COOKIE", name).start();
        let (pair, attributes) = cookie(&server.send(&sign_in(body)));
        assert!(pair.starts_with(&format!("{name}=")), "{pair}");
        assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict; Secure");
    }
}

#[test]
fn signing_out_takes_the_cookie_away() {
    let server = with_tokens();
    let stale = format!("rill_session={}", jwt_with("ann", json!({ "exp": 1 })));
    for value in [format!("rill_session={}", jwt("ann")), stale.clone()] {
        let response = server.send(&ours(request("DELETE", "/session")).field("Cookie", value));
        assert_eq!(response.json()["userId"], json!(null));
        let (pair, attributes) = cookie(&response);
        assert_eq!(pair, "rill_session=");
        assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    }
    // An old cookie keeps nobody from signing in.
    server.send(&ours(get("/session")).field("Cookie", &stale)).assert_problem(401);
    let again = sign_in(json!({ "token": jwt("bob") })).field("Cookie", stale);
    assert_eq!(server.send(&again).assert_status(200).json()["userId"], "bob");
}

#[test]
fn what_is_withdrawn_begins_no_session() {
    let server = with_tokens();
    let token = jwt("ann");
    server.post("/auth/revoke", &admin_jwt(), json!({ "sub": "ann" })).assert_status(200);
    server.send(&sign_in(json!({ "token": token }))).assert_problem(401);
    let ticket = server.post("/tickets", &jwt("bob"), "{}").json()["ticket"].clone();
    server.send(&sign_in(json!({ "token": ticket }))).assert_problem(401);
}

#[test]
fn guessing_is_held_to_the_rate() {
    let setup = rill().without_dev().env("RILL_RATES_FAILED_CREDENTIALS", "2/h");
    let server = setup.start();
    for _ in 0..2 {
        server.send(&sign_in(json!({ "token": "bad" }))).assert_problem(401);
    }
    server.send(&sign_in(json!({ "token": "bad" }))).assert_problem(429);
    let good = server.send(&sign_in(json!({ "token": jwt("ann") })));
    good.assert_problem(429).head.assert_retry_after();
}

#[test]
fn tokens_of_sign_ins_are_written_down_nowhere() {
    for format in ["text", "json"] {
        let flags = ["--log-level", "trace", "--log-format", format];
        let server = rill().without_dev().flags(&flags).start();
        let (good, bad) = (jwt("ann"), jwt_with("bob", json!({ "exp": 1 })));
        let mut said =
            server.send(&sign_in(json!({ "token": good }))).assert_status(200).text().into_owned();
        for token in [&good, &bad] {
            for body in [json!({ "token": token }), json!({ "name": token }), json!({ token: 1 })] {
                said += &server.send(&sign_in(&body)).text();
                said += &server.send(&post("/session", body.to_string())).text();
            }
            let cookie = format!("rill_session={token}");
            said += &server.send(&ours(get("/session")).field("Cookie", &cookie)).text();
            said +=
                &server.send(&ours(request("DELETE", "/session")).field("Cookie", &cookie)).text();
        }
        assert!(said.contains("userId") && server.log().contains("credential refused"));
        for token in [good, bad] {
            for part in token.split('.').skip(1) {
                let part = &part[part.len() / 2..];
                assert!(!said.contains(part), "in an answer: {said}");
                assert!(!server.log().contains(part), "in the log: {}", server.log());
            }
        }
    }
}

#[test]
fn other_methods_are_named() {
    let server = Server::start();
    let refused = server.send(&request("PUT", "/session"));
    refused.assert_problem(405).head.assert_value("allow", "GET, HEAD, POST, DELETE, OPTIONS");
}
