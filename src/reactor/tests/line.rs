//! A socket that does what a test says, and a permit that counts.

use crate::reactor::Pace;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::reactor::{CloseReason, Guard, Key, Socket};

/// What a socket does with one write.
#[derive(Clone, Copy, Debug)]
pub(super) enum Take {
    All,
    Bytes(usize),
    Nothing,
    Interrupted,
    Broken,
}

/// What one read finds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Says {
    Something,
    Interrupted,
    Fin,
    Reset,
    /// Something, for ever.
    Endless,
}

/// Both ends of a connection, and what they did.
pub(super) struct Line {
    /// The next writes; when they are used up, `otherwise`.
    pub(super) script: VecDeque<Take>,
    pub(super) otherwise: Take,
    pub(super) says: VecDeque<Says>,
    pub(super) got: Vec<u8>,
    /// Writes that took something.
    pub(super) writes: usize,
    pub(super) reads: usize,
    /// The server said that nothing follows, this often.
    pub(super) finished: usize,
    pub(super) finish_fails: bool,
    /// The server let go of its end.
    pub(super) closed: bool,
    pub(super) pace: Pace,
}

/// The server's end.
pub(super) struct End(pub(super) Rc<RefCell<Line>>);

impl Socket for End {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut line = self.0.borrow_mut();
        line.reads += 1;
        match line.says.pop_front() {
            None => Err(ErrorKind::WouldBlock.into()),
            Some(Says::Fin) => Ok(0),
            Some(Says::Reset) => Err(ErrorKind::ConnectionReset.into()),
            Some(Says::Interrupted) => Err(ErrorKind::Interrupted.into()),
            Some(Says::Something) => Ok(7),
            Some(Says::Endless) => {
                line.says.push_front(Says::Endless);
                Ok(buffer.len())
            }
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut line = self.0.borrow_mut();
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let otherwise = line.otherwise;
        let taken = match line.script.pop_front().unwrap_or(otherwise) {
            Take::All => offered,
            Take::Bytes(bytes) => bytes.min(offered),
            Take::Nothing => return Err(ErrorKind::WouldBlock.into()),
            Take::Interrupted => return Err(ErrorKind::Interrupted.into()),
            Take::Broken => return Err(ErrorKind::BrokenPipe.into()),
        };
        line.writes += usize::from(taken > 0);
        line.got.extend(slices.iter().flat_map(|slice| slice.iter()).take(taken));
        Ok(taken)
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut line = self.0.borrow_mut();
        line.finished += 1;
        if line.finish_fails { Err(ErrorKind::NotConnected.into()) } else { Ok(()) }
    }

    fn set_pace(&mut self, pace: Pace) {
        self.0.borrow_mut().pace = pace;
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.borrow_mut().closed = true;
    }
}

/// What a stream occupies, seen from the hub.
#[derive(Default)]
pub(super) struct Permit {
    pub(super) taken_by_another: AtomicBool,
    pub(super) given_back: AtomicUsize,
}

/// The guard of a permit.
pub(super) struct Place(pub(super) Arc<Permit>);

impl Guard for Place {
    fn seated(&self, _: Key) -> Result<(), CloseReason> {
        match self.0.taken_by_another.load(Ordering::Relaxed) {
            true => Err(CloseReason::Replaced),
            false => Ok(()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.given_back.fetch_add(1, Ordering::Relaxed);
    }
}
