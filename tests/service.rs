//! Run by a service manager: sockets that it opened, what it is told, and a restart that refuses nobody.

mod support;

use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::SockRef;
use support::*;

fn tcp(address: &str) -> TcpListener {
    TcpListener::bind(address).expect("a free port")
}

/// The same socket once more, for the server; the test keeps its own, as a service manager does.
fn copy(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().expect("a second descriptor").into()
}

/// A stream over this connection gets what is published.
#[track_caller]
fn assert_streams(server: &Server, peer: Peer) {
    let mut stream = Stream::open(peer, &get("/notifications/stream").bearer(&user("ann")));
    let mut publisher = match server.addresses() {
        [] => Peer::unix(server.unix_path()),
        [address, ..] => Peer::tcp(*address),
    };
    let body = r#"{"userId":"ann","message":"M"}"#;
    let (id, _) = publisher.exchange(&post("/notifications/send", body).bearer(DEMO)).published();
    stream.assert_next(&id);
}

#[track_caller]
fn assert_refused(setup: &Setup, reason: &str) {
    let output = setup.output();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(reason), "no {reason:?} in {said}");
}

#[test]
fn an_inherited_tcp_socket_takes_the_place_of_the_default() {
    let listener = tcp("127.0.0.1:0");
    let address = listener.local_addr().expect("an address");
    let server = rill().inherit(copy(&listener)).start();
    assert_eq!(server.addresses(), [address]);
    assert_streams(&server, Peer::tcp(address));

    // An option of a socket is that of all its descriptors.
    let options = SockRef::from(&listener);
    assert!(options.nonblocking().expect("an option"));
    assert!(options.tcp_nodelay().expect("an option"));
    assert!(options.keepalive().expect("an option"));
    let patience = options.tcp_user_timeout().expect("an option");
    assert_eq!(patience, Some(Duration::from_secs(25)));
    // No program that the server might start gets it: O_CLOEXEC.
    let info = fs::read_to_string(format!("/proc/{}/fdinfo/3", server.pid())).expect("a socket");
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("its flags");
    let flags = u32::from_str_radix(flags.trim(), 8).expect("an octal number");
    assert_eq!(flags & 0o2_000_000, 0o2_000_000, "{info}");
}

#[test]
fn an_inherited_unix_socket_stays_in_the_end() {
    let setup = rill();
    let path = setup.path("inherited.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let server = setup.inherit(listener).start();
    assert!(server.addresses().is_empty(), "{:?}", server.addresses());
    assert_eq!(server.unix_path(), path);
    assert_streams(&server, Peer::unix(&path));
    // The setup holds the socket, and its queue takes connections.
    let _setup = server.stop();
    Peer::unix(&path);
}

#[test]
fn several_sockets_and_addresses_that_were_chosen_besides() {
    let setup = rill();
    let path = setup.path("inherited.sock");
    let unix = UnixListener::bind(&path).expect("a socket");
    let listener = tcp("127.0.0.1:0");
    let own = setup.path("rill.sock");
    let setup = setup.inherit(copy(&listener)).inherit(unix).listen("127.0.0.1:0").listen_unix();
    let server = setup.start();
    let [inherited, chosen] = server.addresses() else { panic!("{:?}", server.addresses()) };
    assert_eq!(*inherited, listener.local_addr().expect("an address"));
    for peer in [Peer::tcp(*inherited), Peer::tcp(*chosen), Peer::unix(&path), Peer::unix(&own)] {
        assert_streams(&server, peer);
    }
    let _setup = server.stop();
    assert!(path.exists(), "the inherited one is removed");
    assert!(!own.exists(), "its own one is left");
}

#[test]
fn sockets_of_another_process_are_left_alone() {
    let server = rill().env("LISTEN_FDS", "1").env("LISTEN_PID", "1").start();
    server.send(&get("/healthz")).assert_status(200);
}

#[test]
fn what_cannot_be_listened_on_is_refused() {
    let reason = "inherited socket 1 of 1 (LISTEN_FDS): \
                  not a TCP or unix stream socket that listens";
    assert_refused(&rill().inherit(File::open("/dev/null").expect("a file")), reason);
    assert_refused(&rill().inherit(UdpSocket::bind("127.0.0.1:0").expect("a socket")), reason);
    let (datagram, _other) = UnixDatagram::pair().expect("sockets");
    assert_refused(&rill().inherit(datagram), reason);
    let listener = tcp("127.0.0.1:0");
    let connected = Peer::tcp(listener.local_addr().expect("an address"));
    assert_refused(&rill().inherit(connected.writer()), reason);
    let second = rill().inherit(listener).inherit(connected.writer());
    assert_refused(&second, "inherited socket 2 of 2 (LISTEN_FDS): ");
}

#[test]
fn dev_inherits_loopback_alone() {
    let listener = tcp("0.0.0.0:0");
    let address = listener.local_addr().expect("an address");
    let reason = format!("--dev listens on loopback alone, and {address} is not loopback");
    assert_refused(&rill().inherit(copy(&listener)), &reason);
    rill().without_dev().inherit(listener).start();
}

/// The service manager's end of `NOTIFY_SOCKET`.
struct Notices(UnixDatagram);

impl Notices {
    fn listen(setup: Setup) -> (Notices, Setup) {
        let path = setup.path("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        (Notices(socket), setup.env("NOTIFY_SOCKET", path.to_str().expect("a path that is text")))
    }

    #[track_caller]
    fn next(&self) -> Vec<String> {
        let mut datagram = [0; 4096];
        let length = self.0.recv(&mut datagram).expect("a notice");
        let text = std::str::from_utf8(&datagram[..length]).expect("a notice is text");
        text.lines().map(str::to_owned).collect()
    }
}

#[test]
fn the_service_manager_learns_of_the_start_and_the_end() {
    for signal in ["TERM", "INT"] {
        let listener = tcp("127.0.0.1:0");
        let address = listener.local_addr().expect("an address");
        let (notices, setup) = Notices::listen(rill().inherit(copy(&listener)));
        let setup = setup.env("RILL_DRAIN_TIMEOUT", "3s");
        // Nobody else tells this test that the server has started.
        let starting = std::thread::spawn(move || setup.start());
        let ready = notices.next();
        let status = format!("STATUS=listening on http://{address}");
        assert_eq!(ready, ["READY=1", &status]);
        Peer::tcp(address).exchange(&get("/readyz")).assert_status(200);

        let mut server = starting.join().expect("a server");
        server.signal(signal);
        let stopping = notices.next();
        let status = format!("STATUS=SIG{signal}: draining");
        // The drain and 10 s more, in microseconds.
        assert_eq!(stopping, ["STOPPING=1", &status, "EXTEND_TIMEOUT_USEC=13000000"]);
        assert_eq!(server.exit(PATIENCE).code(), Some(0));
    }
}

#[test]
fn a_service_manager_that_cannot_be_told_is_no_obstacle() {
    let server = rill().env("NOTIFY_SOCKET", "/no/such/socket").start();
    server.send(&get("/healthz")).assert_status(200);
    eventually(PATIENCE, "a line on it", || server.log().contains("NOTIFY_SOCKET"));
    server.stop();
}

/// A server with one stream whose reader does not read, so that its drain takes the whole 4 s.
fn draining_slowly(setup: Setup) -> (Server, Peer) {
    let server = setup.env("RILL_DRAIN_TIMEOUT", "4s").start();
    let reader = clogged_stream(&server);
    (server, reader)
}

#[test]
fn who_comes_during_a_restart_is_answered_by_the_next_process() {
    let listener = tcp("127.0.0.1:0");
    let address = listener.local_addr().expect("an address");
    let (server, _reader) = draining_slowly(rill().inherit(copy(&listener)));
    let mut kept = Peer::tcp(address);
    kept.exchange(&get("/healthz")).assert_status(200);

    let publish = post("/notifications/send", r#"{"message":"M"}"#).bearer(&user("ann"));
    let ask = || {
        let mut peer = Peer::tcp(address);
        peer.send(publish.bytes());
        peer
    };
    server.signal("TERM");
    let told = Instant::now();
    // It ends what it keeps, long before its own end, and takes nobody any more.
    kept.assert_ended();
    assert!(told.elapsed() < ONE_SECOND, "{:?}", told.elapsed());
    let mut during = ask();
    let setup = server.stop();
    let mut between = ask();
    let server = setup.start();
    assert_eq!(server.addresses(), [address]);
    for peer in [&mut during, &mut between] {
        peer.response(false).published();
    }
}

#[test]
fn an_address_of_its_own_refuses_while_what_was_inherited_is_handed_over() {
    let listener = tcp("127.0.0.1:0");
    let mut server = rill().inherit(copy(&listener)).listen("127.0.0.1:0").start();
    let [inherited, own] = *server.addresses() else { panic!("{:?}", server.addresses()) };
    let publish = post("/notifications/send", r#"{"message":"M"}"#).bearer(&user("ann"));
    let listen = || get("/notifications/stream").bearer(&user("ann"));
    let mut kept = Peer::tcp(own);
    kept.exchange(&get("/readyz")).assert_status(200);
    // The hand-over waits for the last byte of this one, and the drain for the hand-over.
    let mut asking = Peer::tcp(inherited);
    asking.exchange(&get("/readyz")).assert_status(200);
    let bytes = publish.bytes();
    let (most, last) = bytes.split_at(bytes.len() - 1);
    asking.send(most);

    server.signal("TERM");
    let ask = |request: &Request| Peer::tcp(own).exchange(request);
    eventually(ONE_SECOND, "/readyz says no", || ask(&get("/readyz")).status() == 503);
    kept.exchange(&get("/readyz")).assert_problem(503);
    ask(&get("/healthz")).assert_status(200);
    ask(&listen()).assert_problem(503).head.assert_retry_after();
    ask(&publish).assert_problem(503).head.assert_retry_after();
    asking.send(last);
    asking.response(false).published();
    assert_eq!(server.exit(PATIENCE).code(), Some(0));
}

/// Publishes over a connection of its own. One on which nothing was asked for 100 ms may be ended by
/// a restart: if this thread was held up for so long, it asks once more, as clients do.
#[track_caller]
fn publish_anew(address: SocketAddr, publish: &Request) -> String {
    let ask = || {
        let mut peer = Peer::tcp(address);
        peer.send(publish.bytes());
        peer
    };
    let began = Instant::now();
    let mut peer = ask();
    let held_up = began.elapsed() >= Duration::from_millis(100);
    if held_up && matches!(peer.socket().peek(&mut [MaybeUninit::uninit()]), Ok(0)) {
        peer = ask();
    }
    peer.response(false).published().0
}

#[test]
fn no_request_is_refused_over_several_restarts() {
    let listener = tcp("127.0.0.1:0");
    let address = listener.local_addr().expect("an address");
    let publish = post("/notifications/send", r#"{"message":"M"}"#).bearer(&user("ann"));
    // All of them shall be replayed, however fast this machine is.
    let setup = rill().env("RILL_LOG_REPLAY_LIMIT", "1000000");
    let first = setup.inherit(copy(&listener)).start();
    let start = first.notify("ann", "the start");
    let publishing = AtomicBool::new(true);
    let (server, ids) = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let mut ids = Vec::new();
            while publishing.load(Ordering::Relaxed) {
                ids.push(publish_anew(address, &publish));
            }
            ids
        });
        let last = (0..5).fold(first, |server, _| server.stop().start());
        publishing.store(false, Ordering::Relaxed);
        (last, publisher.join().expect("every publish succeeds"))
    });
    let mut stream = server.resume(&user("ann"), &start);
    for id in &ids {
        stream.assert_next(id);
    }
}
