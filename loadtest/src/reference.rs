//! The send loop's process, seen from the scenario.

use std::io::Write;
use std::process::Command as Process;

use tempfile::TempDir;

use crate::child::Child;
use crate::cli::Common;
use crate::endpoint::Endpoint;
use crate::failure::{Failure, While};
use crate::gauge::Gauge;
use crate::send_loop::Command;
use crate::stop::Stop;
use crate::target::Target;

/// A running send loop.
pub(crate) struct Reference {
    endpoint: Endpoint,
    child: Child,
    _directory: TempDir,
}

impl Reference {
    /// Starts one that sends frames of `frame_bytes` over the same kind of socket as the server's.
    pub(crate) fn start(
        like: &Endpoint,
        frame_bytes: usize,
        stop: &Stop,
    ) -> Result<Reference, Failure> {
        let directory = tempfile::Builder::new()
            .prefix("loadtest-")
            .tempdir()
            .while_("creating a directory")?;
        let listen = match like {
            Endpoint::Tcp(_) => "127.0.0.1:0".into(),
            Endpoint::Unix(_) => format!("unix:{}", directory.path().join("loop.sock").display()),
        };
        let program = std::env::current_exe().while_("finding this program")?;
        let mut command = Process::new(program);
        command.args(["send-loop", "--listen", &listen, "--frame-bytes", &frame_bytes.to_string()]);
        let child = Child::start(&mut command)?;
        let endpoint = child.listener(stop, |_| true)?;
        Ok(Reference { endpoint, child, _directory: directory })
    }

    /// How to speak to it; it takes every request.
    pub(crate) fn target(&self, common: &Common) -> Target {
        common.target(self.endpoint.clone())
    }

    /// Measures it.
    pub(crate) fn gauge(&self) -> Gauge {
        Gauge::of(self.child.pid())
    }

    /// Makes it broadcast once.
    pub(crate) fn send(&mut self, lane: u32, k: u32, t: u64) -> Result<(), Failure> {
        self.tell(Command::Send { lane, k, t })
    }

    /// Makes it broadcast without a pause.
    pub(crate) fn run(&mut self, lane: u32) -> Result<(), Failure> {
        self.tell(Command::Run { lane })
    }

    /// Ends that, and asks how many broadcasts it were.
    pub(crate) fn halt(&mut self, stop: &Stop) -> Result<u32, Failure> {
        self.tell(Command::Halt)?;
        Ok(self.child.sent(stop)? as u32)
    }

    fn tell(&mut self, command: Command) -> Result<(), Failure> {
        let Some(pipe) = &mut self.child.stdin else { return Ok(()) };
        pipe.write_all(&command.encode()).while_("commanding the send loop")
    }
}
