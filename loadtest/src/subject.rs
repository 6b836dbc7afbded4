//! The server under test: started by us, or running already.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::resource::{Resource, getrlimit};
use tempfile::TempDir;

use crate::child::Child;
use crate::cli::Common;
use crate::endpoint::Endpoint;
use crate::failure::{Failure, While};
use crate::gauge::Gauge;
use crate::stop::Stop;
use crate::target::Target;

/// What a server keeps for itself of its descriptors; more connections than the rest are refused at
/// its start.
const OWN_DESCRIPTORS: usize = 256;

/// After a cut a user's new stream may arrive before the server has seen the end of the old one.
const PER_USER: usize = 8;

/// A server that is there as long as this value is.
pub(crate) struct Subject {
    /// Where streams and publishers go.
    pub(crate) endpoint: Endpoint,
    /// Measures it; None for an attached server whose process is not named.
    pub(crate) gauge: Option<Gauge>,
    _child: Option<Child>,
    /// The data directory, removed at last.
    _directory: Option<TempDir>,
}

impl Subject {
    /// Starts the server, or attaches to the one that the flags name. `streams` is how many it must
    /// bear.
    pub(crate) fn obtain(common: &Common, streams: usize, stop: &Stop) -> Result<Subject, Failure> {
        match common.attached() {
            Some(endpoint) => Ok(Subject {
                endpoint,
                gauge: common.pid.map(Gauge::of),
                _child: None,
                _directory: None,
            }),
            None => {
                let directory = Directory::of(common)?;
                let server = Server::new(common, &directory, streams)?;
                let (child, endpoint) = server.start(stop)?;
                eprintln!("started {} at {endpoint}", server.program.display());
                Ok(Subject {
                    endpoint,
                    gauge: Some(Gauge::of(child.pid())),
                    _child: Some(child),
                    _directory: directory.temporary,
                })
            }
        }
    }

    /// How to speak to it.
    pub(crate) fn target(&self, common: &Common) -> Target {
        common.target(self.endpoint.clone())
    }

    /// Its exact memory, if it can be measured.
    pub(crate) fn rss(&self) -> Result<Option<u64>, Failure> {
        self.gauge.map(|gauge| gauge.rss()).transpose()
    }
}

/// The server's files.
pub(crate) struct Directory {
    temporary: Option<TempDir>,
    data: PathBuf,
    socket: Option<PathBuf>,
}

impl Directory {
    /// What `--data-dir` names, or a temporary one.
    pub(crate) fn of(common: &Common) -> Result<Directory, Failure> {
        // A unix socket's path is short by law (108 bytes), so that it never lies in the data
        // directory.
        let temporary = tempfile::Builder::new()
            .prefix("loadtest-")
            .tempdir()
            .while_("creating a directory")?;
        let data = common.data_dir.clone().unwrap_or_else(|| temporary.path().join("data"));
        let socket = common.over_unix().then(|| temporary.path().join("sse.sock"));
        Ok(Directory { temporary: Some(temporary), data, socket })
    }
}

/// How to start the server; again and again on the same data.
pub(crate) struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    over_unix: bool,
}

impl Server {
    /// With what the flags say.
    pub(crate) fn new(
        common: &Common,
        directory: &Directory,
        streams: usize,
    ) -> Result<Server, Failure> {
        let program = common.server.clone().unwrap_or_else(default_program);
        if !program.is_file() {
            return Err(Failure::NoServer(program));
        }
        let mut arguments =
            ["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir"].map(str::to_owned).to_vec();
        arguments.push(directory.data.display().to_string());
        if let Some(socket) = &directory.socket {
            arguments.extend(["--listen".into(), format!("unix:{}", socket.display())]);
        }
        arguments.extend(["--max-connections".into(), room(streams).to_string()]);
        arguments.extend(["--max-connections-per-user".into(), PER_USER.to_string()]);
        arguments.extend(common.server_args.iter().cloned());
        let environment = common.server_env.clone();
        Ok(Server { program, arguments, environment, over_unix: common.over_unix() })
    }

    /// Adds an environment variable, unless the flags set it.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Server {
        self.environment.insert(0, (name.into(), value.into()));
        self
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(&self, stop: &Stop) -> Result<(Child, Endpoint), Failure> {
        let mut command = Command::new(&self.program);
        let child =
            Child::start(command.args(&self.arguments).envs(self.environment.iter().cloned()))?;
        let tcp = |endpoint: &Endpoint| matches!(endpoint, Endpoint::Tcp(_));
        let unix = |endpoint: &Endpoint| matches!(endpoint, Endpoint::Unix(_));
        let endpoint = child.listener(stop, if self.over_unix { unix } else { tcp })?;
        Ok((child, endpoint))
    }
}

/// Room for all streams twice, since in a storm the old ones may not be gone yet, as far as
/// descriptors allow it.
fn room(streams: usize) -> usize {
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(_, hard)| hard) as usize;
    (2 * streams + 64).min(descriptors.saturating_sub(OWN_DESCRIPTORS)).max(1)
}

/// `target/release/rill` of the workspace, wherever we are called from.
fn default_program() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    workspace.unwrap_or(Path::new("")).join("target/release/rill")
}
