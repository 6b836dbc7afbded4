//! From the bytes of a socket to answers and events. No part of it assumes where a read ends.
//!
//! ```text
//! bytes ─▶ head (status, framing) ─▶ chunks (takes the chunk coding off) ─▶ events (SSE blocks)   = StreamReader
//!                                └─▶ body of known length                                         = AnswerReader
//! ```

mod answer;
mod chunks;
mod events;
mod head;
mod stream;

pub(crate) use answer::{Answer, AnswerReader};
pub(crate) use events::Event;
pub(crate) use stream::{Item, StreamReader};

/// What a server may not send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireFault {
    /// No HTTP/1.x answer.
    #[error("not an HTTP/1 answer head")]
    Head,
    /// A head, a chunk-size line or the answer to a publish that does not end.
    #[error("a head, a chunk header or an answer over {0} bytes")]
    TooLong(usize),
    /// The stream was not granted.
    #[error("status {0}")]
    Status(u16),
    /// A 200 that is not an event stream.
    #[error("the answer is not text/event-stream")]
    MediaType,
    /// Broken chunk coding.
    #[error("broken chunk coding")]
    Chunk,
    /// An event that exceeds what we are ready to keep.
    #[error("an event over {0} bytes")]
    EventTooLong(usize),
}
