//! One connection's life: heads, answers, the hand-off of a stream, and a close that loses nothing.
//!
//! ```text
//!  accept ──▶ head ──▶ exchange ──▶ head (kept alive) …
//!              │           ├──▶ handed off: the socket goes to a shard
//!              └──▶ refused┴──▶ linger ──▶ ended
//! ```
//! hyper lives for one exchange only: what waits for a head has a [`Gate`] and no buffer, and no
//! byte of one request can be taken for a part of another.

use super::gate::{Answer, AnswerBody, Arrival, Gate, Progress};
use super::head::Head;
pub(crate) use super::head::HeadRefusal;
use super::linger::{send, send_and_linger};
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::error::Error;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// How long a peer may leave its answer untouched before it is taken for dead; answers are small,
/// so a living peer needs a fraction of it.
const ANSWER_STALL: Duration = Duration::from_secs(30);
/// The most that hyper reads or writes at once: room for any head that the gate lets through, and
/// a body of 256 KiB in a few reads.
const BUFFER: usize = 64 * 1024;

/// How long a connection may wait for its client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For a whole head: the first from accept on, a later one from its first byte on.
    pub(crate) head: Duration,
    /// For the first byte of a further request.
    pub(crate) keep_alive: Duration,
}

/// What answers the requests of a connection.
pub(crate) trait Serve: Sync {
    /// What a hand-off takes along with the socket.
    type Seat: Send;
    /// The body of an answer.
    type Body: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static;

    /// Answers a request, or takes the connection over with [`Handoff::seat`].
    ///
    /// Dropped when the client of a GET or HEAD leaves; any other request is carried out to its
    /// end. A panic costs this request alone.
    fn serve(
        &self,
        request: Request<Incoming>,
        handoff: Handoff<Self::Seat>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// The whole answer, head and body, to a head that may not pass. The connection ends after it.
    fn refuse(&self, refusal: &HeadRefusal) -> Bytes;

    /// The answer in place of one whose future panicked.
    fn fault(&self) -> Response<Self::Body>;
}

/// The one chance of a request to take its connection over.
pub(crate) struct Handoff<T>(Arc<Mutex<Option<Takeover<T>>>>);

/// What a request wants with its connection.
enum Takeover<T> {
    /// The socket, for good.
    Seat(T),
    /// To answer with these bytes.
    Say(Bytes),
}

impl<T> Handoff<T> {
    /// Answers with a head that hyper would not write, and no body; never returns. To be awaited in
    /// [`Serve::serve`] itself.
    pub(crate) async fn say(self, head: Bytes) -> ! {
        *self.0.lock() = Some(Takeover::Say(head));
        pending().await
    }

    /// Hands the socket over together with `seat`, without an answer; never returns. To be awaited
    /// in [`Serve::serve`] itself, because nothing else tells the driver to look.
    pub(crate) async fn seat(self, seat: T) -> ! {
        *self.0.lock() = Some(Takeover::Seat(seat));
        pending().await
    }
}

/// How a connection's time with the driver ended.
#[derive(Debug)]
pub(crate) enum Outcome<I, T> {
    /// A request took it over. The socket is open, everything earlier is answered and flushed,
    /// nothing of this request is; bytes that came after the request are dropped.
    HandedOff {
        /// As it was given to [`drive`].
        socket: I,
        /// As it was given to [`Handoff::seat`].
        seat: T,
    },
    /// It is closed.
    Ended(Ending),
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The peer left, or the connection broke.
    Peer,
    /// A head was not whole in time; no answer was sent.
    HeadTimeout,
    /// No further request came in time.
    Idle,
    /// The server drains, and the connection had no request in hand.
    Drained,
    /// A head was refused with this status.
    Refused(StatusCode),
    /// An answer was the last one: the client, the answer or the drain wanted it so, or the
    /// request was chunked or its body unread.
    LastAnswer,
    /// The peer did not take its answer.
    Stalled,
}

/// Drives a connection until it ends or a request takes it over.
///
/// When `drain` turns true, a connection between requests ends at once, and any other one with
/// its current answer.
pub(crate) async fn drive<I, S>(
    socket: I,
    timeouts: &Timeouts,
    service: &S,
    mut drain: watch::Receiver<bool>,
) -> Outcome<I, S::Seat>
where
    I: AsyncRead + AsyncWrite + Unpin + Send,
    S: Serve,
{
    let mut gate = Gate::new(socket);
    let mut arrival = first_head(&mut gate, timeouts, &mut drain).await;
    loop {
        let head = match arrival {
            Ok(Arrival::Request(head)) => head,
            Ok(Arrival::Refused(refusal)) => {
                send_and_linger(&mut gate, &service.refuse(&refusal)).await;
                return Outcome::Ended(Ending::Refused(refusal.status));
            }
            Ok(Arrival::Gone) => return Outcome::Ended(Ending::Peer),
            Err(ending) => return Outcome::Ended(ending),
        };
        match exchange(gate, head, service, &drain).await {
            Exchange::Answered(kept) => gate = kept,
            Exchange::Seated(gate, seat) => {
                return Outcome::HandedOff { socket: gate.into_socket(), seat };
            }
            Exchange::Last(mut gate) => {
                send_and_linger(&mut gate, &[]).await;
                return Outcome::Ended(Ending::LastAnswer);
            }
            Exchange::Broken(ending) => return Outcome::Ended(ending),
        }
        arrival = next_head(&mut gate, timeouts, &mut drain).await;
    }
}

async fn first_head<I>(
    gate: &mut Gate<I>,
    timeouts: &Timeouts,
    drain: &mut watch::Receiver<bool>,
) -> Result<Arrival, Ending>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let arrival = async {
        until_begun(gate, drain).await?;
        Ok(poll_fn(|cx| gate.poll_head(cx)).await)
    };
    timeout(timeouts.head, arrival).await.unwrap_or(Err(Ending::HeadTimeout))
}

async fn next_head<I>(
    gate: &mut Gate<I>,
    timeouts: &Timeouts,
    drain: &mut watch::Receiver<bool>,
) -> Result<Arrival, Ending>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    timeout(timeouts.keep_alive, until_begun(gate, drain)).await.unwrap_or(Err(Ending::Idle))?;
    let arrival = poll_fn(|cx| gate.poll_head(cx));
    timeout(timeouts.head, arrival).await.map_err(|_| Ending::HeadTimeout)
}

/// A request that has begun when the drain comes is still served.
async fn until_begun<I>(gate: &mut Gate<I>, drain: &mut watch::Receiver<bool>) -> Result<(), Ending>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    tokio::select! {
        biased;
        begun = poll_fn(|cx| gate.poll_begun(cx)) => if begun { Ok(()) } else { Err(Ending::Peer) },
        () = draining(drain) => Err(Ending::Drained),
    }
}

async fn draining(drain: &mut watch::Receiver<bool>) {
    if drain.wait_for(|draining| *draining).await.is_err() {
        // Nobody is left to say it.
        pending().await
    }
}

/// What a request led to.
enum Exchange<I, T> {
    Answered(Gate<I>),
    Seated(Gate<I>, T),
    Last(Gate<I>),
    Broken(Ending),
}

impl<I, T> Exchange<I, T> {
    fn answered(gate: Gate<I>, closing: bool) -> Self {
        if closing { Exchange::Last(gate) } else { Exchange::Answered(gate) }
    }
}

/// Lets hyper and the service have the request for which the gate is open.
async fn exchange<I, S>(
    gate: Gate<I>,
    head: Head,
    service: &S,
    drain: &watch::Receiver<bool>,
) -> Exchange<I, S::Seat>
where
    I: AsyncRead + AsyncWrite + Unpin + Send,
    S: Serve,
{
    let progress = gate.progress();
    let seat = Arc::new(Mutex::new(None));
    let answers = service_fn(|request| {
        answer(service, request, Handoff(Arc::clone(&seat)), Arc::clone(&progress), drain)
    });
    let mut connection = protocol(&head).serve_connection(TokioIo::new(gate), answers);
    let mut stall = Stall(None);
    let turn = poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(Turn::Done(result));
            }
            let now = *progress.lock();
            match (now.stalled, now.answer) {
                // Also a seat waits until all that was written has left.
                (Some(since), _) => return stall.poll(since, cx).map(|()| Turn::Stalled),
                (None, Answer::Awaited) => {
                    return seat.lock().take().map_or(Poll::Pending, taken_over);
                }
                // hyper may rest without a flush; each poll of it ends with one.
                (None, Answer::Given) => {}
                (None, Answer::Flushed) => return Poll::Ready(Turn::Answered),
            }
        }
    })
    .await;
    let closing = progress.lock().closing;
    turn.leads_to(connection.into_parts().io.into_inner(), closing).await
}

/// How hyper's part of an exchange ended.
enum Turn<T> {
    Answered,
    TakenOver(Takeover<T>),
    Done(hyper::Result<()>),
    Stalled,
}

fn taken_over<T>(takeover: Takeover<T>) -> Poll<Turn<T>> {
    Poll::Ready(Turn::TakenOver(takeover))
}

impl<T> Turn<T> {
    async fn leads_to<I>(self, mut gate: Gate<I>, closing: bool) -> Exchange<I, T>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        match self {
            Turn::TakenOver(Takeover::Seat(seat)) => Exchange::Seated(gate, seat),
            Turn::TakenOver(Takeover::Say(bytes)) => {
                match timeout(ANSWER_STALL, send(&mut gate, &bytes)).await {
                    Ok(Ok(())) => Exchange::answered(gate, closing),
                    Ok(Err(_)) => Exchange::Broken(Ending::Peer),
                    Err(_) => Exchange::Broken(Ending::Stalled),
                }
            }
            Turn::Answered => Exchange::answered(gate, closing),
            Turn::Done(Ok(())) => Exchange::Last(gate),
            // hyper's own refusal of a request that it cannot parse.
            Turn::Done(Err(_)) if gate.is_finished() => Exchange::Last(gate),
            Turn::Done(Err(error)) => {
                tracing::debug!(%error, "connection broken");
                Exchange::Broken(Ending::Peer)
            }
            Turn::Stalled => Exchange::Broken(Ending::Stalled),
        }
    }
}

fn protocol(head: &Head) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol.max_buf_size(BUFFER).header_read_timeout(None);
    // With `half_close` hyper does not look for the end while the service works: a change that was
    // received whole is carried out, even if its sender closed right behind it.
    protocol.half_close(!head.safe);
    protocol
}

/// A request's way through the service.
async fn answer<S: Serve>(
    service: &S,
    request: Request<Incoming>,
    handoff: Handoff<S::Seat>,
    progress: Arc<Mutex<Progress>>,
    drain: &watch::Receiver<bool>,
) -> Result<Response<AnswerBody<S::Body>>, Infallible> {
    let served = unless_panicking(async { service.serve(request, handoff).await }).await;
    let mut response = served.unwrap_or_else(|| service.fault());
    let draining = *drain.borrow();
    let closing = {
        let mut progress = progress.lock();
        // What is left of a body that nobody reads would be in the way of the next request.
        progress.closing |= progress.unread || draining || says_close(response.headers());
        progress.closing
    };
    if closing {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| AnswerBody::new(body, progress)))
}

/// The future's output, or nothing if it panicked; the panic hook has reported it then.
async fn unless_panicking<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        // Unwind safe: a future that panicked is not polled again.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

fn says_close(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CONNECTION).iter();
    let mut options = lines.flat_map(|line| line.as_bytes().split(|b| *b == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// The timer of a peer that takes nothing; most connections never need one.
struct Stall(Option<Pin<Box<Sleep>>>);

impl Stall {
    fn poll(&mut self, since: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let due = since + ANSWER_STALL;
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests;
