//! `?client=NAME`: a stream that comes back takes the place of the one that it lost.

mod support;

use support::*;

const TAB: &str = "/notifications/stream?client=tab";

#[test]
fn a_new_stream_of_the_same_client_takes_the_place_of_the_old() {
    let server = Server::start();
    let mut old = server.stream(TAB, &user("ann"));
    let mut new = server.stream(TAB, &user("ann"));
    old.next().assert_disconnected("replaced");
    old.assert_ended();
    let (id, subscribers) =
        server.post("/notifications/send", &user("ann"), r#"{"message":"M"}"#).published();
    assert_eq!(subscribers, 1);
    new.assert_next(&id);
    assert_eq!(server.connections(), 1);
}

#[test]
fn http_1_0_is_told_too() {
    let server = Server::start();
    let request = get(TAB).http_1_0().bearer(&user("ann"));
    let mut old = server.open(&request);
    let _new = server.open(&request);
    old.next().assert_disconnected("replaced");
    old.assert_ended();
}

#[test]
fn other_clients_and_other_users_stay() {
    let server = Server::start();
    let mut streams = [
        server.stream(TAB, &user("ann")),
        server.stream(TAB, &user("bob")),
        server.stream("/notifications/stream?client=another", &user("ann")),
        server.stream("/notifications/stream", &user("ann")),
        server.stream("/notifications/stream", &user("ann")),
    ];
    let id = server.publish("/notifications/send", DEMO, r#"{"message":"M","broadcast":true}"#);
    for stream in &mut streams {
        stream.assert_next(&id);
    }
}

#[test]
fn a_return_costs_no_slot_of_the_user() {
    let server = Server::start();
    let mut others: Vec<_> =
        (0..4).map(|_| server.stream("/notifications/stream", &user("ann"))).collect();
    let mut old = server.stream(TAB, &user("ann"));
    for _ in 0..10 {
        let new = server.stream(TAB, &user("ann"));
        old.next().assert_disconnected("replaced");
        old = new;
    }
    server.send(&get("/notifications/stream").bearer(&user("ann"))).assert_problem(429);
    let id = server.notify("ann", "all are here");
    for stream in others.iter_mut().chain([&mut old]) {
        stream.assert_next(&id);
    }
    server.wait_for_connections(5, ONE_SECOND);
}

#[test]
fn a_return_costs_no_slot_of_the_server() {
    let server = rill().flags(&["--max-connections", "2"]).start();
    let mut old = server.stream(TAB, &user("ann"));
    let _other = server.stream(TAB, &user("bob"));
    server.send(&get(TAB).bearer(&user("eve"))).assert_problem(503);
    let _new = server.stream(TAB, &user("ann"));
    old.next().assert_disconnected("replaced");
    server.wait_for_connections(2, ONE_SECOND);
}

#[test]
fn a_return_with_a_cursor_loses_nothing() {
    let server = Server::start();
    let mut old = server.stream(TAB, &user("ann"));
    let seen = server.notify("ann", "seen");
    old.assert_next(&seen);
    let missed = server.notify("ann", "not read any more");
    let mut new = server.open(&get(TAB).bearer(&user("ann")).cursor(&seen));
    new.connected.assert_connected(Some("ann"), "full", 30_000);
    new.assert_next(&missed);
}
