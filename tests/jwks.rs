//! Keys that others publish: taken anew when their file or their address has others, and kept when it has none.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::tokens::{ED25519, ISSUER, P256, RSA, Signer, claims, jwt, with_tokens};
use support::*;

const PATH: &str = "/notifications/stream";

/// The shortest time between two looks at an address is 10 s.
const ONE_REFRESH: Duration = Duration::from_secs(25);

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn ann() -> Value {
    claims("ann", json!({}))
}

fn is_taken(server: &Server, token: &str) -> bool {
    match server.send(&get(PATH).bearer(token)).status() {
        200 => true,
        401 => false,
        status => panic!("{status}"),
    }
}

#[track_caller]
fn assert_only(server: &Server, taken: &Signer, not: &Signer) {
    assert!(is_taken(server, &taken.token_with_kid("k", &ann())));
    assert!(!is_taken(server, &not.token_with_kid("k", &ann())));
}

/// A server with a set in a file, and the file.
fn with_file(text: &str) -> (Setup, std::path::PathBuf) {
    let setup = with_tokens();
    let file = setup.path("jwks.json");
    fs::write(&file, text).expect("a file");
    (setup.env("RILL_AUTH_JWKS_FILE", file.to_str().expect("text")), file)
}

#[test]
fn keys_of_a_file_count_when_they_are_written() {
    let (setup, file) = with_file(&set(&[P256.jwk("k")]));
    let server = setup.start();
    assert_only(&server, &P256, &ED25519);
    assert!(is_taken(&server, &jwt("ann")), "the server's own secret counts beside");
    let mut stream = server.stream(PATH, &P256.token_with_kid("k", &ann()));
    fs::write(&file, set(&[P256.jwk("k"), ED25519.jwk("new")])).expect("a file");
    let new = ED25519.token_with_kid("new", &ann());
    eventually(FIVE_SECONDS, "the new key", || is_taken(&server, &new));
    assert!(is_taken(&server, &P256.token_with_kid("k", &ann())));

    fs::write(&file, set(&[ED25519.jwk("new")])).expect("a file");
    let old = P256.token_with_kid("k", &ann());
    eventually(FIVE_SECONDS, "the old key is gone", || !is_taken(&server, &old));
    // The stream stands on what it was opened with.
    let id = server.publish("/notifications/send", &new, json!({ "message": "M" }));
    stream.assert_next(&id);
}

#[test]
fn a_file_that_is_spoilt_leaves_the_keys() {
    let (setup, file) = with_file(&set(&[P256.jwk("k")]));
    let server = setup.start();
    for spoilt in ["", "{", r#"{"keys":[]}"#, "[]"] {
        fs::write(&file, spoilt).expect("a file");
        let said = server.log().matches("keeping the old keys").count();
        eventually(FIVE_SECONDS, "it is looked at", || {
            server.log().matches("keeping the old keys").count() > said
        });
        assert_only(&server, &P256, &ED25519);
    }
    fs::write(&file, set(&[ED25519.jwk("k")])).expect("a file");
    let new = ED25519.token_with_kid("k", &ann());
    eventually(FIVE_SECONDS, "the new key", || is_taken(&server, &new));
    assert_only(&server, &ED25519, &P256);
}

/// A secret that is published is none, and neither is a public key.
#[test]
fn secrets_in_a_set_sign_nothing() {
    let (setup, _) = with_file(&set(&[P256.jwk("k"), Signer::hmac(&SECRET.repeat(2)).jwk("oct")]));
    let server = setup.start();
    let forged = Signer::hmac(&SECRET.repeat(2)).token_with_kid("oct", &ann());
    assert!(!is_taken(&server, &forged));
    let by_public = Signer::hmac(&P256.public).token_with_kid("k", &ann());
    assert!(!is_taken(&server, &by_public));
    assert!(is_taken(&server, &P256.token_with_kid("k", &ann())));
}

#[test]
fn a_set_alone_is_enough_to_start() {
    let (setup, _) = with_file(&set(&[RSA.jwk("k")]));
    let server = setup.env("RILL_AUTH_SECRET", "").start();
    assert_only(&server, &RSA, &P256);
    assert!(!is_taken(&server, &ISSUER.token(&ann())));
}

#[track_caller]
fn assert_not_started(setup: &Setup, reasons: &[&str]) {
    let output = setup.output();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(reasons.iter().all(|reason| said.contains(reason)), "{said}");
}

#[test]
fn no_start_without_the_file() {
    for text in ["", "{}", r#"{"keys":[]}"#] {
        let (setup, file) = with_file(text);
        assert_not_started(&setup, &[file.to_str().expect("text")]);
    }
    let absent = with_tokens().env("RILL_AUTH_JWKS_FILE", "/no/such.json");
    assert_not_started(&absent, &["/no/such.json"]);
}

#[test]
fn no_start_with_an_address_that_others_can_change_on_the_way() {
    for url in [
        "http://192.0.2.1/jwks.json",
        "http://id.example/jwks.json",
        "http://127.0.0.1.example/",
        "http://localhost@id.example/",
        "ftp://127.0.0.1/",
        "jwks.json",
    ] {
        let setup = with_tokens().env("RILL_AUTH_JWKS_URL", url);
        assert_not_started(&setup, &["RILL_AUTH_JWKS_URL"]);
    }
}

/// Somebody who publishes keys, and counts who asks for them.
struct Publisher {
    address: SocketAddr,
    fetches: Arc<AtomicUsize>,
    answer: Arc<Mutex<String>>,
}

impl Publisher {
    fn of(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (fetches, answer) = (Arc::<AtomicUsize>::default(), Arc::new(Mutex::new(answer)));
        let (counted, answered) = (Arc::clone(&fetches), Arc::clone(&answer));
        thread::spawn(move || {
            for mut peer in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut request = [0; 4096];
                // One that is gone is not answered.
                let _ = peer.read(&mut request);
                let _ = peer.write_all(answered.lock().expect("an answer").as_bytes());
            }
        });
        Self { address, fetches, answer }
    }

    fn answers(&self, answer: String) {
        *self.answer.lock().expect("an answer") = answer;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    fn setup(&self) -> Setup {
        let setup = with_tokens().env("RILL_AUTH_JWKS_REFRESH", "10s");
        setup.env("RILL_AUTH_JWKS_URL", &format!("http://{}/jwks.json", self.address))
    }
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn published(signer: &Signer) -> String {
    answer("200 OK", &set(&[signer.jwk("k")]))
}

#[test]
fn keys_of_an_address_are_refreshed_and_outlast_its_failures() {
    let publisher = Publisher::of(published(&P256));
    let server = publisher.setup().start();
    assert_only(&server, &P256, &ED25519);
    publisher.answers(answer("500 Internal Server Error", &set(&[ED25519.jwk("k")])));
    eventually(ONE_REFRESH, "a refresh", || publisher.fetches() > 1);
    assert_only(&server, &P256, &ED25519);
    publisher.answers(published(&ED25519));
    let new = ED25519.token_with_kid("k", &ann());
    eventually(ONE_REFRESH, "the new key", || is_taken(&server, &new));
    assert_only(&server, &ED25519, &P256);
}

/// A flood of tokens with key ids that nobody has is no flood for the publisher.
#[test]
fn no_request_causes_a_fetch() {
    let publisher = Publisher::of(published(&P256));
    let server = publisher.setup().env("RILL_AUTH_JWKS_REFRESH", "1h").start();
    for number in 0..50 {
        let kid = format!("unknown-{number}");
        assert!(!is_taken(&server, &ED25519.token_with_kid(&kid, &ann())));
        assert!(is_taken(&server, &P256.token_with_kid("k", &ann())));
    }
    assert_eq!(publisher.fetches(), 1);
}

#[test]
fn a_publisher_that_is_down_at_first_is_asked_again() {
    let publisher = Publisher::of(answer("503 Service Unavailable", ""));
    let server = publisher.setup().env("RILL_AUTH_SECRET", "").start();
    let token = P256.token_with_kid("k", &ann());
    assert!(!is_taken(&server, &token));
    publisher.answers(published(&P256));
    eventually(PATIENCE, "the keys", || is_taken(&server, &token));
}
