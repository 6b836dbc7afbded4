//! What a server is started with.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::server::exit;
use super::{PATIENCE, SECRET, Server};

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
    pub(super) listen: Vec<String>,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    descriptors: Option<u32>,
    pub(super) inherited: Vec<Arc<OwnedFd>>,
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
        Server::listening(child, self)
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
