//! `POST /auth/revoke`: tokens that count no more, and streams that end with them.

mod support;

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::tokens::{admin_jwt, jwt, jwt_with, with_tokens};
use support::*;

const PATH: &str = "/notifications/stream";

fn server() -> Server {
    with_tokens().start()
}

/// How many streams were ended.
#[track_caller]
fn revoke(server: &Server, what: Value) -> u64 {
    let response = server.post("/auth/revoke", &admin_jwt(), what);
    let answer = response.assert_status(200).json();
    let ended = answer["disconnected"].as_u64().expect("a number");
    assert_eq!(response.text(), format!(r#"{{"success":true,"disconnected":{ended}}}"#));
    // What is issued in the same millisecond is issued until now.
    sleep(Duration::from_millis(2));
    ended
}

fn revoke_ann(server: &Server) -> u64 {
    revoke(server, json!({ "sub": "ann" }))
}

#[track_caller]
fn assert_revoked(stream: &mut Stream) {
    stream.next_named("disconnected").assert_disconnected("revoked");
    stream.assert_ended();
}

/// It opens no stream, publishes nothing and is traded for nothing.
#[track_caller]
fn assert_worthless(server: &Server, token: &str) {
    let body = r#"{"message":"M","roomId":"r","connectionId":"1"}"#;
    for request in [
        get(PATH),
        get("/realtime/stream"),
        get("/chat/stream"),
        get("/system/status/stream"),
        get("/api/notifications/stream"),
        request("HEAD", PATH),
        post("/notifications/send", body),
        post("/chat/send", body),
        post("/tickets", "{}"),
        post("/auth/renew", body),
        post("/auth/revoke", r#"{"sub":"bob"}"#),
    ] {
        let response = server.send(&request.bearer(token));
        let challenge = response.assert_status(401).head.value("www-authenticate");
        assert!(challenge.is_some_and(|text| text.contains("invalid_token")), "{challenge:?}");
    }
}

#[test]
fn a_users_tokens_and_streams_end() {
    let server = server();
    let tokens = [jwt("ann"), jwt_with("ann", json!({ "jti": "t", "roles": ["publisher"] }))];
    let mut of_ann = [
        server.stream(PATH, &tokens[0]),
        server.stream(PATH, &tokens[1]),
        server.stream("/chat/stream?room=r", &tokens[0]),
        server.stream("/api/notifications/stream", &tokens[1]),
        server.stream("/system/status/stream", &tokens[0]),
        server.open(&get(PATH).http_1_0().bearer(&tokens[0])),
    ];
    let mut of_others = [
        server.stream(PATH, &jwt("bob")),
        server.stream(PATH, &jwt("Ann")),
        server.stream(PATH, &jwt("anna")),
    ];
    let start = Instant::now();
    assert_eq!(revoke_ann(&server), 6);
    for stream in &mut of_ann {
        assert_revoked(stream);
    }
    assert!(start.elapsed() < FIVE_SECONDS);
    for token in &tokens {
        assert_worthless(&server, token);
    }
    server.wait_for_connections(3, ONE_SECOND);
    let body = json!({ "message": "M", "broadcast": true });
    let id = server.publish("/notifications/send", &admin_jwt(), body);
    for stream in &mut of_others {
        stream.assert_next(&id);
    }
}

#[test]
fn one_token_and_its_streams_end() {
    let server = server();
    let [one, another, namesake] = [("ann", "t-1"), ("ann", "t-2"), ("t-1", "ann")]
        .map(|(user, id)| jwt_with(user, json!({ "jti": id })));
    let (mut first, mut second) = (server.stream(PATH, &one), server.stream(PATH, &one));
    let mut others = [
        server.stream(PATH, &another),
        server.stream(PATH, &namesake),
        server.stream(PATH, &jwt("ann")),
    ];
    assert_eq!(revoke(&server, json!({ "jti": "t-1" })), 2);
    assert_revoked(&mut first);
    assert_revoked(&mut second);
    assert_worthless(&server, &one);
    let body = json!({ "message": "M", "broadcast": true });
    let id = server.publish("/notifications/send", &admin_jwt(), body);
    for stream in &mut others {
        stream.assert_next(&id);
    }
    server.stream(PATH, &another);
    // Under this id nothing is signed again.
    assert_worthless(&server, &jwt_with("ann", json!({ "jti": "t-1" })));
}

#[test]
fn a_token_that_is_issued_later_counts() {
    let server = server();
    let before = jwt("ann");
    assert_eq!(revoke_ann(&server), 0);
    let mut stream = server.stream(PATH, &jwt("ann"));
    assert_worthless(&server, &before);
    // It does not say when it was issued, so it may have been before.
    let mut undated = tokens::claims("ann", json!({}));
    undated.as_object_mut().expect("an object").remove("iat");
    assert_worthless(&server, &tokens::ISSUER.token(&undated));
    let id = server.publish("/notifications/send", &jwt("ann"), json!({ "message": "M" }));
    stream.assert_next(&id);
    assert_eq!(revoke_ann(&server), 1);
    assert_revoked(&mut stream);
}

#[test]
fn it_outlasts_restarts() {
    let mut server = server();
    let (by_sub, by_jti) = (jwt("ann"), jwt_with("bob", json!({ "jti": "t-1" })));
    revoke_ann(&server);
    revoke(&server, json!({ "jti": "t-1" }));
    let later = jwt("ann");
    server = server.crash().start();
    for round in 0..2 {
        assert_worthless(&server, &by_sub);
        assert_worthless(&server, &by_jti);
        server.stream(PATH, &later);
        server.stream(PATH, &jwt("bob"));
        if round == 0 {
            server = server.stop().start();
        }
    }
}

#[test]
fn only_admins_revoke() {
    let server = server();
    let body = json!({ "sub": "bob" });
    let mut stream = server.stream(PATH, &jwt("bob"));
    for token in [jwt("ann"), jwt("bob"), jwt_with("ann", json!({ "roles": ["publisher"] }))] {
        server.post("/auth/revoke", &token, &body).assert_problem(403);
    }
    server.send(&post("/auth/revoke", body.to_string())).assert_problem(401);
    let id = server.publish("/notifications/send", &jwt("bob"), json!({ "message": "M" }));
    stream.assert_next(&id);
}

#[test]
fn an_admin_who_is_revoked_revokes_nobody() {
    let server = server();
    let root = admin_jwt();
    let other = jwt_with("other", json!({ "roles": ["admin"] }));
    server.post("/auth/revoke", &other, json!({ "sub": "root" })).assert_status(200);
    server.post("/auth/revoke", &root, json!({ "sub": "other" })).assert_problem(401);
    // Nor does one who has revoked himself.
    server.post("/auth/revoke", &other, json!({ "sub": "other" })).assert_status(200);
    server.post("/auth/revoke", &other, json!({ "sub": "bob" })).assert_problem(401);
}

#[test]
fn what_is_asked_for_badly() {
    let server = server();
    for body in [
        json!({}),
        json!({ "sub": "ann", "jti": "t" }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "jti": "" }),
        json!({ "jti": 1 }),
        json!({ "jti": ["t"] }),
        json!({ "jti": "j".repeat(257) }),
        json!({ "sub": ["ann"] }),
        json!({ "sub": true }),
    ] {
        server.post("/auth/revoke", &admin_jwt(), &body).assert_problem(422);
    }
    for name in ["a\nb", &"a".repeat(129)] {
        server.post("/auth/revoke", &admin_jwt(), json!({ "sub": name })).assert_problem(400);
    }
    server.send(&request("GET", "/auth/revoke").bearer(&admin_jwt())).assert_problem(405);
    server.stream(PATH, &jwt("ann"));
}

#[test]
fn streams_by_ticket_and_tickets_end_too() {
    let server = server();
    let ticket = |token: &str| {
        let answer = server.post("/tickets", token, "{}");
        answer.assert_status(200).json()["ticket"].as_str().expect("a ticket").to_owned()
    };
    let by = |ticket: &str| get(&format!("{PATH}?ticket={ticket}"));
    let token = jwt_with("ann", json!({ "jti": "t-1" }));
    let (used, waiting, others) = (ticket(&token), ticket(&token), ticket(&jwt("ann")));
    let mut stream = server.open(&by(&used));
    assert_eq!(revoke(&server, json!({ "jti": "t-1" })), 1);
    assert_revoked(&mut stream);
    server.send(&by(&waiting)).assert_problem(401);
    server.send(&by(&used).cursor(stream.connected.id())).assert_problem(401);
    server.open(&by(&others));
}

#[test]
fn an_admins_stream_ends_with_the_admins_token() {
    let server = server();
    let target = format!("{PATH}?userId=bob");
    let mut as_bob = server.stream(&target, &admin_jwt());
    let mut bob = server.stream(PATH, &jwt("bob"));
    let other = jwt_with("other", json!({ "roles": ["admin"] }));
    server.post("/auth/revoke", &other, json!({ "sub": "root" })).assert_status(200);
    assert_revoked(&mut as_bob);
    // Not with the token of him whose stream it is.
    let mut as_bob = server.stream(&target, &other);
    server.post("/auth/revoke", &other, json!({ "sub": "bob" })).assert_status(200);
    assert_revoked(&mut bob);
    let body = json!({ "message": "M", "userId": "bob" });
    let id = server.publish("/notifications/send", &other, body);
    as_bob.assert_next(&id);
}

#[test]
fn a_renewed_stream_stands_on_the_new_token() {
    let server = server();
    let token = |id: &str| jwt_with("ann", json!({ "jti": id }));
    let mut stream = server.stream(PATH, &token("old"));
    let body = json!({ "connectionId": stream.connected.text("connectionId") });
    server.post("/auth/renew", &token("new"), body).assert_status(200);
    assert_eq!(revoke(&server, json!({ "jti": "old" })), 0);
    let id = server.publish("/notifications/send", &jwt("ann"), json!({ "message": "M" }));
    stream.assert_next(&id);
    assert_eq!(revoke(&server, json!({ "jti": "new" })), 1);
    assert_revoked(&mut stream);
}

/// Nobody is sent what came after the revocation, even one who still had something to read.
#[test]
fn a_stream_that_is_behind_ends_too() {
    let server = server();
    let reader = clogged_stream_of(&server, &jwt("ann"), &jwt("ann"));
    assert_eq!(revoke_ann(&server), 1);
    server.wait_for_connections(0, FIVE_SECONDS);
    drop(reader);
}

/// A body may take its time; what its head has shown must still count when it is there.
#[test]
fn a_request_whose_token_is_revoked_before_its_body_is_whole_does_nothing() {
    let server = server();
    let token = jwt_with("ann", json!({ "jti": "slow" }));
    let mut room = server.stream("/chat/stream?room=r", &jwt("bob"));
    let body = json!({ "roomId": "r", "message": "late" }).to_string();
    let bytes = post("/chat/send", body.clone()).bearer(&token).bytes();
    let mut peer = server.connect();
    let head = bytes.len() - body.len();
    peer.send(&bytes[..head + 1]);
    // It is being read once the server has answered another that came later.
    server.send(&get("/healthz")).assert_status(200);
    revoke(&server, json!({ "jti": "slow" }));
    peer.send(&bytes[head + 1..]);
    peer.response(false).assert_problem(401);
    let heard = server.publish("/chat/send", &jwt("bob"), r#"{"roomId":"r","message":"heard"}"#);
    room.assert_next(&heard);
}

/// Revoked at the very moment at which it takes its own client's place: either it has it and ends, or
/// it is refused and the one that has it stays.
#[test]
fn who_is_refused_ousts_nobody() {
    let server = server();
    let target = "/notifications/stream?client=tab";
    let mut old = server.stream(target, &jwt("ann"));
    for round in 0..30 {
        let token = jwt_with("ann", json!({ "jti": format!("t-{round}") }));
        let mut peer = server.connect();
        std::thread::scope(|scope| {
            scope.spawn(|| revoke(&server, json!({ "jti": format!("t-{round}") })));
            peer.send(get(target).bearer(&token).bytes());
        });
        match peer.head().status {
            200 => {
                old.next_named("disconnected").assert_disconnected("replaced");
                old = server.stream(target, &jwt("ann"));
            }
            status => assert_eq!(status, 401),
        }
        let id = server.publish("/notifications/send", &jwt("ann"), json!({ "message": "M" }));
        old.assert_next(&id);
    }
}
