//! nchan, the pub/sub module of nginx, as Debian packages it: a real nginx of our own.
//!
//! ```text
//! GET /stream?channel=all,u7   needs `Accept: text/event-stream`; a comment `: hi` says that it is
//!                              live; the body ends with the connection, without chunks
//! POST /publish?channel=all    the body is the message; 201, or 202 where nobody listens
//! ```
//!
//! Ids are `<seconds>:<number>`; of several channels `<seconds>:[<number>],-`, a number for each
//! channel and brackets around the one that the message came from. The answer to a publish names
//! the id within its channel if it is asked for with `Accept: application/json`. `Last-Event-ID`
//! resumes; a stream of several channels that resumes while messages come may miss some (1.3.6).

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};
use socket2::{Domain, Socket, Type};

use crate::child::Child;
use crate::endpoint::Endpoint;
use crate::failure::{Failure, While};
use crate::stop::Stop;

/// Where Debian has nginx.
pub(crate) const NGINX: &str = "/usr/sbin/nginx";
const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

const PACKAGES: &str = "nginx-light libnginx-mod-nchan";

/// The configuration, with gaps.
const CONFIGURATION: &str = include_str!("nchan.conf");

/// How long it may take to start.
const START: Duration = Duration::from_secs(10);

/// How long one try to reach it may take.
const TRY: Duration = Duration::from_millis(100);

/// So many channels belong to several workers.
const PROBES: usize = 16;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// nginx kills its workers a second after it told them to end.
const END: Duration = Duration::from_secs(5);

/// What a worker needs besides streams: publishers, and pipes to the others.
const OWN_CONNECTIONS: usize = 512;

/// Ended with all its workers when dropped.
pub(crate) struct Nchan {
    master: Child,
    endpoint: Endpoint,
    /// Keeps others from getting the port at random.
    _port: Option<Socket>,
}

impl Nchan {
    /// Starts one that bears `streams` and keeps its files in `directory`, and waits until it
    /// answers.
    pub(crate) fn start(
        directory: &Path,
        over_unix: bool,
        streams: usize,
        stop: &Stop,
    ) -> Result<Nchan, Failure> {
        if let Some(missing) = [NGINX, MODULE].into_iter().find(|path| !Path::new(path).is_file()) {
            return Err(Failure::NotInstalled { program: missing, packages: PACKAGES });
        }
        let (endpoint, port) = if over_unix {
            (Endpoint::Unix(directory.join("nchan.sock")), None)
        } else {
            let (socket, address) = hold_port().while_("finding a port")?;
            (Endpoint::Tcp(address), Some(socket))
        };
        let file = directory.join("nchan.conf");
        fs::write(&file, configuration(&endpoint, streams)).while_("writing a configuration")?;
        let master =
            Child::start(Command::new(NGINX).arg("-p").arg(directory).arg("-c").arg(&file))?;
        let nchan = Nchan { master, endpoint, _port: port };
        nchan.wait_until_it_answers(stop)?;
        Ok(nchan)
    }

    /// Where streams and publishers go.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The master's process id.
    pub(crate) fn pid(&self) -> i32 {
        self.master.pid()
    }

    fn wait_until_it_answers(&self, stop: &Stop) -> Result<(), Failure> {
        let end = Instant::now() + START;
        while !answers(&self.endpoint) {
            stop.check()?;
            if !self.master.lives_on(PAUSE) || Instant::now() > end {
                return Err(self.master.silent("it does not answer"));
            }
        }
        Ok(())
    }
}

impl Drop for Nchan {
    fn drop(&mut self) {
        self.master.terminate(END);
    }
}

/// A free port, which stays free as long as the socket lives: nginx gets it nevertheless, since
/// both ask for `SO_REUSEPORT`.
fn hold_port() -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((socket, address))
}

/// Any worker may get all streams, and in a storm twice, until it has seen the old ones end.
fn configuration(endpoint: &Endpoint, streams: usize) -> String {
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(_, hard)| hard) as usize;
    let connections = (2 * streams + OWN_CONNECTIONS).min(descriptors);
    let (address, reuse_port) = match endpoint {
        Endpoint::Tcp(address) | Endpoint::Tls(address) => (address.to_string(), " reuseport"),
        Endpoint::Unix(path) => (format!("unix:{}", path.display()), ""),
    };
    CONFIGURATION
        .replace("@MODULE@", MODULE)
        .replace("@DESCRIPTORS@", &descriptors.to_string())
        .replace("@CONNECTIONS@", &connections.to_string())
        .replace("@ADDRESS@", &address)
        .replace("@REUSEPORT@", reuse_port)
}

/// Whether the workers answer, who each know a part of the channels and ask each other. That the
/// port is open says only that the master has begun; what comes before all are there may hang.
fn answers(endpoint: &Endpoint) -> bool {
    let probe = |channel: usize| {
        let mut socket = endpoint.connect_blocking(TRY)?;
        let request = format!("GET /publish?channel={channel} HTTP/1.0\r\n\r\n");
        socket.write_all(request.as_bytes())?;
        socket.read(&mut [0; 12])
    };
    (0..PROBES).all(|channel| probe(channel).is_ok_and(|length| length > 0))
}
