//! One stream as the client sees it.
//!
//! ```text
//!            open                 request written           200, `connected`
//!   Shut ──────────▶ Connecting ─────────────────▶ Asked ──────────────────▶ Live
//!    ▲                   │                           │                         │
//!    └── cut ────────────┴───────────────────────────┴─────────────────────────┤
//!    └── broken while opening: tried again ──────────┘                         │
//!                                                          ended by the server ▼
//!                                                                           Ended
//! ```

use std::io::{self, Read, Write};
use std::time::Duration;

use socket2::Socket;

use crate::cursor::Cursor;
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
    /// The server ended it, which no scenario asks for; it stays shut.
    Ended,
}

/// One stream's state: no task, no thread, no buffer while nothing is cut in the middle.
pub(crate) struct Stream {
    pub(crate) phase: Phase,
    pub(crate) socket: Option<Socket>,
    pub(crate) reader: StreamReader,
    pub(crate) cursor: Cursor,
    /// When it began to connect.
    pub(crate) began: u64,
}

impl Stream {
    /// Not open yet.
    pub(crate) fn shut() -> Stream {
        Stream {
            phase: Phase::Shut,
            socket: None,
            reader: StreamReader::default(),
            cursor: Cursor::default(),
            began: 0,
        }
    }

    /// Whether it is on its way to be live.
    pub(crate) fn opening(&self) -> bool {
        matches!(self.phase, Phase::Connecting | Phase::Asked)
    }

    /// Takes a socket that is being connected.
    pub(crate) fn begin(&mut self, socket: Socket, now: u64) {
        self.socket = Some(socket);
        self.reader = StreamReader::default();
        self.phase = Phase::Connecting;
        self.began = now;
    }

    /// Sends the request. False when the connection is not there yet.
    pub(crate) fn ask(&mut self, request: &[u8]) -> io::Result<bool> {
        let Some(mut socket) = self.socket.as_ref() else { return Ok(false) };
        match socket.write(request) {
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
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(mut socket) = self.socket.as_ref() else { return Ok(None) };
        loop {
            match socket.read(buffer) {
                Ok(length) => return Ok(Some(length)),
                Err(error) if waits(&error) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Closes the socket: with a reset if `abruptly` (which also leaves no port in TIME_WAIT), else
    /// with a FIN.
    pub(crate) fn shut_down(&mut self, abruptly: bool, phase: Phase) {
        if let Some(socket) = self.socket.take()
            && abruptly
        {
            // Fails only on a unix socket, whose close is abrupt anyway.
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
        self.phase = phase;
    }
}

/// The connection is not there yet, or nothing has come.
fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}
