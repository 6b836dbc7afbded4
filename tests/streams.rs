//! The streams of all documents: head, first block, topics, and what is refused before there is a stream.

mod support;

use support::*;

const PATHS: [&str; 7] = [
    "/notifications/stream",
    "/realtime/stream",
    "/chat/stream",
    "/system/status/stream",
    "/api/notifications/stream",
    "/sse/connect",
    "/api/sse",
];

/// `POST /realtime/update` about one entity; the id of its event.
fn update(server: &Server, entity_type: &str, entity_id: &str) -> String {
    let body = serde_json::json!({ "entityType": entity_type, "entityId": entity_id, "action": "updated" });
    server.publish("/realtime/update", DEMO, body)
}

fn say(server: &Server, room: &str) -> String {
    server.publish("/chat/send", DEMO, serde_json::json!({ "roomId": room, "message": "hello" }))
}

#[track_caller]
fn assert_stream_head(head: &Head) {
    assert_eq!(head.status, 200);
    head.assert_value("content-type", "text/event-stream");
    head.assert_value("cache-control", "no-cache, no-store, no-transform");
    head.assert_value("x-accel-buffering", "no");
    head.assert_value("x-content-type-options", "nosniff");
    head.assert_value("access-control-allow-origin", "*");
    assert_eq!(head.value("content-length"), None);
}

#[test]
fn every_stream_begins_with_its_head_and_connected() {
    let server = Server::start();
    for path in PATHS {
        let stream = server.stream(path, DEMO);
        assert_stream_head(&stream.head);
        assert_eq!(stream.head.version, "HTTP/1.1");
        stream.head.assert_value("transfer-encoding", "chunked");
        stream.head.assert_value("connection", "keep-alive");
        if path != "/system/status/stream" {
            stream.connected.assert_connected(Some("test123"), "none", 30_000);
        }
    }
}

#[test]
fn the_status_stream_needs_no_credential() {
    let server = Server::start();
    let mut stream = server.open(&get("/system/status/stream"));
    assert_stream_head(&stream.head);
    stream.connected.assert_connected(None, "none", 30_000);
    assert_eq!(stream.next_of_all().name(), "status");
}

#[test]
fn connection_ids_differ() {
    let server = Server::start();
    let id =
        || server.stream("/notifications/stream", DEMO).connected.json()["connectionId"].clone();
    assert_ne!(id(), id());
}

#[test]
fn a_frame_is_one_chunk() {
    let server = Server::start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    let id = server.notify("ann", "Grüße");
    let Piece::Chunk(chunk) = stream.peer().piece() else { panic!("no chunk") };
    let frame = String::from_utf8(chunk).expect("text");
    assert!(frame.starts_with(&format!("id: {id}\nevent: notification\ndata: {{")), "{frame}");
    assert!(frame.ends_with("}\n\n"), "{frame}");
    assert_eq!(frame.matches('\n').count(), 4, "{frame}");
}

#[test]
fn the_head_and_connected_arrive_without_an_event() {
    let server = Server::start();
    let mut peer = server.connect();
    peer.send(get("/notifications/stream").bearer(DEMO).bytes());
    let head = peer.head();
    assert!(head.is_stream());
    let Piece::Chunk(chunk) = peer.piece() else { panic!("no chunk") };
    assert!(chunk.starts_with(b"retry: "), "{:?}", String::from_utf8_lossy(&chunk));
}

#[test]
fn a_user_gets_his_notifications_and_those_for_all() {
    let server = Server::start();
    let mut ann = server.stream("/notifications/stream", &user("ann"));
    server.notify("bob", "not for ann");
    let own = server.notify("ann", "for ann");
    let all =
        server.publish("/notifications/send", DEMO, r#"{"message":"for all","broadcast":true}"#);
    ann.assert_next(&own);
    ann.assert_next(&all);
}

#[test]
fn realtime_narrows_to_a_type_and_to_an_entity() {
    let server = Server::start();
    let mut all = server.stream("/realtime/stream", DEMO);
    let mut users = server.stream("/realtime/stream?entityType=user", DEMO);
    let mut one = server.stream("/realtime/stream?entityType=user&entityId=1", DEMO);
    let order = update(&server, "order", "1");
    let other = update(&server, "user", "2");
    let maintenance = server.publish("/system/maintenance", DEMO, r#"{"message":"soon"}"#);
    let wanted = update(&server, "user", "1");
    for id in [&order, &other, &maintenance, &wanted] {
        all.assert_next(id);
    }
    users.assert_next(&other);
    users.assert_next(&wanted);
    one.assert_next(&wanted);
}

#[test]
fn a_slash_inside_a_name_separates_nothing() {
    let server = Server::start();
    let mut slashed = server.stream("/realtime/stream?entityType=a%2Fb", DEMO);
    let mut pair = server.stream("/realtime/stream?entityType=a&entityId=b", DEMO);
    let to_pair = update(&server, "a", "b");
    let to_slashed = update(&server, "a/b", "c");
    pair.assert_next(&to_pair);
    slashed.assert_next(&to_slashed);
}

#[test]
fn chat_is_one_room_or_every_room() {
    let server = Server::start();
    let mut every = server.stream("/chat/stream", &user("ann"));
    let mut one = server.stream("/chat/stream?room=general", &user("bob"));
    let elsewhere = say(&server, "a room that is new");
    let general = say(&server, "general");
    assert_eq!(every.next_named("message").id(), elsewhere);
    assert_eq!(every.next_named("message").id(), general);
    one.assert_next(&general);
}

#[test]
fn maintenance_reaches_the_status_and_realtime_streams() {
    let server = Server::start();
    let mut status = server.open(&get("/system/status/stream"));
    let mut realtime = server.stream("/realtime/stream", &user("ann"));
    let id = server.publish("/system/maintenance", DEMO, r#"{"message":"soon"}"#);
    status.assert_next(&id);
    realtime.assert_next(&id);
}

#[test]
fn an_event_that_matches_twice_comes_once() {
    let server = Server::start();
    let mut ann = server.stream("/notifications/stream", &user("ann"));
    let body = r#"{"message":"twice","userIds":["ann","bob","ann"]}"#;
    let (id, subscribers) = server.post("/notifications/send", DEMO, body).published();
    assert_eq!(subscribers, 1);
    let after = server.notify("ann", "after");
    ann.assert_next(&id);
    ann.assert_next(&after);
}

#[test]
fn names_are_form_urlencoded() {
    let server = Server::start();
    let mut stream = server.stream("/chat/stream?room=the+big%20r%C3%B6om%2B", &user("ann"));
    let id = say(&server, "the big röom+");
    stream.assert_next(&id);
}

#[test]
fn what_makes_no_sense_is_400() {
    let server = Server::start();
    for target in [
        "/realtime/stream?entityId=1",
        "/chat/stream?room=%FF",
        "/realtime/stream?entityType=%C3",
        "/notifications/stream?userId=%0A",
        "/chat/stream?room=a%0Db",
    ] {
        server.send(&get(target).bearer(DEMO)).assert_problem(400);
    }
}

#[test]
fn a_body_on_a_get_is_400() {
    let server = Server::start();
    for path in PATHS {
        let request = get(path).bearer(DEMO);
        let sized = request.clone().field("Content-Length", "2").body("{}");
        let chunked = request.field("Transfer-Encoding", "chunked").body("2\r\n{}\r\n0\r\n\r\n");
        server.send(&sized).assert_status(400);
        server.send(&chunked).assert_status(400);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn accept_may_rule_the_stream_out() {
    let server = Server::start();
    let with = |accept: &str| get("/notifications/stream").bearer(DEMO).field("Accept", accept);
    for accept in
        ["application/json", "text/html, application/*;q=0.9", "text/event-stream;q=0", "*/*;q=0"]
    {
        server.send(&with(accept)).assert_problem(406);
    }
    for accept in
        ["text/event-stream", "*/*", "text/*", "text/html, */*;q=0.1", "Text/Event-Stream;q=0.5"]
    {
        server.open(&with(accept));
    }
}

#[test]
fn http_1_0_gets_the_same_blocks_without_chunks() {
    let server = Server::start();
    let mut stream = server.open(&get("/notifications/stream").http_1_0().bearer(&user("ann")));
    assert_stream_head(&stream.head);
    assert_eq!(stream.head.value("transfer-encoding"), None);
    assert_ne!(stream.head.value("connection"), Some("keep-alive"));
    stream.connected.assert_connected(Some("ann"), "none", 30_000);
    let id = server.notify("ann", "hello");
    let event = stream.assert_next(&id);
    let data = r#"{"id":"$id","title":null,"message":"hello","type":"info","timestamp":"$now","userId":"ann"}"#;
    event.assert(Some(&id), "notification", data);
}

#[test]
fn a_unix_socket_and_several_ports_are_one_hub() {
    let server = rill().listen("127.0.0.1:0").listen_unix().listen("127.0.0.1:0").start();
    let [first, second] = *server.addresses() else { panic!("{:?}", server.addresses()) };
    let listen = get("/notifications/stream").bearer(&user("ann"));
    let peers = [Peer::tcp(first), Peer::tcp(second), Peer::unix(server.unix_path())];
    let mut streams = peers.map(|peer| Stream::open(peer, &listen));
    let publish = post("/notifications/send", r#"{"message":"hello","userId":"ann"}"#).bearer(DEMO);
    let (id, subscribers) = Peer::unix(server.unix_path()).exchange(&publish).published();
    assert_eq!(subscribers, 3);
    for stream in &mut streams {
        stream.connected.assert_connected(Some("ann"), "none", 30_000);
        stream.assert_next(&id);
    }
}

#[test]
fn any_number_of_shards_is_one_hub() {
    for shards in ["1", "3"] {
        let server = rill().flags(&["--shards", shards]).start();
        let mut streams: Vec<_> = (0..12)
            .map(|n| server.stream("/notifications/stream", &user(&format!("user{n}"))))
            .collect();
        let body = r#"{"message":"M","broadcast":true}"#;
        let (id, subscribers) = server.post("/notifications/send", DEMO, body).published();
        assert_eq!(subscribers, 12);
        for stream in &mut streams {
            stream.assert_next(&id);
        }
    }
}

#[test]
fn a_stream_is_not_compressed() {
    let server = Server::start();
    let stream = server
        .open(&get("/notifications/stream").bearer(DEMO).field("Accept-Encoding", "gzip, br"));
    assert_eq!(stream.head.value("content-encoding"), None);
}

#[test]
fn bytes_after_the_get_are_thrown_away() {
    let server = Server::start();
    let behind =
        get("/notifications/stream").bearer(&user("ann")).body(get("/healthz").bytes().repeat(50));
    let mut stream = server.open(&behind);
    for _ in 0..100 {
        stream.peer().send(get("/healthz").bytes());
        stream.peer().send([0; 1000]);
    }
    let id = server.notify("ann", "still here");
    stream.assert_next(&id);
}
