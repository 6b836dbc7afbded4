//! A stream whose reader does not read, with more waiting for it than the kernel takes.

use super::*;

/// Opens it; it stays clogged as long as the peer lives and reads nothing.
pub(crate) fn clogged_stream(server: &Server) -> Peer {
    clogged_stream_of(server, &user("ann"), &user("ann"))
}

/// The same for a user who reads with one token and sends himself everything with another.
pub(crate) fn clogged_stream_of(server: &Server, reads: &str, sends: &str) -> Peer {
    let mut reader = server.connect();
    reader.send(get("/notifications/stream").bearer(reads).bytes());
    server.wait_for_connections(1, ONE_SECOND);
    let body = format!(r#"{{"message":"{}"}}"#, "x".repeat(200_000));
    let publish = post("/notifications/send", body).bearer(sends);
    let mut publisher = server.connect();
    for _ in 0..60 {
        publisher.exchange(&publish).published();
    }
    reader
}
