//! A program that we started: it says where it listens, and it does not outlive us.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::endpoint::Endpoint;
use crate::failure::{Failure, While};
use crate::stop::Stop;

/// The line in which a program names its address has this before it, wherever in the line.
const LISTENING: &str = "listening on ";

/// How many of its last lines are shown when it fails.
const TAIL: usize = 30;

/// A program that has to start within this time.
const START: Duration = Duration::from_secs(30);

/// How often it is looked whether to stop waiting for it.
const GLANCE: Duration = Duration::from_millis(50);

/// Killed when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    /// The pipe to it, whose end tells the programs of ours that we are gone.
    _stdin: Option<ChildStdin>,
    messages: Receiver<String>,
    tail: Arc<Mutex<VecDeque<String>>>,
    /// We ended it.
    killed: bool,
}

impl Child {
    /// Starts `command` with pipes, and out of reach of the terminal: a Ctrl-C there is for us alone,
    /// who still need the server to tell what was lost.
    pub(crate) fn start(command: &mut Command) -> Result<Child, Failure> {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = pipes.process_group(0).spawn().while_("starting a program")?;
        let (sender, messages) = channel();
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(stdout) = process.stdout.take() {
            watch(stdout, sender.clone(), tail.clone());
        }
        if let Some(stderr) = process.stderr.take() {
            watch(stderr, sender, tail.clone());
        }
        let _stdin = process.stdin.take();
        Ok(Child { process, _stdin, messages, tail, killed: false })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.process.id() as i32
    }

    /// Waits for the line that names a listener that `wanted` accepts.
    pub(crate) fn listener(
        &self,
        stop: &Stop,
        wanted: fn(&Endpoint) -> bool,
    ) -> Result<Endpoint, Failure> {
        let end = Instant::now() + START;
        while Instant::now() < end {
            stop.check()?;
            match self.messages.recv_timeout(GLANCE) {
                Ok(line) => {
                    if let Some(endpoint) = listening(&line).filter(wanted) {
                        return Ok(endpoint);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Err(self.silent("it named no address"))
    }

    /// It did not do what was waited for; with its last lines.
    pub(crate) fn silent(&self, reason: &'static str) -> Failure {
        Failure::NotStarted { reason, output: self.tail() }
    }

    fn tail(&self) -> String {
        let tail = self.tail.lock().map(|tail| tail.iter().cloned().collect::<Vec<_>>().join("\n"));
        tail.unwrap_or_default()
    }

    /// Waits for `time`. False as soon as it has ended and its last line is read.
    pub(crate) fn lives_on(&self, time: Duration) -> bool {
        self.messages.recv_timeout(time) != Err(RecvTimeoutError::Disconnected)
    }

    /// Asks it to end (SIGTERM) and waits until it has; after `patience` it is killed.
    pub(crate) fn terminate(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        let mut asked = false;
        self.killed = true;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < end {
            // It is not waited for yet, so that the number is still its own.
            asked = asked || kill(Pid::from_raw(self.pid()), Signal::SIGTERM).is_ok();
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.killed = true;
        // Both fail only when it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    /// One that has ended by itself is worth a word: whatever failed failed because of that.
    fn drop(&mut self) {
        if !self.killed
            && let Ok(Some(status)) = self.process.try_wait()
        {
            // Where the terminal is gone, nobody reads it.
            let _ = writeln!(
                std::io::stderr(),
                "the server had ended by itself ({status}); its last lines:\n{}",
                self.tail()
            );
        }
        self.kill();
    }
}

/// Reads the program's lines to the end, so that it never waits for us.
fn watch(
    pipe: impl Read + Send + 'static,
    messages: Sender<String>,
    tail: Arc<Mutex<VecDeque<String>>>,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if line.contains(LISTENING) {
                // Nobody waits for messages any more: still read on.
                let _ = messages.send(line.clone());
            }
            if let Ok(mut tail) = tail.lock() {
                tail.push_back(line);
                while tail.len() > TAIL {
                    tail.pop_front();
                }
            }
        }
    });
}

/// The address in a line like `... listening on unix:/tmp/x.sock`, whatever stands around it.
fn listening(line: &str) -> Option<Endpoint> {
    let (_, rest) = line.split_once(LISTENING)?;
    let end = rest.find(|c: char| c.is_whitespace() || c.is_control() || "\"',;)".contains(c));
    rest[..end.unwrap_or(rest.len())].trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_anywhere_in_a_line() {
        let tcp = Endpoint::Tcp("127.0.0.1:8080".parse().unwrap());
        for line in [
            "listening on http://127.0.0.1:8080",
            "2025 INFO rill: listening on http://127.0.0.1:8080/ shards=2",
        ] {
            assert_eq!(listening(line).as_ref(), Some(&tcp));
        }
        assert_eq!(
            listening("\"listening on unix:/a/b.sock\"}"),
            Some(Endpoint::Unix("/a/b.sock".into()))
        );
        assert_eq!(listening("listening on the radio"), None);
    }

    #[test]
    fn a_program_that_ends_is_quoted() {
        let child = Child::start(Command::new("sh").args(["-c", "echo no port >&2"])).unwrap();
        let failure = child.listener(&Stop::after(START), |_| true).unwrap_err();
        assert!(failure.to_string().contains("no port"), "{failure}");
    }
}
