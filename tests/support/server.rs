//! The real binary as a child process, on port 0 and in a directory of its own.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::{DEMO, PATIENCE, Peer, Request, Response, Setup, Stream, get, post, rill};

/// Kills a child that is not gone by then.
pub(super) fn exit(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            return Some(status);
        }
        if Instant::now() > deadline {
            child.kill().expect("the child can be killed");
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running server. It dies with the test.
pub(crate) struct Server {
    child: Child,
    setup: Setup,
    tcp: Vec<SocketAddr>,
    unix: Vec<PathBuf>,
}

impl Server {
    #[track_caller]
    pub(crate) fn start() -> Self {
        rill().start()
    }

    /// The one that this child is, once it listens.
    #[track_caller]
    pub(super) fn listening(child: Child, setup: Setup) -> Self {
        let mut server = Self { child, setup, tcp: Vec::new(), unix: Vec::new() };
        server.wait_until_it_listens();
        server
    }

    #[track_caller]
    fn wait_until_it_listens(&mut self) {
        let listeners = (self.setup.listen.len() + self.setup.inherited.len()).max(1);
        let deadline = Instant::now() + PATIENCE;
        while self.tcp.len() + self.unix.len() < listeners {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            assert!(
                Instant::now() < deadline,
                "{listeners} listeners, but it says:\n{}",
                self.stdout()
            );
            std::thread::sleep(Duration::from_millis(5));
            self.read_addresses();
        }
    }

    fn read_addresses(&mut self) {
        let stdout = self.stdout();
        let whole = stdout.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let addresses = whole.lines().filter_map(|line| line.split_once("listening on "));
        let addresses =
            addresses.map(|(_, rest)| rest.split_whitespace().next().unwrap_or_default());
        self.tcp.clear();
        self.unix.clear();
        for address in addresses {
            match address.strip_prefix("unix:") {
                Some(path) => self.unix.push(path.into()),
                None => self.tcp.push(parse_address(address)),
            }
        }
    }

    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.setup.path("stdout")).unwrap_or_default()
    }

    /// What it wrote to stderr, restarts included.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.setup.path("stderr")).unwrap_or_default()
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first TCP address.
    #[track_caller]
    pub(crate) fn address(&self) -> SocketAddr {
        *self.tcp.first().expect("a TCP listener")
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.tcp
    }

    #[track_caller]
    pub(crate) fn unix_path(&self) -> &Path {
        self.unix.first().expect("a unix listener")
    }

    #[track_caller]
    pub(crate) fn connect(&self) -> Peer {
        Peer::tcp(self.address())
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub(crate) fn send(&self, request: &Request) -> Response {
        self.connect().exchange(request)
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, token: &str, body: impl ToString) -> Response {
        self.send(&post(path, body.to_string()).bearer(token))
    }

    /// A publish that succeeds; the id of its event.
    #[track_caller]
    pub(crate) fn publish(&self, path: &str, token: &str, body: impl ToString) -> String {
        self.post(path, token, body).published().0
    }

    /// A notification to `user`; the id of its event.
    #[track_caller]
    pub(crate) fn notify(&self, user: &str, message: &str) -> String {
        let body = serde_json::json!({ "userId": user, "message": message });
        self.publish("/notifications/send", DEMO, body)
    }

    /// A stream that is admitted.
    #[track_caller]
    pub(crate) fn stream(&self, target: &str, token: &str) -> Stream {
        self.open(&get(target).bearer(token))
    }

    /// The user's notifications after `cursor`.
    #[track_caller]
    pub(crate) fn resume(&self, token: &str, cursor: impl AsRef<[u8]>) -> Stream {
        self.open(&get("/notifications/stream").bearer(token).cursor(cursor))
    }

    #[track_caller]
    pub(crate) fn open(&self, request: &Request) -> Stream {
        Stream::open(self.connect(), request)
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        self.send(&get("/system/status")).assert_status(200).json()
    }

    /// How many streams the server says it holds.
    #[track_caller]
    pub(crate) fn connections(&self) -> u64 {
        self.status()["connections"].as_u64().expect("a number of connections")
    }

    #[track_caller]
    pub(crate) fn wait_for_connections(&self, count: u64, within: Duration) {
        let mut last = 0;
        super::eventually(within, &format!("{count} connections"), || {
            last = self.connections();
            last == count
        });
    }

    /// A field of `/proc/PID/status`, in bytes.
    pub(crate) fn memory(&self, field: &str) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a live process");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .expect("the field");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
        kib * 1024
    }

    /// `TERM`, `INT`, ...
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("a shell");
        assert!(status.success(), "{kill}");
    }

    /// Waits for it to end by itself.
    #[track_caller]
    pub(crate) fn exit(&mut self, within: Duration) -> ExitStatus {
        exit(&mut self.child, within)
            .unwrap_or_else(|| panic!("the server is still there after {within:?}"))
    }

    /// `kill -9`; the setup starts again on the same data.
    pub(crate) fn crash(mut self) -> Setup {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("the server can be waited for");
        self.setup.clone()
    }

    /// SIGTERM, and it ends well; the setup starts again on the same data.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Setup {
        self.signal("TERM");
        let status = self.exit(Duration::from_secs(40));
        assert_eq!(status.code(), Some(0), "{status}");
        self.setup.clone()
    }
}

#[track_caller]
fn parse_address(url: &str) -> SocketAddr {
    let address = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url:?} is no address"));
    address.trim_end_matches('/').parse().unwrap_or_else(|error| panic!("{address:?}: {error}"))
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log:\n{}---", self.log());
        }
    }
}
