//! A key set on a server.

use std::time::Duration;

use hyper::StatusCode;
use thiserror::Error;
use ureq::Agent;

use super::super::keys::{Key, Set};
use super::{SetError, set};
use crate::http::address::Address;

/// For a whole answer, from the name's look-up to the last byte.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer, in bytes: hundreds of keys.
const MAX_ANSWER: u64 = 1024 * 1024;
/// The pause after a first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after a failure.
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// Why an address gives no keys this time.
#[derive(Debug, Error)]
enum GetError {
    #[error(transparent)]
    Get(#[from] ureq::Error),
    #[error("the answer has the status {0}")]
    Status(StatusCode),
    #[error(transparent)]
    Set(#[from] SetError),
}

/// An address whose keys are in a [`Set`].
pub(super) struct Url {
    address: Address,
    agent: Agent,
    refresh: Duration,
    /// For after the next failure.
    pause: Duration,
}

impl Url {
    /// An address that nobody has asked yet.
    pub(super) fn new(address: Address, refresh: Duration) -> Url {
        let refresh = refresh.max(FIRST_PAUSE);
        Url { agent: address.agent(TIMEOUT), address, refresh, pause: FIRST_PAUSE }
    }

    /// Gets the keys, and says when to get them again. A failure leaves those that are there.
    pub(super) fn look(&mut self, set: &Set) -> Duration {
        let address = &self.address;
        match self.get() {
            Ok(keys) => {
                tracing::debug!(%address, keys = keys.len(), "got a key set");
                set.replace(keys);
                self.pause = FIRST_PAUSE;
                self.refresh
            }
            Err(error) => {
                let pause = self.pause.min(self.refresh);
                tracing::warn!(%address, %error, ?pause, "keeping the old keys: cannot get the key set");
                self.pause = (pause * 2).min(LAST_PAUSE);
                pause
            }
        }
    }

    fn get(&self) -> Result<Vec<Key>, GetError> {
        let mut answer = self.agent.get(self.address.uri()).call()?;
        if answer.status() != StatusCode::OK {
            return Err(GetError::Status(answer.status()));
        }
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec()?;
        Ok(set::parse(&body)?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::Arc;
    use std::sync::mpsc::{self, Receiver};
    use std::thread;

    use super::*;
    use crate::http::auth::keys::Keys;
    use crate::http::auth::tests::kit::{ED25519, P256, Signer, ann, outcome, published};

    const REFRESH: Duration = Duration::from_secs(3600);

    fn answer(status: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    }

    fn ok(body: &str) -> String {
        answer("200 OK", body)
    }

    /// Gives these answers, one a connection, and shows the requests.
    fn serve(answers: Vec<String>) -> (SocketAddr, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            for answer in answers {
                let Ok((mut socket, _)) = listener.accept() else { return };
                let mut request = vec![0; 4096];
                let length = socket.read(&mut request).unwrap_or(0);
                let _ = sender.send(String::from_utf8_lossy(&request[..length]).into_owned());
                // A client that has read enough may be gone.
                let _ = socket.write_all(answer.as_bytes());
            }
        });
        (address, requests)
    }

    fn url(address: SocketAddr) -> Url {
        let address = format!("http://{address}/jwks.json?key=hidden").parse().expect("an address");
        Url::new(address, REFRESH)
    }

    fn takes(set: &Arc<Set>, signer: &Signer) -> bool {
        let keys = Keys::new(Vec::new(), vec![Arc::clone(set)]);
        outcome(&keys, &signer.token_with_id("k", &ann())).is_ok()
    }

    #[test]
    fn a_refresh_brings_the_keys_of_the_day() {
        let first = ok(&published([P256.jwk("k")]));
        let (address, requests) = serve(vec![first, ok(&published([ED25519.jwk("k")]))]);
        let (set, mut url) = (Arc::new(Set::default()), url(address));
        assert_eq!(url.look(&set), REFRESH);
        assert!(takes(&set, &P256) && !takes(&set, &ED25519));
        let request = requests.recv().expect("a request");
        assert!(request.starts_with("GET /jwks.json?key=hidden HTTP/1.1\r\n"), "{request}");
        assert_eq!(url.look(&set), REFRESH);
        assert!(!takes(&set, &P256) && takes(&set, &ED25519));
    }

    #[test]
    fn a_failure_leaves_the_keys_and_is_tried_again_soon() {
        let keys = published([P256.jwk("k")]);
        let attacker = published([ED25519.jwk("k")]);
        let huge = format!("{attacker}{}", " ".repeat(MAX_ANSWER as usize));
        let redirect = format!("302 Found\r\nLocation: http://127.0.0.1:1/{}", "");
        let mut answers = vec![ok(&keys)];
        answers.extend([
            answer("500 Internal Server Error", &attacker),
            answer("404 Not Found", &attacker),
            answer(&redirect, &attacker),
            answer("203 Non-Authoritative Information", &attacker),
            ok("<html>"),
            ok(r#"{"keys":[]}"#),
            ok(&huge),
            String::new(),
        ]);
        answers.push(ok(&attacker));
        let (address, _requests) = serve(answers);
        let (set, mut url) = (Arc::new(Set::default()), url(address));
        assert_eq!(url.look(&set), REFRESH);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(url.look(&set), Duration::from_secs(pause));
            assert!(takes(&set, &P256) && !takes(&set, &ED25519));
        }
        assert_eq!(url.look(&set), REFRESH);
        assert!(takes(&set, &ED25519));
        // Nobody listens there any more.
        assert_eq!(url.look(&set), FIRST_PAUSE);
        assert!(takes(&set, &ED25519));
    }

    #[test]
    fn the_pause_is_no_longer_than_the_refresh() {
        let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = format!("http://{}/", closed.expect("an address"));
        let mut url = Url::new(address.parse().expect("an address"), Duration::from_secs(3));
        let pauses = [1, 2, 3, 3].map(Duration::from_secs);
        assert_eq!(pauses.map(|_| url.look(&Set::default())), pauses);
    }

    #[test]
    fn a_peer_that_does_not_speak_tls_is_a_failure_like_others() {
        let (address, _requests) = serve(vec![ok(&published([P256.jwk("k")]))]);
        let set = Arc::new(Set::default());
        let mut url = Url::new(format!("https://{address}/").parse().expect("an address"), REFRESH);
        assert_eq!(url.look(&set), FIRST_PAUSE);
        assert!(!takes(&set, &P256));
    }
}
