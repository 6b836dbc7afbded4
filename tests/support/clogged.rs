//! A stream whose reader does not read, with more waiting for it than the kernel takes.

use super::*;

/// Opens it; it stays clogged as long as the peer lives and reads nothing.
pub(crate) fn clogged_stream(server: &Server) -> Peer {
    let mut reader = server.connect();
    reader.send(get("/notifications/stream").bearer(&user("ann")).bytes());
    server.wait_for_connections(1, ONE_SECOND);
    let body = format!(r#"{{"message":"{}"}}"#, "x".repeat(200_000));
    let publish = post("/notifications/send", body).bearer(&user("ann"));
    let mut publisher = server.connect();
    for _ in 0..60 {
        publisher.exchange(&publish).published();
    }
    reader
}
