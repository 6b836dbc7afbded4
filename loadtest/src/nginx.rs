//! Real nginx in front of a server, configured as `deploy/nginx` ships it.

mod certificate;
mod change;
mod profile;
mod workers;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::child::Child;
use crate::endpoint::Endpoint;
use crate::failure::{Failure, While};
use crate::nchan::NGINX;
use crate::stop::Stop;

use certificate::Certificate;
pub(crate) use change::Change;
pub(crate) use profile::Profile;
use profile::Site;

/// What Debian calls the program and its module.
const PACKAGES: &str = "nginx-light libnginx-mod-stream";
const REFUSED: &str =
    "nginx refuses its configuration (are nginx-light and libnginx-mod-stream installed?)";

/// What the kernel says of an address that somebody else has.
const TAKEN: &str = "Address already in use";

/// How many addresses are tried, since somebody else may get a free one first.
const TRIES: usize = 3;

/// Starting, reloading and ending take much less.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked whether nginx has done what it was told.
const GLANCE: Duration = Duration::from_millis(5);

/// A master with its workers; killed when dropped.
pub(crate) struct Nginx {
    child: Child,
    endpoint: Endpoint,
    directory: TempDir,
    certificate: Certificate,
}

impl Nginx {
    /// Starts it before the server at `upstream`, with one thing changed if so wished, and waits
    /// until it accepts.
    pub(crate) fn start(
        profile: Profile,
        change: Option<&Change>,
        upstream: &Endpoint,
        stop: &Stop,
    ) -> Result<Nginx, Failure> {
        Nginx::start_at(free_addresses, profile, change, upstream, stop)
    }

    /// The same, at the first of these addresses that nobody else has.
    fn start_at(
        mut addresses: impl FnMut() -> io::Result<[SocketAddr; 2]>,
        profile: Profile,
        change: Option<&Change>,
        upstream: &Endpoint,
        stop: &Stop,
    ) -> Result<Nginx, Failure> {
        let mut tries = 1;
        loop {
            let addresses = addresses().while_("looking for a free port")?;
            match Nginx::try_at(addresses, profile, change, upstream, stop) {
                Err(Failure::NotStarted { output, .. })
                    if tries < TRIES && output.contains(TAKEN) =>
                {
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    fn try_at(
        [address, redirect]: [SocketAddr; 2],
        profile: Profile,
        change: Option<&Change>,
        upstream: &Endpoint,
        stop: &Stop,
    ) -> Result<Nginx, Failure> {
        let directory = tempfile::Builder::new()
            .prefix("nginx-")
            .tempdir()
            .while_("creating a directory for nginx")?;
        let certificate = Certificate::make(directory.path()).while_("making a certificate")?;
        let site = Site {
            directory: directory.path(),
            address,
            redirect,
            upstream,
            certificate: &certificate,
        };
        let configuration = profile.configuration(change, &site)?;
        let endpoint = listener(&configuration, address);
        std::fs::write(directory.path().join("nginx.conf"), configuration)
            .while_("writing nginx.conf")?;
        check(directory.path())?;
        let child = Child::start(&mut command(directory.path()))?;
        let nginx = Nginx { child, endpoint, directory, certificate };
        nginx.wait_until_it_accepts(stop)?;
        Ok(nginx)
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The certificate of `localhost`, made by itself: whoever trusts this file trusts nginx.
    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate.chain
    }

    /// The master.
    pub(crate) fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// The processes that hold the streams, also those that a reload told to go.
    #[cfg(test)]
    pub(crate) fn workers(&self) -> Vec<i32> {
        workers::of(self.pid()).into_iter().map(|worker| worker.pid).collect()
    }

    /// A line for each request or connection that has ended.
    #[cfg(test)]
    pub(crate) fn access_log(&self) -> std::path::PathBuf {
        self.directory.path().join("access.log")
    }

    /// Notices and errors of nginx itself.
    #[cfg(test)]
    pub(crate) fn error_log(&self) -> std::path::PathBuf {
        self.directory.path().join("error.log")
    }

    /// New workers with the same configuration; the old ones end their streams a second later.
    /// Returns when the new ones serve and the old ones accept nothing more.
    pub(crate) fn reload(&self, stop: &Stop) -> Result<(), Failure> {
        let old = workers::serving(self.pid());
        if old.is_empty() {
            return Err(self.child.silent("it has no workers"));
        }
        kill(Pid::from_raw(self.pid()), Signal::SIGHUP).while_("reloading nginx")?;
        self.wait(stop, "it did not replace its workers", || {
            let new = workers::serving(self.pid());
            Ok(new.len() >= old.len() && !new.iter().any(|pid| old.contains(pid)))
        })
    }

    /// Ends it, and all streams without a word, and starts it anew at the same address.
    pub(crate) fn restart(&mut self, stop: &Stop) -> Result<(), Failure> {
        self.end();
        self.wait(stop, "it still accepts connections", || Ok(!self.accepts()))?;
        self.child = Child::start(&mut command(self.directory.path()))?;
        self.wait_until_it_accepts(stop)
    }

    fn wait_until_it_accepts(&self, stop: &Stop) -> Result<(), Failure> {
        // The kernel accepts for the master before there is a worker, and whoever has taken the
        // address may accept as well.
        self.wait(stop, "it does not accept connections", || {
            if !self.child.lives_on(Duration::ZERO) {
                return Err(self.child.silent("it ended"));
            }
            Ok(!workers::serving(self.pid()).is_empty() && self.accepts())
        })
    }

    fn accepts(&self) -> bool {
        self.endpoint().connect_blocking(PATIENCE).is_ok()
    }

    /// Waits for something that nginx does by itself.
    fn wait(
        &self,
        stop: &Stop,
        fault: &'static str,
        mut done: impl FnMut() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let end = Instant::now() + PATIENCE;
        while !done()? {
            if Instant::now() > end {
                return Err(self.child.silent(fault));
            }
            stop.check()?;
            stop.sleep(GLANCE);
        }
        Ok(())
    }

    /// Ends the master with its workers, whatever they are doing.
    fn end(&mut self) {
        let master = Pid::from_raw(self.pid());
        // Both fail only when they are gone already. The master ends after its workers; were it
        // killed, they would live on. The group is for what is left after a while.
        let _ = kill(master, Signal::SIGTERM);
        let end = Instant::now() + Duration::from_secs(2);
        while workers::is_running(self.pid()) && Instant::now() < end {
            std::thread::sleep(GLANCE);
        }
        let _ = killpg(master, Signal::SIGKILL);
        self.child.kill();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where clients come to, and whether with TLS.
fn listener(configuration: &str, address: SocketAddr) -> Endpoint {
    let start = format!("listen {address} ");
    let mut lines = configuration.lines().map(str::trim);
    let encrypted = lines.any(|line| line.starts_with(&start) && line.contains(" ssl"));
    if encrypted { Endpoint::Tls(address) } else { Endpoint::Tcp(address) }
}

/// nginx with the configuration in `directory`. Debian's is not in the path of normal users.
fn command(directory: &Path) -> Command {
    let program = if Path::new(NGINX).exists() { NGINX } else { "nginx" };
    let mut command = Command::new(program);
    let main = format!("daemon off; pid {};", directory.join("pid").display());
    // Messages from before the configuration is read go to standard error.
    command.args(["-e", "stderr", "-g", &main, "-c"]).arg(directory.join("nginx.conf"));
    command
}

/// `nginx -t`.
fn check(directory: &Path) -> Result<(), Failure> {
    let output = match command(directory).arg("-t").output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Failure::NotInstalled { program: "nginx", packages: PACKAGES });
        }
        result => result.while_("running nginx -t")?,
    };
    if output.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Failure::NotStarted { reason: REFUSED, output })
}

/// Different ones, free a moment ago.
fn free_addresses() -> io::Result<[SocketAddr; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (one, other) = (listen()?, listen()?);
    Ok([one.local_addr()?, other.local_addr()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_somebody_else_has_is_given_up() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut tried = 0;
        let addresses = || {
            tried += 1;
            let [one, other] = free_addresses()?;
            Ok(if tried == 1 { [taken.local_addr()?, other] } else { [one, other] })
        };
        let upstream = Endpoint::Unix("/none".into());
        let stop = Stop::after(PATIENCE);
        let nginx = Nginx::start_at(addresses, Profile::Http, None, &upstream, &stop).unwrap();
        assert_ne!(*nginx.endpoint(), Endpoint::Tls(taken.local_addr().unwrap()));
        assert_eq!(tried, 2);
    }
}
