//! What peers are expected to get, byte for byte.

use std::sync::Arc;

use super::kit::place;
use crate::frame::{Frame, Framing};

/// The bytes of these frames for an HTTP/1.1 peer.
pub(super) fn chunks<'a>(frames: impl IntoIterator<Item = &'a Arc<Frame>>) -> String {
    framed(Framing::Chunked, frames)
}

/// The bytes of these frames.
pub(super) fn framed<'a>(
    framing: Framing,
    frames: impl IntoIterator<Item = &'a Arc<Frame>>,
) -> String {
    let bytes: Vec<u8> =
        frames.into_iter().flat_map(|frame| frame.bytes(framing)).copied().collect();
    String::from_utf8(bytes).expect("text")
}

/// A chunk, written down once more so that the encoder does not judge itself.
pub(super) fn chunk(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n", body.len())
}

/// The heartbeat at the n-th event.
pub(super) fn heartbeat(number: usize) -> String {
    let id = place(number).milliseconds();
    chunk(&format!("id: {id}-0.0000000a\nevent: heartbeat\ndata: {{}}\n\n"))
}

/// The block that tells why a stream ends.
pub(super) fn disconnected(reason: &str, message: &str) -> String {
    format!(
        "event: disconnected\ndata: {{\"reason\":\"{reason}\",\"message\":\"{message}\",\
         \"timestamp\":\"1970-01-01T00:00:05.000Z\"}}\n\n"
    )
}

/// The end of a chunked stream.
pub(super) fn last_words(block: &str) -> String {
    format!("{}0\r\n\r\n", chunk(block))
}

pub(super) fn slow_consumer() -> String {
    last_words(&disconnected("slow_consumer", "The connection was too far behind"))
}

pub(super) fn idle_timeout() -> String {
    last_words(&disconnected("idle_timeout", "The connection took no data for too long"))
}

pub(super) fn revoked() -> String {
    let message = "The credential of this stream, or its right to it, was withdrawn";
    last_words(&disconnected("revoked", message))
}
