//! Bodies that come and do not end: they are in nobody's way.

mod support;

use std::sync::mpsc;
use std::thread;

use support::*;

/// One byte short of the largest body.
const ALMOST: usize = 256 * 1024 - 1;

fn message(length: usize) -> String {
    format!(r#"{{"message":"{}"}}"#, "x".repeat(length))
}

#[test]
fn who_holds_many_large_bodies_open_keeps_nobody_from_publishing() {
    let server = Server::start();
    let almost = message(ALMOST - message(0).len());
    let request = post("/notifications/send", format!("{almost} ")).bearer(&user("greedy"));
    let head = request.body("").bytes();
    let (answer, answers) = mpsc::channel();
    // Some 66 of these are the 16 MiB that one user may have; the next is refused as it comes.
    for _ in 0..80 {
        let (mut peer, answer) = (server.connect(), answer.clone());
        peer.send(&head);
        peer.send(&almost);
        // The threads of those that are not refused end with the test.
        thread::spawn(move || answer.send(peer.response(false)));
    }
    let refused = answers.recv_timeout(PATIENCE).expect("one is refused");
    refused.assert_problem(429);
    refused.head.assert_retry_after();

    for length in [10, 20_000, 200_000] {
        server.post("/notifications/send", &user("other"), message(length)).assert_status(200);
    }
    server.post("/notifications/send", &user("greedy"), message(10)).assert_status(200);
}
