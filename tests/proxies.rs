//! Where a client is, when a proxy stands between: by the number of streams that its address may have, which is one here.

mod support;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::*;
use tempfile::TempDir;

const PATH: &str = "/system/status/stream";
const V1: &str = "PROXY TCP4 1.1.1.1 5.5.5.5 1111 80\r\n";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn one_each() -> Setup {
    rill().flags(&["--max-connections-per-user", "1"])
}

fn trusting(proxies: &str, told: &str) -> Setup {
    let setup = one_each().env("RILL_HTTP_TRUSTED_PROXIES", proxies);
    setup.env("RILL_HTTP_CLIENT_ADDRESS", told)
}

/// The answer to a stream's request, and the peer that holds it.
fn ask(mut peer: Peer, introduction: impl AsRef<[u8]>, fields: &[(&str, &str)]) -> (u16, Peer) {
    let request =
        fields.iter().fold(get(PATH), |request, (name, value)| request.field(name, value));
    peer.send([introduction.as_ref(), &request.bytes()].concat());
    (peer.head().status, peer)
}

/// Streams in their order, all of them held to the end: 200 for the first of each address, 429 for each further one.
#[track_caller]
fn assert_streams(peer: impl Fn() -> Peer, streams: &[(u16, &[(&str, &str)])]) {
    let mut held = Vec::new();
    for (expected, fields) in streams {
        let (status, peer) = ask(peer(), "", fields);
        assert_eq!(status, *expected, "{fields:?}");
        held.push(peer);
    }
}

fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).expect("a length").to_be_bytes();
    [V2_SIGNATURE, &[0x20 | command, family], &length, addresses].concat()
}

/// Of a client at `1.1.1.{last}`.
fn v2_from(last: u8) -> Vec<u8> {
    v2(1, 0x11, &[1, 1, 1, last, 5, 5, 5, 5, 4, 87, 0, 80])
}

fn forwarded_for(address: &str) -> [(&str, &str); 1] {
    [("X-Forwarded-For", address)]
}

#[test]
fn nobody_is_believed_by_default() {
    let server = one_each().start();
    assert_streams(
        || server.connect(),
        &[
            (200, &[("X-Forwarded-For", "1.1.1.1")]),
            (429, &[("X-Forwarded-For", "2.2.2.2")]),
            (429, &[("Forwarded", "for=3.3.3.3")]),
            (429, &[("X-Real-IP", "4.4.4.4")]),
            (429, &[("CF-Connecting-IP", "4.4.4.4"), ("True-Client-IP", "4.4.4.4")]),
            (429, &[]),
        ],
    );
    let (status, _held) = ask(peer_from(2, &server), "", &forwarded_for("127.0.0.1"));
    assert_eq!(status, 200);
    for introduction in [V1.as_bytes(), &v2_from(1)] {
        assert_eq!(ask(server.connect(), introduction, &[]).0, 400);
    }
}

#[test]
fn the_rightmost_hop_that_is_no_proxy_is_the_client() {
    let server = trusting("127.0.0.1,10.0.0.0/8", "x-forwarded-for").start();
    assert_streams(
        || server.connect(),
        &[
            (200, &[("X-Forwarded-For", "1.1.1.1")]),
            (429, &[("X-Forwarded-For", "1.1.1.1")]),
            (429, &[("X-Forwarded-For", "1.1.1.1:4711")]),
            (429, &[("X-Forwarded-For", "::ffff:1.1.1.1")]),
            // The client made up what stands further left.
            (429, &[("X-Forwarded-For", "9.9.9.1, 1.1.1.1")]),
            (429, &[("X-Forwarded-For", "9.9.9.2"), ("X-Forwarded-For", "1.1.1.1")]),
            (429, &[("X-Forwarded-For", "9.9.9.3,1.1.1.1, 10.0.0.3,10.1.2.3")]),
            (429, &[("X-Forwarded-For", "9.9.9.4, 1.1.1.1"), ("X-Forwarded-For", "10.0.0.3")]),
            (429, &[("X-Forwarded-For", "\"9.9.9.5, 1.1.1.1")]),
            (429, &[("X-Forwarded-For", "127.0.0.1, 10.0.0.1, 1.1.1.1")]),
            (200, &[("X-Forwarded-For", "1.1.1.1, 2.2.2.2")]),
            (200, &[("X-Forwarded-For", "2001:db8::1")]),
            (429, &[("X-Forwarded-For", "[2001:DB8:0::1]:4711")]),
        ],
    );
}

/// A proxy that says nothing, or nothing that can be read, speaks for itself.
#[test]
fn without_a_word_of_its_proxy_a_client_has_the_proxys_address() {
    let server = trusting("127.0.0.1", "x-forwarded-for").start();
    assert_streams(
        || server.connect(),
        &[
            (200, &[]),
            (429, &[]),
            (429, &[("X-Forwarded-For", "")]),
            (429, &[("X-Forwarded-For", "unknown")]),
            (429, &[("X-Forwarded-For", "1.1.1.1, _hidden")]),
            (429, &[("X-Forwarded-For", "1.1.1.1,")]),
            (429, &[("X-Forwarded-For", "evil.example")]),
            (429, &[("Forwarded", "for=1.1.1.1")]),
            (429, &[("X-Real-IP", "1.1.1.1")]),
            (200, &[("X-Forwarded-For", "1.1.1.1")]),
        ],
    );
}

#[test]
fn others_are_not_believed() {
    let server = trusting("127.0.0.1", "x-forwarded-for").start();
    let (status, _held) = ask(peer_from(2, &server), "", &forwarded_for("1.1.1.1"));
    assert_eq!(status, 200);
    for client in ["2.2.2.2", "127.0.0.1"] {
        assert_eq!(ask(peer_from(2, &server), "", &forwarded_for(client)).0, 429, "{client}");
    }
    // It is the one that the proxy calls by that address.
    assert_eq!(ask(server.connect(), "", &forwarded_for("127.0.0.2")).0, 429);
    assert_eq!(ask(server.connect(), "", &forwarded_for("1.1.1.1")).0, 200);
}

#[test]
fn one_header_is_read_and_never_two() {
    let server = trusting("127.0.0.1", "forwarded").start();
    assert_streams(
        || server.connect(),
        &[
            (200, &[("Forwarded", "for=1.1.1.1;proto=https")]),
            (429, &[("Forwarded", "for=9.9.9.9, For=\"1.1.1.1:80\"")]),
            (429, &[("Forwarded", "for=1.1.1.1"), ("X-Forwarded-For", "3.3.3.3")]),
            (429, &[("X-Forwarded-For", "3.3.3.3"), ("Forwarded", "for=1.1.1.1")]),
            (200, &[("Forwarded", "for=\"[2001:db8::1]:4711\"")]),
            // The proxy's own.
            (200, &[("X-Forwarded-For", "3.3.3.3")]),
            (429, &[("X-Forwarded-For", "4.4.4.4")]),
            (429, &[("Forwarded", "by=4.4.4.4;host=rill")]),
        ],
    );
}

#[test]
fn unix_sockets_have_an_address_only_if_they_are_trusted() {
    let server = trusting("unix", "x-forwarded-for").listen_unix().start();
    let unix = || Peer::unix(server.unix_path());
    assert_streams(
        unix,
        &[
            (200, &[("X-Forwarded-For", "1.1.1.1")]),
            (429, &[("X-Forwarded-For", "9.9.9.9, 1.1.1.1")]),
            (200, &[("X-Forwarded-For", "2.2.2.2")]),
            // Only the limit of all holds.
            (200, &[]),
            (200, &[]),
        ],
    );
    let other = trusting("127.0.0.1", "x-forwarded-for").listen_unix().start();
    let unix = || Peer::unix(other.unix_path());
    assert_streams(unix, &[(200, &forwarded_for("1.1.1.1")), (200, &forwarded_for("1.1.1.1"))]);
}

#[test]
fn a_proxy_protocol_header_names_the_client() {
    let server = trusting("127.0.0.1,unix", "proxy-protocol").listen("127.0.0.1:0").listen_unix();
    let server = server.start();
    let kinds: [&dyn Fn() -> Peer; 2] = [&|| server.connect(), &|| Peer::unix(server.unix_path())];
    let mut held = Vec::new();
    let mut ask = |peer: Peer, introduction: &[u8]| {
        let (status, peer) = ask(peer, introduction, &[]);
        held.push(peer);
        status
    };
    assert_eq!(ask(server.connect(), V1.as_bytes()), 200);
    assert_eq!(ask(server.connect(), &v2_from(2)), 200);
    for peer in kinds {
        assert_eq!(ask(peer(), V1.as_bytes()), 429);
        assert_eq!(ask(peer(), &v2_from(2)), 429);
        assert_eq!(ask(peer(), &v2_from(1)), 429);
    }
    assert_eq!(ask(Peer::unix(server.unix_path()), &v2_from(3)), 200);
    let v6 = b"PROXY TCP6 2001:db8::1 ::1 1111 80\r\n";
    assert_eq!((ask(server.connect(), v6), ask(server.connect(), v6)), (200, 429));
    // A health check of the proxy itself, or a client that it does not know: only the limit of all holds.
    for _ in 0..2 {
        assert_eq!(ask(server.connect(), b"PROXY UNKNOWN\r\n"), 200);
        assert_eq!(ask(server.connect(), &v2(0, 0, b"")), 200);
    }
}

#[test]
fn a_client_behind_the_proxy_protocol_says_nothing_of_itself() {
    let server = trusting("127.0.0.1", "proxy-protocol").start();
    let (first, _held) = ask(server.connect(), V1, &[]);
    assert_eq!(first, 200);
    for fields in [
        &[("X-Forwarded-For", "3.3.3.3")][..],
        &[("Forwarded", "for=3.3.3.3")],
        &[("X-Forwarded-For", "127.0.0.1, 3.3.3.3"), ("X-Real-IP", "3.3.3.3")],
    ] {
        assert_eq!(ask(server.connect(), V1, fields).0, 429, "{fields:?}");
    }
    // A second header is a bad request, whoever wrote it.
    let twice = format!("{V1}PROXY TCP4 3.3.3.3 5.5.5.5 1111 80\r\n");
    assert_eq!(ask(server.connect(), twice, &[]).0, 400);
    assert_eq!(ask(server.connect(), [v2_from(1), v2_from(3)].concat(), &[]).0, 400);
}

#[test]
fn a_stream_behind_a_header_is_a_stream_as_any() {
    let server = trusting("127.0.0.1", "proxy-protocol").start();
    let mut peer = server.connect();
    for byte in v2_from(1) {
        peer.send([byte]);
    }
    let mut stream = Stream::open(peer, &get("/notifications/stream").bearer(&user("ann")));
    let mut publisher = server.connect();
    publisher.send(V1);
    let publish = post("/notifications/send", r#"{"message":"M","userId":"ann"}"#).bearer(DEMO);
    // The header is for a connection, not for each of its requests.
    for _ in 0..2 {
        let (id, _) = publisher.exchange(&publish).published();
        stream.assert_next(&id);
    }
    assert_eq!(ask(publisher, V1, &[]).0, 400);
}

#[test]
fn whoever_is_no_proxy_needs_no_header_and_may_send_none() {
    let server = trusting("127.0.0.1", "proxy-protocol").start();
    let (status, _held) = ask(peer_from(2, &server), "", &[]);
    assert_eq!(status, 200);
    assert_eq!(ask(peer_from(3, &server), V1, &[]).0, 400);
    assert_eq!(ask(peer_from(3, &server), v2_from(1), &[]).0, 400);
}

#[test]
fn a_proxy_without_a_proper_header_is_hung_up_on() {
    let setup = trusting("127.0.0.1", "proxy-protocol");
    let server = setup.env("RILL_HTTP_HEAD_TIMEOUT", "200ms").start();
    let request = get(PATH).bytes();
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(500));
    for introduction in [
        &b""[..],
        b"PROXY TCP4 1.1.1.1 5.5.5.5 1111\r\n",
        b"PROXY TCP4 999.1.1.1 5.5.5.5 1111 80\r\n",
        b"PROXY UDP4 1.1.1.1 5.5.5.5 1111 80\r\n",
        b"proxy TCP4 1.1.1.1 5.5.5.5 1111 80\r\n",
        b"PROXY TCP4 1.1.1.1 5.5.5.5 1111 80\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        long.as_bytes(),
        &v2(1, 0x11, &[1; 4]),
        &v2(1, 0x41, &[1; 12]),
        &v2(2, 0x11, &[1; 12]),
        &v2(1, 0x11, &[1; 5000]),
    ] {
        let mut peer = server.connect();
        peer.send([introduction, &request].concat());
        peer.assert_ended();
    }
    // Slow, or not whole.
    for part in [&b""[..], b"P", b"PROXY TCP4 1.1.1.1 5.5.5.5", &v2_from(1)[..20], V2_SIGNATURE] {
        let mut peer = server.connect();
        peer.send(part);
        peer.assert_ended();
        let mut peer = server.connect();
        peer.send(part);
        peer.finish();
        peer.assert_ended();
    }
    let mut other = peer_from(2, &server);
    assert_eq!(other.exchange(&get("/system/status")).json()["connections"], 0);
    assert_eq!(ask(server.connect(), V1, &[]).0, 200);
}

#[test]
fn rates_are_for_the_addresses_that_proxies_tell() {
    let setup = trusting("127.0.0.1", "x-forwarded-for").env("RILL_RATES_CONNECTS", "1/h");
    let server = setup.env("RILL_RATES_FAILED_CREDENTIALS", "1/h").start();
    assert_streams(
        || server.connect(),
        &[
            (200, &[("X-Forwarded-For", "1.1.1.1")]),
            (200, &[("X-Forwarded-For", "2.2.2.2")]),
            (200, &[("X-Forwarded-For", "2001:db8::1")]),
        ],
    );
    server.wait_for_connections(0, ONE_SECOND);
    assert_streams(
        || server.connect(),
        &[
            (429, &[("X-Forwarded-For", "9.9.9.9, 1.1.1.1")]),
            // One client has a whole /64 of addresses.
            (429, &[("X-Forwarded-For", "2001:db8::ffff:1")]),
            (200, &[("X-Forwarded-For", "2001:db8:0:1::1")]),
        ],
    );
    let publish = |client: &str, token: &str| {
        let publish = post("/notifications/send", r#"{"message":"M"}"#).bearer(token);
        server.send(&publish.field("X-Forwarded-For", client)).status()
    };
    let tried =
        [publish("3.3.3.3", "bad"), publish("9.9.9.9, 3.3.3.3", "bad"), publish("3.3.3.3", DEMO)];
    assert_eq!(tried, [401, 429, 429]);
    assert_eq!(publish("4.4.4.4", DEMO), 200);
}

#[test]
fn what_is_no_proxy_is_refused_at_the_start() {
    for (variable, value) in [
        ("RILL_HTTP_TRUSTED_PROXIES", "*"),
        ("RILL_HTTP_TRUSTED_PROXIES", "localhost"),
        ("RILL_HTTP_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("RILL_HTTP_CLIENT_ADDRESS", "x-real-ip"),
    ] {
        let output = rill().env(variable, value).output();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(variable), "{value}: {said}");
    }
}

/// `deploy/nginx/stream.conf` with its PROXY protocol on, in a directory of its own.
struct Nginx {
    process: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Nginx {
    fn start(upstream: &Path) -> Self {
        let directory = TempDir::with_prefix("nginx-").expect("a directory");
        // An address that no other server of these tests takes a port of.
        let free = TcpListener::bind("127.0.0.9:0").and_then(|socket| socket.local_addr());
        let address = free.expect("a free port");
        let own = format!("{}/", directory.path().display());
        let file = directory.path().join("nginx.conf");
        fs::write(&file, Self::configuration(&own, address, upstream)).expect("a file");
        let mut nginx = Command::new("nginx");
        nginx.arg("-c").arg(&file).args(["-e", "stderr", "-g"]);
        // Without a master there is one process to end.
        nginx.arg(format!("daemon off; master_process off; pid {own}pid;"));
        let process = nginx.stdin(Stdio::null()).spawn().expect("nginx, which tests/run installs");
        eventually(PATIENCE, "nginx", || TcpStream::connect(address).is_ok());
        Self { process, address, _directory: directory }
    }

    fn configuration(own: &str, address: SocketAddr, upstream: &Path) -> String {
        let shipped = include_str!("../deploy/nginx/stream.conf");
        let lines = shipped.lines().filter(|line| !line.contains("listen [::]:"));
        let text = lines.collect::<Vec<_>>().join("\n");
        let changes = [
            ("# proxy_protocol on;", "proxy_protocol on;".to_owned()),
            ("user www-data;", "user root;".to_owned()),
            ("/var/log/nginx/", own.to_owned()),
            ("        listen 80 ", format!("        listen {address} ")),
            ("unix:/run/rill/rill.sock", format!("unix:{}", upstream.display())),
        ];
        changes.into_iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "stream.conf has no {from}");
            text.replace(from, &to)
        })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn clients_behind_nginx_are_told_apart() {
    let server = trusting("unix", "proxy-protocol").listen_unix().start();
    let nginx = Nginx::start(server.unix_path());
    let from = |last| ask(connect_from(last, nginx.address), "", &forwarded_for("9.9.9.9"));
    let (two, three) = (from(2), from(3));
    assert_eq!((two.0, three.0), (200, 200));
    assert_eq!((from(2).0, from(3).0), (429, 429));
    drop(two);
    eventually(ONE_SECOND, "the slot of 127.0.0.2", || from(2).0 == 200);
}
