//! One stream as the client sees it.
//!
//! ```text
//!            open                 request written           200, `connected`
//!   Shut ──────────▶ Connecting ─────────────────▶ Asked ──────────────────▶ Live
//!    ▲                   │                           │                         │
//!    └── cut, or churned ┴───────────────────────────┴─────────────────────────┤
//!    └── broken while opening: tried again ──────────┘                         │
//!    └── broken, in a fleet that comes back ───────────────────────────────────┤
//!                                                    ended by the server, else ▼
//!                                                                           Ended
//! ```

use std::io::{self, Read, Write};

use crate::cursor::Cursor;
use crate::link::{Link, waits};
use crate::wire::StreamReader;

/// Where in its life a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No socket.
    Shut,
    /// The request is not sent yet.
    Connecting,
    /// The request is sent.
    Asked,
    /// `connected` came.
    Live,
    /// The server ended it, which the scenario did not ask for; it stays shut.
    Ended,
}

/// One stream's state: no task, no thread, no buffer while nothing is cut in the middle.
pub(crate) struct Stream {
    pub(crate) phase: Phase,
    pub(crate) link: Option<Link>,
    pub(crate) reader: StreamReader,
    pub(crate) cursor: Cursor,
    /// When it began to connect.
    pub(crate) began: u64,
    /// When it was live; what was sent before that is replayed to it.
    pub(crate) live_since: u64,
    /// It is, or was, on a diet: the server may give it up.
    pub(crate) slow: bool,
}

impl Stream {
    /// Not open yet.
    pub(crate) fn shut(slow: bool) -> Stream {
        Stream {
            phase: Phase::Shut,
            link: None,
            reader: StreamReader::default(),
            cursor: Cursor::default(),
            began: 0,
            live_since: 0,
            slow,
        }
    }

    /// Whether it is on its way to be live.
    pub(crate) fn opening(&self) -> bool {
        matches!(self.phase, Phase::Connecting | Phase::Asked)
    }

    /// Takes a link that is being connected.
    pub(crate) fn begin(&mut self, link: Link, now: u64) {
        self.link = Some(link);
        self.reader = StreamReader::default();
        self.phase = Phase::Connecting;
        self.began = now;
    }

    /// Sends the request. False when the connection is not there yet.
    pub(crate) fn ask(&mut self, request: &[u8]) -> io::Result<bool> {
        let Some(link) = &mut self.link else { return Ok(false) };
        match link.write(request) {
            Ok(written) if written == request.len() => {
                self.phase = Phase::Asked;
                Ok(true)
            }
            // A fresh socket's buffer holds many requests, so that this is not worth a state.
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::WriteZero,
                "the request did not fit into a fresh socket",
            )),
            Err(error) if waits(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads once. None when there is nothing to read now.
    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(link) = &mut self.link else { return Ok(None) };
        loop {
            match link.read(buffer) {
                Ok(length) => return Ok(Some(length)),
                Err(error) if waits(&error) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Closes the link: with a reset if `abruptly` (which also leaves no port in TIME_WAIT), else
    /// with a FIN.
    pub(crate) fn shut_down(&mut self, abruptly: bool, phase: Phase) {
        if let Some(link) = self.link.take()
            && abruptly
        {
            link.reset_at_end();
        }
        self.phase = phase;
    }
}
