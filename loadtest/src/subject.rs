//! The server under test: started by us, or running already.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use tempfile::TempDir;

use crate::child::Child;
use crate::cli::Common;
use crate::dialect::{Dialect, DialectSource};
use crate::endpoint::Endpoint;
use crate::failure::{Failure, While};
use crate::gauge::Gauge;
use crate::nchan::Nchan;
use crate::nginx::Nginx;
use crate::run::Run;
use crate::stop::Stop;
use crate::target::Target;

/// What a server keeps for itself of its descriptors; more connections than the rest are refused at
/// its start.
const OWN_DESCRIPTORS: usize = 256;

/// After a cut a user's new stream may arrive before the server has seen the end of the old one.
const PER_USER: usize = 8;

/// The most that the server accepts: no slow reader is so far behind.
pub(crate) const PATIENT_REPLAY_LIMIT: &str = "10000000";

/// A server that is there as long as this value is.
pub(crate) struct Subject {
    /// None when it is attached.
    kind: Option<Kind>,
    /// How to speak to it.
    pub(crate) target: Target,
    /// Measures it; None for an attached server whose process is not named.
    pub(crate) gauge: Option<Gauge>,
    /// What its streams go through.
    proxy: Option<Nginx>,
    _process: Process,
    /// Its files, removed at last.
    _directory: Option<TempDir>,
}

/// What ends the server when it is dropped.
enum Process {
    Attached,
    Child { _child: Child },
    Nchan { _nchan: Nchan },
}

/// A kind of server that can be started here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The program under test.
    Rill,
    /// The same with a replay limit that no slow reader exceeds: what it missed shall not be a gap.
    PatientRill,
    /// The program under test, asked by the members of conversations.
    RillService,
    /// The plain send loop, with frames of so many bytes.
    SendLoop {
        /// The size of one event on the wire.
        frame_bytes: usize,
    },
    /// The axum server.
    Axum,
    /// nginx with nchan.
    Nchan,
}

impl Kind {
    /// How it is asked.
    pub(crate) fn dialect(self) -> DialectSource {
        match self {
            Kind::Rill | Kind::PatientRill => DialectSource::RILL,
            Kind::RillService => DialectSource::RILL_SERVICE,
            Kind::SendLoop { .. } => DialectSource::SEND_LOOP,
            Kind::Axum => DialectSource::AXUM,
            Kind::Nchan => DialectSource::NCHAN,
        }
    }
}

impl Subject {
    /// Starts the server, or attaches to the one that the flags name. `streams` is how many it must
    /// bear.
    pub(crate) fn obtain(run: &Run, streams: usize) -> Result<Subject, Failure> {
        Subject::obtain_as(Kind::Rill, run, streams)
    }

    /// Starts a server of this kind, or attaches to the one that the flags name.
    pub(crate) fn obtain_as(kind: Kind, run: &Run, streams: usize) -> Result<Subject, Failure> {
        match run.common.attached() {
            Some(endpoint) => Subject::attach(kind, endpoint, streams, run),
            None => Subject::start(kind, run.common.over_unix(), streams, run),
        }
        .inspect(|subject| run.monitor.measure(subject.gauge, None))
    }

    /// A server that runs already, asked as one of this kind unless the flags say otherwise.
    pub(crate) fn attach(
        kind: Kind,
        endpoint: Endpoint,
        streams: usize,
        run: &Run,
    ) -> Result<Subject, Failure> {
        let common = &run.common;
        let target = Target::new(endpoint, run.dialect(&common.dialect(kind), streams)?)
            .with(&common.header, common.message_bytes)
            .trusting(common.ca.as_deref())?;
        let gauge = common.pid.map(Gauge::of);
        let process = Process::Attached;
        Ok(Subject { kind: None, target, gauge, proxy: None, _process: process, _directory: None })
    }

    /// Starts a server of this kind, on a unix socket or on TCP.
    pub(crate) fn start(
        kind: Kind,
        over_unix: bool,
        streams: usize,
        run: &Run,
    ) -> Result<Subject, Failure> {
        let directory = temporary_directory()?;
        let listen = if over_unix {
            format!("unix:{}", directory.path().join("sse.sock").display())
        } else {
            "127.0.0.1:0".into()
        };
        match kind {
            Kind::Rill | Kind::PatientRill | Kind::RillService => {
                Subject::rill(kind, over_unix, streams, run)
            }
            Kind::SendLoop { frame_bytes } => {
                let size = frame_bytes.to_string();
                let arguments = ["send-loop", "--listen", &listen, "--frame-bytes", &size];
                Subject::own(kind, &arguments, directory, run)
            }
            Kind::Axum => {
                let arguments = ["axum-server", "--listen", &listen];
                Subject::own(kind, &arguments, directory, run)
            }
            Kind::Nchan => {
                let nchan = Nchan::start(directory.path(), over_unix, streams, &run.stop)?;
                let gauge = Gauge::of(nchan.pid());
                let dialect = Arc::new(Dialect::load(&kind.dialect())?);
                let target = target(nchan.endpoint().clone(), dialect, run);
                let process = Process::Nchan { _nchan: nchan };
                Ok(Subject::started(kind, target, gauge, process, directory))
            }
        }
    }

    fn rill(kind: Kind, over_unix: bool, streams: usize, run: &Run) -> Result<Subject, Failure> {
        let directory = Directory::of(&run.common, over_unix)?;
        let mut server = Server::new(run, &directory, streams)?;
        if kind == Kind::PatientRill {
            server = server.with("RILL_LOG_REPLAY_LIMIT", PATIENT_REPLAY_LIMIT);
        }
        let (child, endpoint) = server.start(&run.stop)?;
        let gauge = Gauge::of(child.pid());
        let target = target(endpoint, run.dialect(&kind.dialect(), streams)?, run);
        let process = Process::Child { _child: child };
        Ok(Subject::started(kind, target, gauge, process, directory.temporary))
    }

    /// A server that this program has in it.
    fn own(
        kind: Kind,
        arguments: &[&str],
        directory: TempDir,
        run: &Run,
    ) -> Result<Subject, Failure> {
        let program = std::env::current_exe().while_("finding this program")?;
        let child = Child::start(Command::new(program).args(arguments))?;
        let dialect = Arc::new(Dialect::load(&kind.dialect())?);
        let target = target(child.listener(&run.stop, |_| true)?, dialect, run);
        let gauge = Gauge::of(child.pid());
        let process = Process::Child { _child: child };
        Ok(Subject::started(kind, target, gauge, process, directory))
    }

    fn started(
        kind: Kind,
        target: Target,
        gauge: Gauge,
        process: Process,
        directory: TempDir,
    ) -> Subject {
        Subject {
            kind: Some(kind),
            target,
            gauge: Some(gauge),
            proxy: None,
            _process: process,
            _directory: Some(directory),
        }
    }

    /// The same with its streams going through `nginx`; publishers go straight to it.
    pub(crate) fn behind(self, nginx: Nginx, run: &Run) -> Result<Subject, Failure> {
        run.monitor.measure(self.gauge, Some(Gauge::of(nginx.pid())));
        let target = self.target.through(nginx.endpoint().clone());
        let target = target.trusting(Some(nginx.certificate()))?;
        Ok(Subject { target, proxy: Some(nginx), ..self })
    }

    /// What its streams go through.
    pub(crate) fn nginx(&mut self) -> Option<&mut Nginx> {
        self.proxy.as_mut()
    }

    /// Measures the proxy, if there is one.
    pub(crate) fn proxy_gauge(&self) -> Option<Gauge> {
        self.proxy.as_ref().map(|nginx| Gauge::of(nginx.pid()))
    }

    /// Whether it is what others are measured by, and not itself the subject.
    pub(crate) fn is_reference(&self) -> bool {
        matches!(self.kind, Some(Kind::SendLoop { .. }))
    }

    /// Its exact memory, if it can be measured.
    pub(crate) fn rss(&self) -> Result<Option<u64>, Failure> {
        self.gauge.map(|gauge| gauge.rss()).transpose()
    }

    /// The CPU time that it has used, if it can be measured.
    pub(crate) fn cpu(&self) -> Result<Option<Duration>, Failure> {
        self.gauge.map(|gauge| gauge.cpu()).transpose()
    }
}

fn target(endpoint: Endpoint, dialect: Arc<Dialect>, run: &Run) -> Target {
    Target::new(endpoint, dialect).with(&run.common.header, run.common.message_bytes)
}

/// The server's files.
pub(crate) struct Directory {
    temporary: TempDir,
    data: PathBuf,
    socket: Option<PathBuf>,
}

impl Directory {
    /// What `--data-dir` names, or a temporary one.
    pub(crate) fn of(common: &Common, over_unix: bool) -> Result<Directory, Failure> {
        // A unix socket's path is short by law (108 bytes), so that it never lies in the data
        // directory.
        let temporary = temporary_directory()?;
        let data = common.data_dir.clone().unwrap_or_else(|| temporary.path().join("data"));
        let socket = over_unix.then(|| temporary.path().join("sse.sock"));
        Ok(Directory { temporary, data, socket })
    }
}

fn temporary_directory() -> Result<TempDir, Failure> {
    tempfile::Builder::new().prefix("loadtest-").tempdir().while_("creating a directory")
}

/// How to start the server; again and again on the same data.
pub(crate) struct Server {
    program: PathBuf,
    /// The cores that it is kept to; all if none are named.
    cores: Option<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    over_unix: bool,
}

impl Server {
    /// With what the flags say.
    pub(crate) fn new(run: &Run, directory: &Directory, streams: usize) -> Result<Server, Failure> {
        let common = &run.common;
        let program = common.server.clone().unwrap_or_else(default_program);
        if !program.is_file() {
            return Err(Failure::NoServer(program));
        }
        let mut arguments = vec!["serve".to_owned()];
        match &run.signer {
            None => arguments.push("--dev".into()),
            Some(signer) => {
                let settings = signer.configure(directory.temporary.path())?;
                arguments.extend(["--config".into(), settings.display().to_string()]);
            }
        }
        arguments.extend(["--listen", "127.0.0.1:0", "--data-dir"].map(str::to_owned));
        arguments.push(directory.data.display().to_string());
        if let Some(socket) = &directory.socket {
            arguments.extend(["--listen".into(), format!("unix:{}", socket.display())]);
        }
        arguments.extend(["--max-connections".into(), room(streams).to_string()]);
        arguments.extend(["--max-connections-per-user".into(), PER_USER.to_string()]);
        arguments.extend(common.server_args.iter().cloned());
        let (cores, environment) = (common.server_cores.clone(), common.server_env.clone());
        let over_unix = directory.socket.is_some();
        Ok(Server { program, cores, arguments, environment, over_unix })
    }

    /// Adds an environment variable, unless the flags set it.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Server {
        self.environment.insert(0, (name.into(), value.into()));
        self
    }

    fn command(&self) -> Command {
        match &self.cores {
            None => Command::new(&self.program),
            // It becomes the program, with the same process id.
            Some(cores) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", cores]).arg(&self.program);
                command
            }
        }
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(&self, stop: &Stop) -> Result<(Child, Endpoint), Failure> {
        let mut command = self.command();
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
