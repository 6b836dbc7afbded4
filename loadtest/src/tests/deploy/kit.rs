//! Rill, nginx in front of it, and curl.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::child::Child;
use crate::endpoint::Endpoint;
use crate::nginx::{Change, Nginx, Profile};
use crate::stop::Stop;
use crate::tests::rill;

/// Nothing here takes longer, however busy the machine is.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// `test123:testuser:test@example.com:user,admin`.
pub(super) const TOKEN: &str = "dGVzdDEyMzp0ZXN0dXNlcjp0ZXN0QGV4YW1wbGUuY29tOnVzZXIsYWRtaW4=";

pub(super) const STREAM: &str = "/notifications/stream?token=";
pub(super) const SEND: &str = "/notifications/send?token=";

/// Answers a publish.
pub(super) const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// A change that is shipped with the profile.
pub(super) fn shipped_change(profile: Profile, name: &str) -> &'static Change {
    profile.changes().iter().find(|change| change.name == name).expect("such a change")
}

pub(super) fn stop() -> Stop {
    Stop::after(PATIENCE)
}

/// A path with the token in its query, where browsers must put it.
pub(super) fn with_token(path: &str) -> String {
    format!("{path}{TOKEN}")
}

/// nginx in front of a unix socket, with Rill behind it or not.
pub(super) struct Front {
    profile: Profile,
    pub(super) nginx: Nginx,
    rill: Option<Child>,
    directory: TempDir,
}

impl Front {
    /// With Rill.
    pub(super) fn start(profile: Profile) -> Front {
        Front::with(profile, None)
    }

    /// With Rill and something changed.
    pub(super) fn with(profile: Profile, change: Option<&Change>) -> Front {
        let mut front = Front::alone(profile, change);
        front.start_rill();
        front
    }

    /// Without anybody behind it.
    pub(super) fn alone(profile: Profile, change: Option<&Change>) -> Front {
        let directory = tempfile::Builder::new().prefix("deploy-").tempdir().unwrap();
        let upstream = Endpoint::Unix(directory.path().join("rill.sock"));
        let nginx = Nginx::start(profile, change, &upstream, &stop()).unwrap();
        Front { profile, nginx, rill: None, directory }
    }

    /// Where nginx looks for Rill.
    pub(super) fn socket(&self) -> PathBuf {
        self.path("rill.sock")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn start_rill(&mut self) {
        let mut command = Command::new(rill());
        command.args(["serve", "--dev", "--heartbeat", "300ms", "--data-dir"]);
        command.arg(self.path("data"));
        command.args(["--listen", &format!("unix:{}", self.socket().display())]);
        let child = Child::start(&mut command).unwrap();
        child.listener(&stop(), |_| true).unwrap();
        self.rill = Some(child);
    }

    /// `kill -9`.
    pub(super) fn stop_rill(&mut self) {
        self.rill = None;
    }

    pub(super) fn address(&self) -> SocketAddr {
        match self.nginx.endpoint() {
            Endpoint::Tcp(address) | Endpoint::Tls(address) => *address,
            Endpoint::Unix(path) => panic!("nginx listens on {}", path.display()),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        match self.profile {
            Profile::Http => format!("https://localhost:{}{path}", self.address().port()),
            Profile::Stream => format!("http://{}{path}", self.address()),
        }
    }

    /// curl, which trusts nginx and nobody else.
    pub(super) fn curl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--no-buffer", "--noproxy", "*", "--cacert"]);
        command.arg(self.nginx.certificate()).args(arguments);
        command
    }

    /// One request; what curl printed.
    #[track_caller]
    pub(super) fn get(&self, path: &str, arguments: &[&str]) -> String {
        let limit = PATIENCE.as_secs().to_string();
        let output = run(self.curl(arguments).args(["--max-time", &limit]).arg(self.url(path)));
        assert!(output.status.success(), "{path}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Publishes `message` to the token's user; when the answer was there.
    #[track_caller]
    pub(super) fn publish(&self, message: &str) -> Instant {
        let body = format!(r#"{{"message":"{message}"}}"#);
        let json = "Content-Type: application/json";
        let answer = self.get(&with_token(SEND), &["-H", json, "--data", &body]);
        let answered = Instant::now();
        assert!(answer.contains(r#""success":true"#), "{answer}");
        answered
    }

    /// Listens to the token's user, and waits until the stream is there.
    #[track_caller]
    pub(super) fn listen(&self) -> Listener {
        self.listen_with(&[])
    }

    #[track_caller]
    pub(super) fn listen_with(&self, arguments: &[&str]) -> Listener {
        let mut curl = self.curl(arguments);
        let mut listener = Listener::start(curl.arg(self.url(&with_token(STREAM))));
        listener.wait_for("event: connected");
        listener
    }

    /// Opens streams all at once, as far as they are to be had, and what each got in five seconds.
    pub(super) fn open_many(&self, path: &str, count: usize) -> Vec<String> {
        let most = count.to_string();
        let mut curl = self.curl(&["--parallel", "--parallel-max", &most, "--max-time", "5"]);
        curl.arg("-o").arg(self.path("stream-#1"));
        run(curl.arg(self.url(&format!("{path}?n=[1-{count}]"))));
        let files = (1..=count).map(|number| self.path(&format!("stream-{number}")));
        files.map(|file| std::fs::read_to_string(file).unwrap_or_default()).collect()
    }
}

/// A file of nginx, as far as it is written.
pub(super) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Runs it to its end.
#[track_caller]
pub(super) fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("curl is installed")
}

/// A curl that stays.
pub(super) struct Listener {
    curl: Process,
    lines: Receiver<(Instant, String)>,
}

impl Listener {
    pub(super) fn start(command: &mut Command) -> Listener {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut curl = command.spawn().expect("curl is installed");
        let stdout = BufReader::new(curl.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // Who listens no more misses nothing.
                let _ = sender.send((Instant::now(), line));
            }
        });
        Listener { curl, lines }
    }

    /// The next line with `text`, and when it came. The lines before it are left out.
    #[track_caller]
    pub(super) fn wait_for(&mut self, text: &str) -> (Instant, String) {
        let end = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            if line.1.contains(text) {
                return line;
            }
            seen.push(line.1);
        }
        panic!("no {text:?} in {seen:#?}");
    }

    /// Waits until the stream has ended.
    #[track_caller]
    pub(super) fn wait_for_the_end(mut self) {
        let end = Instant::now() + PATIENCE;
        while self.lines.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok() {}
        assert!(Instant::now() < end, "the stream has no end");
        self.curl.wait().unwrap();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Fails only when it has ended.
        let _ = self.curl.kill();
        let _ = self.curl.wait();
    }
}

/// What came to a [`Recorder`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    /// How many connections came before its own.
    pub(super) connection: usize,
    pub(super) text: String,
}

/// A server that notes what it is sent, and answers as it is told: with bytes, or by closing.
pub(super) struct Recorder {
    requests: Receiver<Recorded>,
}

impl Recorder {
    /// Gives one answer to each request, whichever connection it comes on. `None` closes the
    /// connection instead; so does every request after the last answer.
    pub(super) fn start(path: &Path, answers: impl Into<Vec<Option<&'static str>>>) -> Recorder {
        let listener = UnixListener::bind(path).unwrap();
        let answers = Arc::new(Mutex::new(answers.into().into_iter()));
        let (sender, requests) = channel();
        thread::spawn(move || {
            for (connection, peer) in listener.incoming().map_while(Result::ok).enumerate() {
                let (answers, sender) = (answers.clone(), sender.clone());
                thread::spawn(move || {
                    let mut peer = peer;
                    while let Some(text) = read_request(&mut peer) {
                        let answer = answers.lock().unwrap().next().flatten();
                        // The test that listens no more has ended.
                        let _ = sender.send(Recorded { connection, text });
                        match answer {
                            Some(answer) => peer.write_all(answer.as_bytes()).unwrap(),
                            None => break,
                        }
                    }
                });
            }
        });
        Recorder { requests }
    }

    #[track_caller]
    pub(super) fn next(&self) -> Recorded {
        self.requests.recv_timeout(PATIENCE).expect("a request")
    }

    /// What has come besides.
    pub(super) fn rest(&self) -> Vec<Recorded> {
        self.requests.try_iter().collect()
    }
}

/// A head and a short body, which come together here.
fn read_request(peer: &mut impl Read) -> Option<String> {
    let mut buffer = [0; 16 * 1024];
    let length = peer.read(&mut buffer).ok().filter(|length| *length > 0)?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}
