//! The gate between a socket and hyper: it lets one judged request through and then shuts.
//!
//! ```text
//!            a whole head, judged          its last byte given
//!   Shut ──────────────────────────▶ Open ─────────────────────▶ Shut
//!     └────────────────────────────▶ Unbounded (chunked: the connection's last request)
//! ```
//! While it is shut, bytes that arrive wait in the gate, so a pipelined request is judged like a
//! first one, and hyper never holds bytes that belong to the next request.

use super::head::{BodyLength, Head, HeadRefusal, MAX_HEAD, bad, judge};
use bytes::{Buf, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// One read while the gate is shut. It lies on the stack, so a waiting connection has no buffer;
/// most heads fit.
const CHUNK: usize = 4096;
/// Blank lines before a request are passed over (RFC 9112, 2.2), up to so many bytes: enough for
/// the line end that old clients send after a body, and no free stream of bytes for anyone.
const MAX_BLANK: usize = 64;

/// A socket that shows hyper one request at a time.
pub(super) struct Gate<I> {
    socket: I,
    state: State,
    /// What was read and not given to hyper; empty, and without an allocation, while idle.
    held: BytesMut,
    /// How much of `held` was judged and found not whole.
    judged: usize,
    /// Bytes of blank lines passed over since the last request.
    blank: usize,
    /// Whether our side of the connection is closed.
    finished: bool,
    progress: Arc<Mutex<Progress>>,
}

#[derive(Clone, Copy)]
enum State {
    /// No byte passes.
    Shut,
    /// This many bytes of the judged request are still to pass.
    Open { left: u64 },
    /// Everything passes. The end of a chunked body is found by hyper alone: a second chunk parser
    /// that disagreed with it would be the very hole that this gate closes. So nobody knows where
    /// a next request would begin: it counts as unread, and the connection ends with it.
    Unbounded,
}

/// What became of a connection's wait for a head.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The gate is open for this request.
    Request(Head),
    Refused(HeadRefusal),
    /// The peer is gone.
    Gone,
}

/// How far the request in hand is; shared by the gate, the answer's body and the driver, because
/// hyper owns the former two meanwhile.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    pub(super) answer: Answer,
    /// Whether the request may have bytes that hyper was not given.
    pub(super) unread: bool,
    /// Whether the connection ends with this request.
    pub(super) closing: bool,
    /// Since when the peer has not taken a byte of what waits for it.
    pub(super) stalled: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Awaited,
    /// hyper has all of it.
    Given,
    /// The kernel has all of it.
    Flushed,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Gate<I> {
    pub(super) fn new(socket: I) -> Gate<I> {
        Gate {
            socket,
            state: State::Shut,
            held: BytesMut::new(),
            judged: 0,
            blank: 0,
            finished: false,
            progress: Arc::new(Mutex::new(Progress::of(false))),
        }
    }

    pub(super) fn progress(&self) -> Arc<Mutex<Progress>> {
        Arc::clone(&self.progress)
    }

    /// Whether hyper closed our side of the connection, which it does after a last answer.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The socket. Bytes that were read ahead are dropped.
    pub(super) fn into_socket(self) -> I {
        self.socket
    }

    /// Ready when the next request has begun; `false` when the peer is gone instead.
    pub(super) fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while self.held.is_empty() && self.blank <= MAX_BLANK {
            if matches!(ready!(self.poll_hold(cx)), Ok(0) | Err(_)) {
                return Poll::Ready(false);
            }
        }
        Poll::Ready(true)
    }

    /// Ready when the next head is whole and judged; the gate is open if it may pass.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Arrival> {
        loop {
            match self.judge() {
                Ok(Some(head)) => return Poll::Ready(Arrival::Request(head)),
                Ok(None) => {}
                Err(refusal) => return Poll::Ready(Arrival::Refused(refusal)),
            }
            if matches!(ready!(self.poll_hold(cx)), Ok(0) | Err(_)) {
                return Poll::Ready(Arrival::Gone);
            }
        }
    }

    /// Reads and forgets; ready with the number of bytes, 0 at the end.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.held = BytesMut::new();
        let mut chunk = [const { MaybeUninit::uninit() }; CHUNK];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut chunk))?;
        Poll::Ready(Ok(chunk.filled().len()))
    }

    fn judge(&mut self) -> Result<Option<Head>, HeadRefusal> {
        if self.blank > MAX_BLANK {
            return Err(bad("The request head is malformed."));
        }
        if !self.is_worth_judging() {
            return Ok(None);
        }
        let verdict = judge(&self.held);
        self.judged = self.held.len();
        if let Ok(Some(head)) = &verdict {
            self.open(head);
        }
        verdict
    }

    /// At the first bytes, so that what is not HTTP is refused at once; then only when something
    /// can have changed, because judging every byte of a slow head anew would be quadratic.
    fn is_worth_judging(&self) -> bool {
        let fresh = &self.held[self.judged.saturating_sub(2)..];
        let ends = || fresh.windows(2).any(|w| w == b"\n\n");
        let ends_with_cr = || fresh.windows(3).any(|w| w == b"\n\r\n");
        !self.held.is_empty()
            && (self.judged == 0 || self.held.len() >= MAX_HEAD || ends() || ends_with_cr())
    }

    fn open(&mut self, head: &Head) {
        self.judged = 0;
        self.blank = 0;
        self.state = match head.body {
            BodyLength::Sized(body) => {
                State::Open { left: body.saturating_add(head.length as u64) }
            }
            BodyLength::Chunked => State::Unbounded,
        };
        *self.progress.lock() = Progress::of(!head.persistent);
    }

    /// Reads bytes that may not pass yet; ready with their number, 0 at the end.
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut chunk = [const { MaybeUninit::uninit() }; CHUNK];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut chunk))?;
        self.held.extend_from_slice(chunk.filled());
        self.pass_over_blank_lines();
        Poll::Ready(Ok(chunk.filled().len()))
    }

    fn pass_over_blank_lines(&mut self) {
        while self.blank <= MAX_BLANK {
            let line = match self.held[..] {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                _ => break,
            };
            self.held.advance(line);
            self.blank += line;
            self.judged = 0;
        }
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    /// hyper reads while its service works only to see whether the peer has left. An end behind
    /// bytes of another request is not shown: that request came whole perhaps, and has its turn.
    fn poll_shut(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.held.len() < MAX_HEAD && self.blank <= MAX_BLANK {
            if ready!(self.poll_hold(cx))? == 0 {
                return if self.held.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
        }
        Poll::Pending
    }

    /// Gives hyper up to `most` bytes.
    fn poll_give(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        most: usize,
    ) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            self.give_held(buffer, most);
            return Poll::Ready(Ok(()));
        }
        if buffer.remaining() <= most {
            return Pin::new(&mut self.socket).poll_read(cx, buffer);
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut part))?;
        let given = part.filled().len();
        buffer.advance(given);
        Poll::Ready(Ok(()))
    }

    fn give_held(&mut self, buffer: &mut ReadBuf<'_>, most: usize) {
        let length = self.held.len().min(buffer.remaining()).min(most);
        buffer.put_slice(&self.held[..length]);
        self.held.advance(length);
    }

    fn gave(&mut self, left: u64) {
        if left == 0 {
            self.state = State::Shut;
            self.progress.lock().unread = false;
            self.pass_over_blank_lines();
        } else {
            self.state = State::Open { left };
        }
    }

    /// Notes whether the peer takes what it is sent.
    fn wrote<T>(&self, result: Poll<T>) -> Poll<T> {
        let mut progress = self.progress.lock();
        progress.stalled = match result {
            Poll::Pending => progress.stalled.or_else(|| Some(Instant::now())),
            Poll::Ready(_) => None,
        };
        result
    }
}

impl Progress {
    fn of(closing: bool) -> Progress {
        Progress { answer: Answer::Awaited, unread: true, closing, stalled: None }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gate<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        match gate.state {
            State::Shut => gate.poll_shut(cx),
            State::Open { left } => {
                let filled = buffer.filled().len();
                let most = usize::try_from(left).unwrap_or(usize::MAX);
                ready!(gate.poll_give(cx, buffer, most))?;
                gate.gave(left - (buffer.filled().len() - filled) as u64);
                Poll::Ready(Ok(()))
            }
            State::Unbounded => gate.poll_give(cx, buffer, usize::MAX),
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        let result = Pin::new(&mut gate.socket).poll_write(cx, bytes);
        gate.wrote(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        let result = Pin::new(&mut gate.socket).poll_write_vectored(cx, slices);
        gate.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// hyper flushes the socket only when its own buffer is empty.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        let result = Pin::new(&mut gate.socket).poll_flush(cx);
        ready!(gate.wrote(result))?;
        let mut progress = gate.progress.lock();
        if progress.answer == Answer::Given {
            progress.answer = Answer::Flushed;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        ready!(Pin::new(&mut gate.socket).poll_shutdown(cx))?;
        gate.finished = true;
        Poll::Ready(Ok(()))
    }
}

/// An answer's body, whose drop tells that hyper has all of it.
pub(super) struct AnswerBody<B> {
    body: B,
    progress: Arc<Mutex<Progress>>,
}

impl<B> AnswerBody<B> {
    pub(super) fn new(body: B, progress: Arc<Mutex<Progress>>) -> AnswerBody<B> {
        AnswerBody { body, progress }
    }
}

impl<B: Body + Unpin> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for AnswerBody<B> {
    fn drop(&mut self) {
        self.progress.lock().answer = Answer::Given;
    }
}
