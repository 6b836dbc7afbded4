//! SIGTERM and SIGINT: nobody new, everybody told, exit 0, and nothing acknowledged is lost.

mod support;

use std::time::Duration;

use support::*;

const DRAIN: Duration = Duration::from_secs(5);

/// A server that has to be gone 5 s after it was told.
fn draining() -> Setup {
    rill().env("RILL_DRAIN_TIMEOUT", "5s")
}

#[track_caller]
fn assert_exits(server: &mut Server) {
    let status = server.exit(DRAIN + ONE_SECOND);
    assert_eq!(status.code(), Some(0), "{status}");
}

/// Told with `retry:`, the time left plus 1 to 8 s, and ended in order.
#[track_caller]
fn assert_told(stream: &mut Stream) {
    let farewell = stream.next();
    farewell.assert_disconnected("shutdown");
    let retry = farewell.retry.expect("a retry");
    assert!((1000..=13_000).contains(&retry), "retry: {retry}");
    stream.assert_ended();
}

#[test]
fn streams_are_told_and_the_server_ends_well() {
    for signal in ["TERM", "INT"] {
        let mut server = draining().listen("127.0.0.1:0").listen_unix().start();
        let mut streams = [
            server.stream("/notifications/stream", &user("ann")),
            server.stream("/chat/stream?room=r", &user("ann")),
            server.open(&get("/system/status/stream")),
            server.open(&get("/notifications/stream").http_1_0().bearer(&user("bob"))),
            Stream::open(
                Peer::unix(server.unix_path()),
                &get("/realtime/stream").bearer(&user("eve")),
            ),
        ];
        server.signal(signal);
        streams.iter_mut().for_each(assert_told);
        assert_exits(&mut server);
    }
}

#[test]
fn connections_without_a_request_do_not_hold_the_end_up() {
    let mut server = draining().start();
    let mut idle = server.connect();
    idle.exchange(&get("/healthz")).assert_status(200);
    let _silent = server.connect();
    server.signal("TERM");
    assert_exits(&mut server);
}

#[test]
fn while_it_drains_nobody_new_is_let_in() {
    const STREAMS: usize = 400;
    let mut server = draining().start();
    let mut streams: Vec<_> = (0..STREAMS)
        .map(|n| server.stream("/notifications/stream", &user(&format!("user{n}"))))
        .collect();
    let ready = get("/readyz");
    server.send(&ready).assert_status(200);
    server.signal("TERM");
    eventually(ONE_SECOND, "/readyz says no", || server.send(&ready).status() == 503);

    let listen = get("/notifications/stream").bearer(&user("late"));
    let publish = post("/notifications/send", r#"{"message":"late"}"#).bearer(&user("late"));
    server.send(&get("/healthz")).assert_status(200);
    server.send(&listen).assert_problem(503).head.assert_retry_after();
    server.send(&publish).assert_problem(503).head.assert_retry_after();
    // That it ends is the last thing that is said of a request: what is wrong with it comes first.
    let stranger = post("/notifications/send", r#"{"message":"late"}"#).bearer("x");
    server.send(&stranger).assert_problem(401);
    let empty = post("/notifications/send", "{}").bearer(&user("late"));
    server.send(&empty).assert_problem(422);
    streams.iter_mut().for_each(assert_told);
    assert_exits(&mut server);
}

#[test]
fn a_reader_that_does_not_read_does_not_hold_the_end_up() {
    let mut server = draining().start();
    let _reader = clogged_stream(&server);
    server.signal("TERM");
    assert_exits(&mut server);
}

#[test]
fn nothing_acknowledged_is_lost() {
    let server = draining().start();
    let start = server.notify("ann", "the start");
    let ids: Vec<_> = (0..20).map(|n| server.notify("ann", &n.to_string())).collect();
    let server = server.stop().start();
    let mut stream = server.resume(&user("ann"), &start);
    stream.connected.assert_connected(Some("ann"), "full", 30_000);
    for id in &ids {
        stream.assert_next(id);
    }
}

#[test]
fn a_publish_on_its_way_is_answered() {
    let mut server = draining().start();
    let mut peer = server.connect();
    let body = r#"{"message":"M"}"#;
    let request = post("/notifications/send", body).bearer(&user("ann")).body("");
    peer.send(request.bytes());
    server.send(&get("/healthz")).assert_status(200);
    server.signal("TERM");
    peer.send(body);
    let status = peer.response(false).status();
    assert!(matches!(status, 200 | 503), "{status}");
    assert_exits(&mut server);
}
