//! What tokens are checked with: secrets and public keys, from files and variables; starts without one are refused.

mod support;

use std::fs;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use support::tokens::{ED25519, ISSUER, P256, RSA, Signer, claims, encoded, jwt};
use support::*;

const PATH: &str = "/notifications/stream";
const OTHER_SECRET: &str = "mT4xvQ9-LrY7_uKcWz2hNfBp8SdGj5eA";

/// A table of `[[auth.keys]]`.
fn key(kid: &str, algorithm: &str, source: &str, place: &str) -> String {
    format!("[[auth.keys]]\nkid = \"{kid}\"\nalgorithm = \"{algorithm}\"\n{source} = {place:?}\n")
}

/// The public key of a signer in a file of this setup.
fn public_key(setup: &Setup, kid: &str, algorithm: &str, signer: &Signer) -> String {
    let file = setup.path(kid);
    fs::write(&file, &signer.public).expect("a file");
    key(kid, algorithm, "public_key_file", file.to_str().expect("text"))
}

fn ann() -> Value {
    claims("ann", json!({}))
}

#[track_caller]
fn assert_taken(server: &Server, token: &str) {
    server.stream(PATH, token).connected.assert_connected(Some("ann"), "none", 30_000);
}

#[track_caller]
fn assert_not_taken(server: &Server, token: &str) {
    server.send(&get(PATH).bearer(token)).assert_problem(401);
}

#[test]
fn every_algorithm_by_a_key_of_its_own() {
    let setup = rill().without_dev().env("RILL_AUTH_SECRET", "").env("HS_512", OTHER_SECRET);
    let file = setup.path("hs384");
    fs::write(&file, format!("{OTHER_SECRET}\n")).expect("a file");
    let keys = [
        key("hs384", "HS384", "secret_file", file.to_str().expect("text")),
        key("hs512", "HS512", "secret_env", "HS_512"),
        public_key(&setup, "rs256", "RS256", &RSA),
        public_key(&setup, "ps256", "PS256", &RSA),
        public_key(&setup, "es256", "ES256", &P256),
        public_key(&setup, "eddsa", "EdDSA", &ED25519),
    ];
    let server = setup.config(&keys.concat()).start();
    let secret = Signer::hmac(OTHER_SECRET);
    for (kid, signer, algorithm) in [
        ("hs384", &secret, Algorithm::HS384),
        ("hs512", &secret, Algorithm::HS512),
        ("rs256", &*RSA, Algorithm::RS256),
        ("ps256", &*RSA, Algorithm::PS256),
        ("es256", &*P256, Algorithm::ES256),
        ("eddsa", &*ED25519, Algorithm::EdDSA),
    ] {
        let header = encoded(json!({ "alg": algorithm, "kid": kid, "typ": "JWT" }).to_string());
        let token = signer.sign_parts(algorithm, &header, &encoded(ann().to_string()));
        server.publish("/notifications/send", &token, json!({ "message": kid }));
    }
    assert_not_taken(&server, &jwt("ann"));
}

#[test]
fn the_secret_in_a_file_and_its_algorithm() {
    let setup = rill().without_dev().env("RILL_AUTH_SECRET", "");
    let file = setup.path("secret");
    fs::write(&file, format!("{SECRET}\r\n")).expect("a file");
    let setup = setup.env("RILL_AUTH_SECRET_FILE", file.to_str().expect("text"));
    assert_taken(&setup.clone().start(), &jwt("ann"));
    let server = setup.env("RILL_AUTH_ALGORITHM", "HS512").start();
    let claims = encoded(ann().to_string());
    let token = ISSUER.sign_parts(Algorithm::HS512, &encoded(r#"{"alg":"HS512"}"#), &claims);
    assert_taken(&server, &token);
    assert_not_taken(&server, &jwt("ann"));
}

#[test]
fn each_issuer_has_its_key() {
    let setup = rill().without_dev().env("RILL_AUTH_ISSUER", "https://us.example");
    let here = public_key(&setup, "here", "ES256", &P256) + "issuer = \"https://here.example\"\n";
    let there =
        public_key(&setup, "there", "EdDSA", &ED25519) + "issuer = \"https://there.example\"\n";
    let server = setup.config(&(here + &there)).start();
    let said = |issuer: &str| claims("ann", json!({ "iss": issuer }));
    assert_taken(&server, &P256.token_with_kid("here", &said("https://here.example")));
    assert_taken(&server, &ED25519.token_with_kid("there", &said("https://there.example")));
    assert_taken(&server, &ISSUER.token(&said("https://us.example")));
    for other in ["https://there.example", "https://us.example", "https://here.example/", ""] {
        assert_not_taken(&server, &P256.token_with_kid("here", &said(other)));
    }
    assert_not_taken(&server, &P256.token_with_kid("here", &ann()));
    assert_not_taken(&server, &ISSUER.token(&said("https://here.example")));
    assert_not_taken(&server, &ED25519.token_with_kid("here", &said("https://here.example")));
}

#[test]
fn old_and_new_secrets_count_together_while_they_are_changed() {
    let setup = rill()
        .without_dev()
        .env("RILL_AUTH_SECRET", "")
        .env("OLD", OTHER_SECRET)
        .env("NEW", SECRET);
    let keys = key("old", "HS256", "secret_env", "OLD") + &key("new", "HS256", "secret_env", "NEW");
    let server = setup.config(&keys).start();
    let old = Signer::hmac(OTHER_SECRET);
    assert_taken(&server, &old.token_with_kid("old", &ann()));
    assert_taken(&server, &ISSUER.token_with_kid("new", &ann()));
    assert_not_taken(&server, &old.token_with_kid("new", &ann()));
    assert_not_taken(&server, &ISSUER.token_with_kid("old", &ann()));
}

/// Exit code 1, and a reason that has nothing of the secret.
#[track_caller]
fn assert_refused(setup: &Setup, reasons: &[&str], secret: &str) {
    let output = setup.output();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for reason in reasons {
        assert!(said.contains(reason), "no {reason:?} in {said}");
    }
    assert!(secret.is_empty() || !said.contains(secret), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[test]
fn no_start_without_a_key() {
    let setup = rill().without_dev().env("RILL_AUTH_SECRET", "");
    assert_refused(&setup, &["--dev", "auth.secret_file", "openssl rand"], "");
}

#[test]
fn no_start_with_a_secret_that_is_none() {
    let long = "C7kQy0eVb3uZ9pRmXw2tHsL5nAfJ8dG";
    assert_eq!(long.len(), 31);
    for (secret, reason) in [
        (long, "at least 32 bytes"),
        ("your-256-bit-secret-your-256-bit-secret", "sample"),
        ("a-string-secret-at-least-256-bits-long", "sample"),
        ("changeme-changeme-changeme-changeme", "sample"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "pattern"),
        (RSA.public.as_str(), "PEM"),
        (RSA.private_pem.as_str(), "PEM"),
    ] {
        let setup = rill().without_dev();
        assert_refused(
            &setup.clone().env("RILL_AUTH_SECRET", secret),
            &["auth.secret", reason],
            secret,
        );
        let file = setup.path("secret");
        fs::write(&file, secret).expect("a file");
        let file = file.to_str().expect("text");
        let by_file = setup.env("RILL_AUTH_SECRET", "").env("RILL_AUTH_SECRET_FILE", file);
        assert_refused(&by_file, &[file, reason], secret);
    }
    // Not under --dev either.
    assert_refused(&rill().env("RILL_AUTH_SECRET", long), &["at least 32 bytes"], long);
}

#[test]
fn no_start_with_a_key_of_another_kind() {
    let with = |kid: &str, algorithm: &str, text: &str| {
        let setup = rill().without_dev();
        let file = setup.path(kid);
        fs::write(&file, text).expect("a file");
        setup.config(&key(kid, algorithm, "public_key_file", file.to_str().expect("text")))
    };
    assert_refused(&with("k", "RS256", &RSA.private_pem), &["private key"], &RSA.private_pem);
    assert_refused(&with("k", "ES256", &P256.private_pem), &["private key"], &P256.private_pem);
    assert_refused(&with("k", "ES256", &RSA.public), &["no public key for ES256"], "");
    assert_refused(&with("k", "EdDSA", &P256.public), &["no public key for EdDSA"], "");
    assert_refused(&with("k", "HS256", &RSA.public), &["HS256", "secret"], "");
    assert_refused(&with("k", "RS256", ""), &["no public key for RS256"], "");
    assert_refused(&with("k", "none", &RSA.public), &["none", "HS256"], "");
    assert_refused(&with("k", "rs256", &RSA.public), &["rs256"], "");
    let absent = rill().without_dev().config(&key("k", "RS256", "public_key_file", "/no/such.pem"));
    assert_refused(&absent, &["/no/such.pem"], "");
    let unset = rill().without_dev().config(&key("k", "HS256", "secret_env", "NO_SUCH_VARIABLE"));
    assert_refused(&unset, &["secret_env", "\"k\""], "NO_SUCH_VARIABLE");
    let twice = key("k", "HS256", "secret_env", "PATH").repeat(2);
    assert_refused(&rill().without_dev().config(&twice), &["\"k\""], "");
}

/// `rill token`, with what it says on standard output.
#[track_caller]
fn minted(setup: &Setup, args: &[&str]) -> String {
    let output = setup.run(&[&["token"], args].concat());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let token = String::from_utf8(output.stdout).expect("text");
    token.strip_suffix('\n').expect("a line").to_owned()
}

#[test]
fn what_rill_token_mints_opens_a_stream() {
    let setup = rill().without_dev().env("SECOND", OTHER_SECRET);
    let setup =
        setup.env("RILL_AUTH_ISSUER", "https://us.example").env("RILL_AUTH_AUDIENCE", "rill");
    let setup = setup.config(&key("second", "HS512", "secret_env", "SECOND"));
    let file = setup.path("rill.toml");
    let config = ["--config", file.to_str().expect("text")];
    let server = setup.start();
    let mint = |args: &[&str]| minted(server.setup(), &[args, &config].concat());
    assert_taken(&server, &mint(&["ann"]));
    assert_taken(&server, &mint(&["ann", "--kid", "second"]));
    let args =
        ["ann", "--name", "Ann", "--role", "publisher", "--room", "team-*", "--expires", "5m"];
    let token = mint(&args);
    server.publish("/notifications/send", &token, json!({ "message": "M", "broadcast": true }));
    server.stream("/chat/stream?room=team-1", &token);
    server.send(&get("/chat/stream?room=other").bearer(&token)).assert_problem(403);
    assert_not_taken(&server, &mint(&["ann", "--expires", "0s"]));
    let output = server.setup().run(&["token", "ann", "--kid", "third"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
