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

use super::{DEMO, PATIENCE, Peer, Request, Response, SECRET, Stream, get, post};

/// `rill serve --dev`, not started yet.
pub(crate) fn rill() -> Setup {
    let dir = Arc::new(TempDir::with_prefix("rill-").expect("a directory"));
    let data = dir.path().join("data");
    Setup {
        dir,
        data,
        dev: true,
        listen: Vec::new(),
        args: Vec::new(),
        env: Vec::new(),
        descriptors: None,
        inherited: Vec::new(),
    }
}

/// What a server is started with. Everything of one setup lives in one directory, which goes with the last user of it.
#[derive(Clone)]
pub(crate) struct Setup {
    dir: Arc<TempDir>,
    data: PathBuf,
    dev: bool,
    listen: Vec<String>,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    descriptors: Option<u32>,
    inherited: Vec<Arc<OwnedFd>>,
}

impl Setup {
    /// Flags after those that every test needs.
    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.args.extend(flags.iter().map(OsString::from));
        self
    }

    /// The key `a.b` is `RILL_A_B`.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With [`SECRET`] to check tokens with.
    pub(crate) fn without_dev(mut self) -> Self {
        self.dev = false;
        self
    }

    /// With these settings in a file.
    pub(crate) fn config(self, toml: &str) -> Self {
        let file = self.path("rill.toml");
        fs::write(&file, toml).expect("a file");
        self.flags(&["--config", file.to_str().expect("a path that is text")])
    }

    /// Instead of `127.0.0.1:0`; may be given again.
    pub(crate) fn listen(mut self, address: &str) -> Self {
        self.listen.push(address.into());
        self
    }

    pub(crate) fn listen_unix(self) -> Self {
        let path = self.path("rill.sock");
        self.listen(&format!("unix:{}", path.display()))
    }

    pub(crate) fn data_dir(mut self, data: &Path) -> Self {
        self.data = data.into();
        self
    }

    /// The process may hold no more file descriptors than this.
    pub(crate) fn descriptors(mut self, limit: u32) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// Started with this descriptor as a service manager does it, and without an address unless one is given. At most
    /// two.
    pub(crate) fn inherit(mut self, descriptor: impl Into<OwnedFd>) -> Self {
        self.inherited.push(Arc::new(descriptor.into()));
        self
    }

    /// A path in the directory of this setup.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    fn command(&self) -> Command {
        let binary = env!("CARGO_BIN_EXE_rill");
        let mut command = match self.preparations() {
            None => Command::new(binary),
            Some(preparations) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{preparations} exec \"$0\" \"$@\""), binary]);
                shell
            }
        };
        command.arg("serve").args(self.dev.then_some("--dev"));
        match &self.listen[..] {
            [] if !self.inherited.is_empty() => &mut command,
            [] => command.args(["--listen", "127.0.0.1:0"]),
            several => command.args(several.iter().flat_map(|address| ["--listen", address])),
        };
        command.arg("--data-dir").arg(&self.data).args(&self.args);
        self.surround(&mut command);
        command
    }

    /// Where the binary runs, and with which variables.
    fn surround(&self, command: &mut Command) {
        clean(command).envs((!self.dev).then_some(("RILL_AUTH_SECRET", SECRET)));
        command.envs(self.env.clone()).current_dir(self.dir.path());
    }

    /// Runs another command of the binary beside the server.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rill"));
        command.args(args).stdin(Stdio::null());
        self.surround(&mut command);
        command.output().expect("the binary runs")
    }

    /// What a shell does before the server takes its place. Inherited descriptors come to the shell as its standard
    /// ones.
    fn preparations(&self) -> Option<String> {
        let sockets = match self.inherited.len() {
            0 => return self.descriptors.map(|limit| format!("ulimit -n {limit} &&")),
            1 => "3<&0",
            2 => "3<&0 4<&1 >stdout",
            _ => panic!("the kit hands over two descriptors at most"),
        };
        let count = self.inherited.len();
        Some(format!("exec {sockets} </dev/null; LISTEN_FDS={count} LISTEN_PID=$$"))
    }

    /// The standard streams of the child: those that it inherits instead, and else these.
    fn stdio(&self, out: Stdio, error: Stdio) -> Command {
        let inherited = |index: usize| {
            let descriptor = self.inherited.get(index)?;
            Some(Stdio::from(descriptor.try_clone().expect("a second descriptor")))
        };
        let mut command = self.command();
        command.stdin(inherited(0).unwrap_or_else(Stdio::null));
        command.stdout(inherited(1).unwrap_or(out)).stderr(error);
        command
    }

    /// Starts it and waits until it listens.
    #[track_caller]
    pub(crate) fn start(self) -> Server {
        let (out, log) = (self.path("stdout"), self.path("stderr"));
        let append =
            || OpenOptions::new().create(true).append(true).open(&log).expect("a file for the log");
        let out = File::create(&out).expect("a file for stdout");
        let child = self.stdio(out.into(), append().into()).spawn().expect("the binary runs");
        let mut server = Server { child, setup: self, tcp: Vec::new(), unix: Vec::new() };
        server.wait_until_it_listens();
        server
    }

    /// Runs it to its end: for starts that are refused.
    #[track_caller]
    pub(crate) fn output(&self) -> Output {
        let mut child =
            self.stdio(Stdio::piped(), Stdio::piped()).spawn().expect("the binary runs");
        let status = exit(&mut child, PATIENCE);
        let output = child.wait_with_output().expect("its output");
        assert!(status.is_some(), "it did not end: {output:?}");
        output
    }
}

/// Nothing of the environment that the tests were started in reaches the server.
pub(super) fn clean(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("RILL_") || text.starts_with("LISTEN_") || text == "NOTIFY_SOCKET" {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG")
}

/// Kills a child that is not gone by then.
fn exit(child: &mut Child, within: Duration) -> Option<ExitStatus> {
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
