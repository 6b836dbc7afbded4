//! The end of a connection whose peer may still be sending.
//!
//! Closed at once, the kernel would answer those bytes with RST, and the peer could lose the last
//! answer unread (RFC 9112, 9.6). So our side is closed first, and what still comes is thrown away.

use super::gate::Gate;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

/// How long a closing connection stays open for a peer that still sends.
const LINGER: Duration = Duration::from_secs(2);
/// How much of what such a peer sends is read; then TCP's window stops it, and it has the rest of
/// [`LINGER`] to read its answer.
const LINGER_BYTES: usize = 1024 * 1024;

/// Sends what is left to say, closes our side, and gives the peer time to read it.
pub(super) async fn send_and_linger<I>(gate: &mut Gate<I>, farewell: &[u8])
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let closing = async {
        send(gate, farewell).await?;
        poll_fn(|cx| Pin::new(&mut *gate).poll_shutdown(cx)).await?;
        discard(gate).await
    };
    // Whether it worked changes nothing any more: the socket is dropped next.
    drop(timeout(LINGER, closing).await);
}

/// Sends bytes, all of them.
pub(super) async fn send<I>(gate: &mut Gate<I>, mut bytes: &[u8]) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|cx| {
        while !bytes.is_empty() {
            let sent = ready!(Pin::new(&mut *gate).poll_write(cx, bytes))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            bytes = &bytes[sent..];
        }
        Pin::new(&mut *gate).poll_flush(cx)
    })
    .await
}

async fn discard<I>(gate: &mut Gate<I>) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut read = 0;
    while read < LINGER_BYTES {
        match poll_fn(|cx| gate.poll_discard(cx)).await? {
            0 => return Ok(()),
            length => read += length,
        }
    }
    pending().await
}
