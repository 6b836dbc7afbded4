//! Slots: how many there are, who is refused, and that each is given back, and given back once.

mod support;

use support::*;

const PATH: &str = "/notifications/stream";

fn listen(name: &str) -> Request {
    get(PATH).bearer(&user(name))
}

/// As many streams of `name` as there are slots for him, which are `count`.
#[track_caller]
fn fill(server: &Server, name: &str, count: usize) -> Vec<Stream> {
    let streams = (0..count).map(|_| server.open(&listen(name))).collect();
    server.send(&listen(name)).assert_problem(429).head.assert_retry_after();
    streams
}

/// Waits until everything is given back, then takes all of it again: a slot given back twice would be one too many.
#[track_caller]
fn assert_all_given_back(server: &Server, name: &str) {
    server.wait_for_connections(0, ONE_SECOND);
    let streams = fill(server, name, 5);
    drop(streams);
    server.wait_for_connections(0, ONE_SECOND);
}

#[test]
fn the_sixth_stream_of_a_user_is_429() {
    let server = Server::start();
    let mut streams: Vec<_> = [
        "/notifications/stream",
        "/realtime/stream",
        "/chat/stream",
        "/chat/stream?room=r",
        "/system/status/stream",
    ]
    .map(|path| server.stream(path, &user("ann")))
    .into();
    for path in ["/notifications/stream", "/realtime/stream", "/chat/stream?room=r"] {
        server.send(&get(path).bearer(&user("ann"))).assert_problem(429).head.assert_retry_after();
    }
    server.open(&listen("bob"));
    drop(streams.pop());
    eventually(ONE_SECOND, "the slot of a closed stream", || {
        server.send(&listen("ann")).status() == 200
    });
}

#[test]
fn an_admin_takes_the_slots_of_the_user_he_listens_for() {
    let server = Server::start();
    let request = get("/notifications/stream?userId=ann").bearer(DEMO);
    let _streams: Vec<_> = (0..5).map(|_| server.open(&request)).collect();
    server.send(&request).assert_problem(429);
    server.send(&listen("ann")).assert_problem(429);
    server.open(&get(PATH).bearer(DEMO));
}

#[test]
fn the_limit_of_a_user_is_configurable() {
    let server = rill().flags(&["--max-connections-per-user", "2"]).start();
    fill(&server, "ann", 2);
}

#[test]
fn one_more_than_the_server_takes_is_503() {
    let server = rill().flags(&["--max-connections", "20"]).start();
    let mut streams: Vec<_> = (0..20).map(|n| server.open(&listen(&format!("user{n}")))).collect();
    for request in [listen("one more"), get("/system/status/stream")] {
        server.send(&request).assert_problem(503).head.assert_retry_after();
    }
    assert_eq!(server.connections(), 20);
    server.notify("user19", "publishing goes on");
    assert_eq!(streams[19].next().text("message"), "publishing goes on");
    drop(streams.pop());
    eventually(ONE_SECOND, "the slot of a closed stream", || {
        server.send(&listen("one more")).status() == 200
    });
}

/// A browser's EventSource gives up at any status but 200, so these are told to come back later.
#[track_caller]
fn assert_told_to_retry(server: &Server, request: &Request) {
    let mut peer = server.connect();
    peer.send(request.bytes());
    let head = peer.head();
    assert!(head.status == 200 && head.is_stream(), "{head:?}");
    let body = String::from_utf8(peer.body(&head)).expect("text");
    let retry =
        body.strip_prefix("retry: ").unwrap_or_else(|| panic!("{body:?}")).trim_end_matches('\n');
    assert!((10_000..=60_000).contains(&retry.parse::<u32>().expect("a number")), "{body:?}");
}

#[test]
fn passing_refusals_may_be_streams_that_say_retry() {
    let server =
        rill().flags(&["--max-connections", "6"]).env("RILL_REFUSE_STREAMS", "retry").start();
    let _streams: Vec<_> = (0..5).map(|_| server.open(&listen("ann"))).collect();
    for _ in 0..5 {
        assert_told_to_retry(&server, &listen("ann"));
    }
    let _sixth = server.open(&listen("bob"));
    for _ in 0..5 {
        assert_told_to_retry(&server, &listen("eve"));
    }
    assert_eq!(server.connections(), 6);
    server.send(&get(PATH)).assert_problem(401);
    server.send(&get("/notifications/stream?userId=bob").bearer(&user("ann"))).assert_problem(403);
}

#[test]
fn head_takes_no_slot() {
    let server = Server::start();
    let _streams: Vec<_> = (0..4).map(|_| server.open(&listen("ann"))).collect();
    for _ in 0..10 {
        server.send(&request("HEAD", PATH).bearer(&user("ann"))).assert_status(200);
    }
    server.open(&listen("ann"));
}

#[test]
fn who_is_refused_takes_no_slot() {
    let server = Server::start();
    let streams = fill(&server, "ann", 5);
    for _ in 0..20 {
        server.send(&listen("ann")).assert_problem(429);
        server.send(&get(PATH)).assert_problem(401);
        server
            .send(&get("/notifications/stream?userId=bob").bearer(&user("ann")))
            .assert_problem(403);
        server.send(&listen("eve").field("Accept", "text/html")).assert_problem(406);
    }
    assert_eq!(server.connections(), 5);
    drop(streams);
    assert_all_given_back(&server, "ann");
    fill(&server, "eve", 5);
}

#[test]
fn connections_that_are_no_streams_take_no_slot() {
    let server = rill().flags(&["--max-connections", "2"]).start();
    let mut idle: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for peer in &mut idle {
        peer.exchange(&get("/healthz")).assert_status(200);
    }
    assert_eq!(server.connections(), 0);
    server.open(&listen("ann"));
}

#[test]
fn however_a_stream_is_left_its_slot_is_given_back_once() {
    let server = Server::start();
    let leave: [fn(Peer); 5] = [
        drop,
        Peer::abort,
        |peer| peer.finish(),
        |mut peer| {
            peer.send("bytes after the GET");
            peer.finish();
            peer.rest();
        },
        |mut peer| {
            peer.send(get(PATH).bytes());
            peer.abort();
        },
    ];
    for _ in 0..3 {
        let streams = fill(&server, "ann", 5);
        for (stream, leave) in streams.into_iter().zip(leave) {
            leave(stream.into_peer());
        }
        assert_all_given_back(&server, "ann");
    }
}

#[test]
fn bytes_and_fin_after_the_get_free_the_slot_and_end_the_stream() {
    let server = Server::start();
    let mut stream = server.open(&listen("ann"));
    stream.peer().send([b'x'; 10_000]);
    assert_eq!(server.connections(), 1);
    stream.peer().finish();
    server.wait_for_connections(0, ONE_SECOND);
    stream.into_peer().rest();
}

#[test]
fn a_fin_right_behind_the_get_frees_the_slot_too() {
    let server = Server::start();
    let mut peers: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.send(listen("ann").bytes());
        peer.finish();
    }
    for mut peer in peers {
        peer.rest();
    }
    assert_all_given_back(&server, "ann");
}

#[test]
fn a_hundred_clients_killed_at_any_moment_leave_nothing_behind() {
    let server = rill().flags(&["--max-connections", "20"]).start();
    for n in 0..100 {
        let mut peer = server.connect();
        let request = listen(&format!("user{n}")).bytes();
        match n % 4 {
            0 => peer.send(request),
            1 => peer.send(&request[..request.len() - 2]),
            2 => {
                peer.send(request);
                peer.head();
            }
            _ => {
                peer.send(request);
                peer.finish();
            }
        }
        peer.abort();
    }
    server.wait_for_connections(0, ONE_SECOND);
    let _streams: Vec<_> = (0..20).map(|n| server.open(&listen(&format!("user{n}")))).collect();
    server.send(&listen("one more")).assert_problem(503);
}

#[test]
fn anonymous_streams_count_by_address() {
    let server = Server::start();
    let request = get("/system/status/stream");
    let _streams: Vec<_> = (0..5).map(|_| server.open(&request)).collect();
    server.send(&request).assert_problem(429).head.assert_retry_after();
    Stream::open(peer_from(2, &server), &request);
    server.open(&get("/system/status/stream").bearer(&user("ann")));
}

#[test]
fn where_there_is_no_address_only_the_global_limit_holds() {
    let server = rill().flags(&["--max-connections", "8"]).listen_unix().start();
    let open = || Peer::unix(server.unix_path());
    let _streams: Vec<_> =
        (0..8).map(|_| Stream::open(open(), &get("/system/status/stream"))).collect();
    open().exchange(&get("/system/status/stream")).assert_problem(503);
}

#[test]
fn a_server_out_of_descriptors_lives_on() {
    let server = rill().descriptors(320).flags(&["--max-connections", "40"]).start();
    let mut stream = server.open(&listen("ann"));
    let mut publisher = server.connect();
    publisher.exchange(&get("/healthz")).assert_status(200);
    let crowd: Vec<_> = (0..400).map(|_| server.connect()).collect();
    let publish = post("/notifications/send", r#"{"message":"still here"}"#).bearer(&user("ann"));
    let (id, _) = publisher.exchange(&publish).published();
    stream.assert_next(&id);
    drop(crowd);
    server.send(&get("/healthz")).assert_status(200);
    server.open(&listen("ann"));
}
