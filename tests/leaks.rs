//! Canaries: credentials go in wherever one can stand, and come out nowhere.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use support::tokens::{ISSUER, Signer, in_seconds, jwt_with};
use support::*;
use tempfile::TempDir;

const PATH: &str = "/notifications/stream";
const SEND: &str = "/notifications/send";

/// What must show up nowhere, with a word on where it went in.
#[derive(Default)]
struct Canaries(Vec<(String, String)>);

impl Canaries {
    /// One that is easy to tell from anything else, and too short for a token.
    fn short(&mut self, place: &str) -> String {
        let canary = format!("canary{:03}Zq7xWv", self.0.len());
        self.0.push((place.into(), canary.clone()));
        canary
    }

    /// Each part of a token that is nobody else's: the header says only what it is signed with.
    fn token(&mut self, place: &str, token: String) -> String {
        let parts =
            if token.contains('.') { token.split('.').skip(1).collect() } else { vec![&token[..]] };
        // The last characters may stand alone where the rest is cut off.
        let parts = parts.into_iter().filter(|part| part.len() >= 16);
        self.0.extend(parts.map(|part| (place.into(), part[part.len() / 2..].into())));
        token
    }

    #[track_caller]
    fn assert_none_in(&self, what: &str, said: &str) {
        for (place, canary) in &self.0 {
            let line = said.lines().find(|line| line.contains(canary));
            assert_eq!(line, None, "what stood in {place} is in {what}");
        }
    }
}

/// A server whose every word is listened to.
struct Watched {
    server: Server,
    canaries: Canaries,
}

impl Watched {
    fn start(setup: Setup, format: &str) -> Self {
        let server = setup.flags(&["--log-level", "trace", "--log-format", format]).start();
        let mut canaries = Canaries::default();
        canaries.token("RILL_AUTH_SECRET", SECRET.into());
        Self { server, canaries }
    }

    /// The answer to a request, which has none of them; of a stream, its first block as well.
    #[track_caller]
    fn answer(&self, bytes: impl AsRef<[u8]>) -> (u16, String) {
        let mut peer = self.server.connect();
        peer.send(bytes);
        let head = peer.head();
        let body = match head.status {
            200 if head.is_stream() => format!("{:?}", peer.piece()),
            204 => String::new(),
            _ => String::from_utf8_lossy(&peer.body(&head)).into_owned(),
        };
        self.canaries.assert_none_in("the answer", &format!("{head:?} {body}"));
        (head.status, body)
    }

    /// A token at each place where a client may put it, rightly or not.
    fn present(&mut self, kind: &str, token: &str) {
        let encoded = token.replace('+', "%2B").replace('=', "%3D");
        for target in [
            format!("{PATH}?token={encoded}"),
            format!("{PATH}?token={encoded}&token={encoded}"),
            format!("{PATH}?%74oken={encoded}"),
            format!("{PATH}?Token={encoded}"),
            format!("{PATH}?access_token={encoded}"),
            format!("{PATH}?{encoded}"),
            format!("{PATH}?ticket={encoded}"),
            format!("{PATH}?room=a&token={encoded}x"),
            format!("{PATH}?token=%zz{encoded}"),
            format!("/{encoded}"),
            format!("{PATH};token={encoded}"),
            format!("{PATH}/{encoded}%2F"),
            format!("http://ann:{encoded}@rill{PATH}?token={encoded}x"),
        ] {
            self.answer(get(&target).bytes());
            self.answer(post(&target, "{}").bytes());
        }
        // Where a name belongs, a short word is taken for one, and shown.
        if token.len() > 64 {
            for name in ["room", "userId", "client", "lastEventId"] {
                self.answer(get(&format!("{PATH}?{name}={encoded}")).bearer("bad").bytes());
            }
        }
        let basic = STANDARD.encode(format!("ann:{token}"));
        self.canaries.token(&format!("Basic with a {kind}"), basic.clone());
        for (name, value) in [
            ("Authorization", format!("Bearer {token}")),
            ("Authorization", format!("Bearer {token}x")),
            ("Authorization", format!("Bearer\t\"{token}\"")),
            ("Authorization", format!("Token {token}")),
            ("Authorization", format!("Basic {basic}")),
            ("Authorization", token.to_owned()),
            ("X-Auth-Token", token.to_owned()),
            ("X-Auth-Token", format!("Bearer {token}")),
            ("Cookie", format!("rill_session={token}")),
            ("Cookie", format!("rill_session={token}x; rill_session={token}")),
            ("Cookie", format!("session={token}")),
            ("Origin", format!("https://{token}")),
            ("Referer", format!("https://app.example/?token={token}")),
            ("User-Agent", token.to_owned()),
            ("Accept", token.to_owned()),
            ("Expect", token.to_owned()),
            ("Transfer-Encoding", token.to_owned()),
        ] {
            self.answer(get(PATH).field(name, &value).bytes());
            self.answer(get(PATH).field(name, &value).field("X", "x".repeat(17_000)).bytes());
            self.answer(get(PATH).field(name, &value).field("Host", "second").bytes());
            self.answer(post(SEND, "{").field(name, &value).bytes());
        }
        self.answer(format!("GET {PATH} HTTP/1.1\r\nHost: rill\r\nAuthorization {token}\r\n\r\n"));
        self.answer(format!("{token} {PATH} HTTP/1.1\r\nHost: rill\r\n\r\n"));
        self.answer(format!("GET {PATH} {token}\r\nHost: rill\r\n\r\n"));
        self.answer(
            request("OPTIONS", PATH).field("Access-Control-Request-Headers", token).bytes(),
        );
    }

    /// Bodies that are refused, with a token in them.
    fn present_in_bodies(&self, bearer: &str, token: &str) {
        for body in [
            json!({ "token": token }).to_string(),
            format!(r#"{{"token":"{token}""#),
            format!("token={token}"),
            format!(r#"{{"message":{{"{token}":1}}}}"#),
            format!(r#"{{"message":"M","type":"{token}"}}"#),
            format!(r#"{{"{token}":1,"{token}":2}}"#),
            format!(r#"{{"message":"M","userIds":["{token}",true]}}"#),
            format!(r#""{token}""#),
        ] {
            for path in [
                SEND,
                "/realtime/update",
                "/chat/send",
                "/api/events",
                "/auth/revoke",
                "/auth/renew",
            ] {
                self.answer(post(path, &*body).bearer(bearer).bytes());
            }
            self.answer(post(SEND, &*body).bytes());
        }
    }

    /// A ticket is told to whoever asks for it, and to nobody after that.
    fn use_a_ticket(&mut self, token: &str) {
        let answer =
            self.server.send(&post("/tickets", json!({ "path": PATH }).to_string()).bearer(token));
        let ticket =
            answer.assert_status(200).json()["ticket"].as_str().expect("a ticket").to_owned();
        let ticket = self.canaries.token("a ticket", ticket);
        let target = format!("{PATH}?ticket={ticket}");
        assert_eq!(self.answer(get(&target).bytes()).0, 200);
        assert_eq!(self.answer(get(&target).bytes()).0, 401);
        self.answer(get(&format!("/chat/stream?ticket={ticket}")).bytes());
        self.answer(post(&format!("{SEND}?ticket={ticket}"), "{}").bytes());
        self.answer(get(&format!("{target}&token={token}")).bytes());
    }

    /// An event whose request names a key; only the event is anybody's business.
    fn use_a_key(&mut self, token: &str) {
        let key = self.canaries.short("Idempotency-Key");
        let publish = |body| post(SEND, body).bearer(token).field("Idempotency-Key", &key).bytes();
        let statuses = [r#"{"message":"M"}"#, r#"{"message":"M"}"#, r#"{"message":"N"}"#]
            .map(|body| self.answer(publish(body)).0);
        assert_eq!(statuses, [200, 200, 409]);
    }

    /// A live stream gets another token, and its user loses all of them.
    fn renew_and_revoke(&mut self) {
        let [first, second] = [60, 120].map(|seconds| {
            let claims = json!({ "sub": "eve", "exp": in_seconds(seconds), "iat": 1 });
            self.canaries.token("a token of a live stream", ISSUER.token(&claims))
        });
        let mut stream = self.server.stream(PATH, &first);
        let renewal = json!({ "connectionId": stream.connected.json()["connectionId"] });
        let renewed = self.answer(post("/auth/renew", renewal.to_string()).bearer(&second).bytes());
        assert_eq!(renewed.0, 200, "{renewed:?}");
        let admin = self
            .canaries
            .token("an admin's token", jwt_with("root", json!({ "roles": ["admin"] })));
        let revoked = self.answer(post("/auth/revoke", r#"{"sub":"eve"}"#).bearer(&admin).bytes());
        assert_eq!(revoked.0, 200, "{revoked:?}");
        stream.next_named("disconnected").assert_disconnected("revoked");
        self.answer(get(PATH).bearer(&second).bytes());
        self.canaries.assert_none_in("the stream", &stream.wire());
    }

    /// Its lines, its process, and, once it has ended, its files.
    fn assert_silent(self) {
        let Self { server, canaries } = self;
        for path in ["/metrics", "/system/status", "/readyz"] {
            canaries.assert_none_in(path, &server.send(&get(path)).text());
        }
        let process = format!("/proc/{}/cmdline", server.pid());
        canaries
            .assert_none_in("its command line", &fs::read_to_string(process).expect("a process"));
        let out = server.stdout();
        let setup = server.stop();
        canaries.assert_none_in("its output", &out);
        let log = fs::read_to_string(setup.path("stderr")).expect("a log");
        // At this level it does speak of what it refuses.
        assert!(log.contains("TRACE") && log.contains("credential refused"), "{log}");
        canaries.assert_none_in("its log", &log);
        let files = files(setup.data());
        assert!(!files.is_empty());
        for (name, bytes) in files {
            canaries.assert_none_in(&name, &String::from_utf8_lossy(&bytes));
        }
    }
}

fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries =
        fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let read = |path: &Path| (path.display().to_string(), fs::read(path).expect("a file"));
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![read(&path)] }).collect()
}

/// Tokens that count, and such as look like it.
fn tokens() -> Vec<(&'static str, String)> {
    let claims = |sub: &str, exp: u64| json!({ "sub": sub, "exp": exp, "name": "Canary" });
    let later = in_seconds(3600);
    let valid = ISSUER.token(&claims("ann", later));
    vec![
        ("cut token", ISSUER.token(&claims("dan", later))[..60].to_owned()),
        ("expired token", ISSUER.token(&claims("bob", 1_000_000))),
        ("token of another key", Signer::hmac(&"another".repeat(8)).token(&claims("cid", later))),
        (
            "token without alg",
            format!("eyJhbGciOiJub25lIn0.{}.", valid.split('.').nth(1).expect("claims")),
        ),
        ("valid token", valid),
        ("word", "correctHorseBatteryStaple0123456789".into()),
    ]
}

fn nothing_leaks(format: &str) {
    let mut watched = Watched::start(rill().without_dev(), format);
    let ann = watched
        .canaries
        .token("the caller's token", jwt_with("ann", json!({ "roles": ["admin"] })));
    for (kind, token) in tokens() {
        let token = watched.canaries.token(kind, token);
        watched.present(kind, &token);
        watched.present_in_bodies(&ann, &token);
    }
    watched.use_a_ticket(&ann);
    watched.use_a_key(&ann);
    watched.renew_and_revoke();
    watched.assert_silent();
}

#[test]
fn nothing_leaks_into_lines_of_text() {
    nothing_leaks("text");
}

#[test]
fn nothing_leaks_into_lines_of_json() {
    nothing_leaks("json");
}

#[test]
fn no_demo_token_leaks() {
    let mut watched = Watched::start(rill(), "text");
    let ann = watched.canaries.token("the caller's token", token("canary-caller", "admin"));
    for (kind, token) in
        [("demo token", user("canary-ann")), ("cut demo token", user("canary-bob")[..30].into())]
    {
        let token = watched.canaries.token(kind, token);
        watched.present(kind, &token);
        watched.present_in_bodies(&ann, &token);
    }
    watched.use_a_ticket(&ann);
    watched.use_a_key(&ann);
    watched.assert_silent();
}

/// What `rill` says to an operator with this file and these variables.
fn check_config(toml: &str, variables: &[(&str, &str)]) -> Output {
    let directory = TempDir::with_prefix("rill-").expect("a directory");
    let file = directory.path().join("rill.toml");
    fs::write(&file, toml).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rill"));
    command.arg("check-config").arg("--config").arg(&file).env_clear();
    command.envs(variables.iter().copied()).output().expect("the binary runs")
}

#[test]
fn settings_are_shown_without_their_secrets() {
    let mut canaries = Canaries::default();
    let secret = canaries.short("a secret") + &"s3cr3t".repeat(8);
    for (toml, variables) in [
        (format!("[auth]\nsecret = \"{secret}\""), vec![]),
        (String::new(), vec![("RILL_AUTH_SECRET", &secret[..])]),
        (
            "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret_env = \"KEY\"".to_owned(),
            vec![("KEY", &secret[..])],
        ),
    ] {
        let output = check_config(&toml, &variables);
        assert!(output.status.success(), "{output:?}");
        canaries.assert_none_in("check-config", &format!("{output:?}"));
    }
}

#[test]
fn refused_settings_are_named_and_secrets_in_them_not_shown() {
    let mut canaries = Canaries::default();
    let secret = canaries.short("a secret");
    for toml in [
        format!("[auth]\nsecret = \"{secret}"),
        format!("[auth]\nsecret = {secret}"),
        format!("[auth]\nsecret = [\"{secret}\", 1]"),
        format!("[auth]\nsecret = \"{secret}\"\nsecret = \"{secret}\""),
        format!("[auth]\nsecret = '''{secret}\n'''x"),
        format!("[auth]\nsecrett = \"{secret}\""),
        format!("secret = \"{secret}\""),
        format!("[auth]\nsecret.value = \"{secret}\""),
        format!("[[auth.keys]]\nalgorithm = \"HS256\"\nsecret = \"{secret}\""),
        format!("[auth]\nsecret = \"{secret}\"\nsecret_file = \"f\""),
        format!("[auth]\njwks_url = \"https://user:{secret}@issuer.example/\""),
        format!("[auth]\njwks_url = \"http://issuer.example/?key={secret}\""),
        format!("[webhooks]\nsecret = [\"{secret}\"]"),
        format!("[webhooks]\nsecret = \"{secret}\"\nsecret_file = \"f\""),
        format!("[webhooks]\nurl = \"https://user:{secret}@app.example/\""),
    ] {
        let output = check_config(&toml, &[]);
        assert!(!output.status.success(), "{toml}: {output:?}");
        canaries.assert_none_in("the refusal", &String::from_utf8_lossy(&output.stderr));
    }
    for (name, value) in [
        ("RILL_AUTH_SECRET_", secret.clone()),
        ("RILL_SECRET", secret.clone()),
        ("RILL_AUTH_JWKS_URL", format!("https://user:{secret}@issuer.example/")),
    ] {
        let output = check_config("", &[(name, &value)]);
        assert!(!output.status.success(), "{name}: {output:?}");
        canaries.assert_none_in("the refusal", &String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_weak_secret_is_refused_and_not_shown() {
    let mut canaries = Canaries::default();
    let secret = canaries.short("a short secret");
    let filed = rill();
    let file = filed.path("secret");
    fs::write(&file, &secret).expect("a file");
    let filed = filed.env("RILL_AUTH_SECRET_FILE", &file.display().to_string());
    for setup in [rill().without_dev().env("RILL_AUTH_SECRET", &secret), filed] {
        let output = setup.output();
        assert!(!output.status.success(), "{output:?}");
        canaries.assert_none_in("the refusal", &format!("{output:?}"));
    }
}
