//! Everything that the send loop sends.

use crate::stamp::Stamp;

/// For a path that it does not know.
pub(super) const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// For what it cannot read; the connection ends with it.
pub(super) const BAD_REQUEST: &str =
    "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\
    Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n";

/// A stream's head and first event.
pub(super) fn hello(id: &str) -> String {
    HEAD.to_owned() + &chunk(&format!("retry: 3000\nid: {id}\nevent: connected\ndata: {{}}\n\n"))
}

/// The answer to a publish.
pub(super) fn receipt(id: &str) -> String {
    let body = format!(r#"{{"success":true,"id":"{id}"}}"#);
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// An event of about `size` bytes on the wire (exactly, if a chunk of that size exists), shaped
/// like a server's.
pub(super) fn event(id: &str, stamp: Stamp, size: usize) -> String {
    let bare = block(id, stamp, 0);
    let framing = 4 + format!("{:x}", size.saturating_sub(6)).len();
    chunk(&block(id, stamp, size.saturating_sub(framing + bare.len())))
}

fn block(id: &str, stamp: Stamp, padding: usize) -> String {
    let pad = "x".repeat(padding);
    format!(
        "id: {id}\nevent: notification\ndata: {{\"message\":\"{stamp}\",\"pad\":\"{pad}\"}}\n\n"
    )
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Scope;

    #[test]
    fn events_have_the_size_that_is_wanted() {
        let stamp = Stamp { scope: Scope::Lane(1), k: 99, t: 123_456_789_012 };
        for size in [120, 200, 261, 263, 300, 5000] {
            assert_eq!(event("123456-7.loop", stamp, size).len(), size);
        }
        let least = event("123456-7.loop", stamp, 0);
        assert!(least.len() > 80, "never less than the event itself");
        assert_eq!(Stamp::find(least.as_bytes()), Some(stamp));
    }
}
