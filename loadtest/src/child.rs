//! A program that we started: it says where it listens, and it does not outlive us.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::failure::{Failure, While};
use crate::stop::Stop;

/// The line in which a program names its address has this before it, wherever in the line.
const LISTENING: &str = "listening on ";

/// The send loop's lines that say how much it sent begin with this.
const SENT: &str = "sent ";

/// How many of its last lines are shown when it fails.
const TAIL: usize = 30;

/// A program that has to start within this time.
const START: Duration = Duration::from_secs(30);

/// Killed when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    /// The pipe to it.
    pub(crate) stdin: Option<ChildStdin>,
    messages: Receiver<String>,
    tail: Arc<Mutex<VecDeque<String>>>,
}

impl Child {
    /// Starts `command` with pipes.
    pub(crate) fn start(command: &mut Command) -> Result<Child, Failure> {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = pipes.spawn().while_("starting a program")?;
        let (sender, messages) = channel();
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(stdout) = process.stdout.take() {
            watch(stdout, sender.clone(), tail.clone());
        }
        if let Some(stderr) = process.stderr.take() {
            watch(stderr, sender, tail.clone());
        }
        let stdin = process.stdin.take();
        Ok(Child { process, stdin, messages, tail })
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
        let named = |line: &str| listening(line).filter(wanted);
        self.message(stop, named)
            .map_err(|reason| reason.unwrap_or_else(|| self.silent("it named no address")))
    }

    /// Waits for the number in `sent N`.
    pub(crate) fn sent(&self, stop: &Stop) -> Result<u64, Failure> {
        let sent = |line: &str| line.strip_prefix(SENT).and_then(|count| count.parse().ok());
        self.message(stop, sent)
            .map_err(|reason| reason.unwrap_or_else(|| self.silent("it did not say what it sent")))
    }

    /// The first message that means something to `read`. Messages before it are dropped. Without
    /// one in time: None.
    fn message<T>(
        &self,
        stop: &Stop,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Option<Failure>> {
        let end = Instant::now() + START;
        while Instant::now() < end {
            stop.check()?;
            match self.messages.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => {
                    if let Some(value) = read(&line) {
                        return Ok(value);
                    }
                }
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Err(None),
            }
        }
        Err(None)
    }

    fn silent(&self, reason: &'static str) -> Failure {
        let tail = self.tail.lock().map(|tail| tail.iter().cloned().collect::<Vec<_>>().join("\n"));
        Failure::NotStarted { reason, output: tail.unwrap_or_default() }
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
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
            if line.contains(LISTENING) || line.starts_with(SENT) {
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
