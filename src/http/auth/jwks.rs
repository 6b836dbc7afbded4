//! Keys that others publish as JSON Web Key Sets (RFC 7517), each kept fresh by a thread of its own:
//! a server that does not answer delays no file.
//!
//! No request ever waits for a set or makes anybody fetch one: it takes the keys that are there.

mod file;
mod set;
mod url;

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use thiserror::Error;

use super::keys::Set;
use crate::http::address::Address;
use crate::vital;
use file::File;
pub use set::SetError;
use url::Url;

/// Where a set is.
#[derive(Clone, Debug)]
pub enum Source {
    /// In a file, which is read anew when it changes.
    File(PathBuf),
    /// On a server, which is asked again and again.
    Url(Address),
}

/// Why the server cannot start with these sources.
#[derive(Debug, Error)]
pub enum StartError {
    /// What is wrong at home has to be mended before anybody listens.
    #[error("the key set {path}: {error}", path = .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: FileError,
    },
    /// The system gives no thread.
    #[error("cannot keep the key sets fresh: {0}")]
    Thread(#[from] io::Error),
}

/// Why a file gives no keys.
#[derive(Debug, Error)]
pub enum FileError {
    /// Not there, or not to be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something else is in it.
    #[error(transparent)]
    Set(#[from] SetError),
}

/// Keeps sets fresh until it is dropped.
#[derive(Debug)]
pub struct Keeper {
    /// Whose end each thread waits for. None is waited for itself: it may be in the middle of a
    /// request that nobody needs any more.
    _alive: Vec<Sender<Infallible>>,
}

/// Gets the sets, and keeps them fresh: a file within a second, an address every `refresh`.
///
/// A file must give a key now. An address is tried once, for ten seconds at most, so that a restart
/// refuses nobody whose token it took before; if that fails the thread tries again.
pub fn keep(
    sources: Vec<Source>,
    refresh: Duration,
) -> Result<(Vec<Arc<Set>>, Keeper), StartError> {
    let (mut sets, mut alive) = (Vec::new(), Vec::new());
    for source in sources {
        let watch = Watch::open(source, refresh)?;
        let (end, keeper) = mpsc::channel();
        sets.push(Arc::clone(&watch.set));
        alive.push(end);
        // Without it, keys that their owner has withdrawn would count for ever.
        vital::spawn("rill-jwks", move || look_after(watch, &keeper))?;
    }
    Ok((sets, Keeper { _alive: alive }))
}

fn look_after(mut watch: Watch, keeper: &Receiver<Infallible>) {
    while keeper.recv_timeout(watch.pause) == Err(RecvTimeoutError::Timeout) {
        watch.look();
    }
}

/// A set, and how long to leave it alone.
struct Watch {
    set: Arc<Set>,
    origin: Origin,
    pause: Duration,
}

enum Origin {
    File(File),
    Url(Url),
}

impl Watch {
    fn open(source: Source, refresh: Duration) -> Result<Watch, StartError> {
        let set = Arc::new(Set::default());
        let origin = match source {
            Source::File(path) => {
                let opened = File::open(path.clone(), &set);
                Origin::File(opened.map_err(|error| StartError::File { path, error })?)
            }
            Source::Url(address) => Origin::Url(Url::new(address, refresh)),
        };
        let mut watch = Watch { set, origin, pause: Duration::ZERO };
        watch.look();
        Ok(watch)
    }

    fn look(&mut self) {
        self.pause = match &mut self.origin {
            Origin::File(file) => file.look(&self.set),
            Origin::Url(url) => url.look(&self.set),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;
    use std::time::Instant;

    use super::*;
    use crate::http::auth::keys::Keys;
    use crate::http::auth::tests::kit::{ED25519, P256, ann, outcome, published};

    const PATIENCE: Duration = Duration::from_secs(30);

    fn eventually(mut holds: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + PATIENCE;
        while !holds() && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        holds()
    }

    #[test]
    fn the_thread_takes_a_changed_file_and_ends_with_its_keeper() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("jwks.json");
        fs::write(&path, published([P256.jwk("k")])).expect("a written file");
        let (sets, keeper) = keep(vec![Source::File(path.clone())], PATIENCE).expect("a set");
        let set = Arc::clone(&sets[0]);
        let keys = Keys::new(Vec::new(), sets);
        let [old, new] = [&*P256, &*ED25519].map(|signer| signer.token_with_id("k", &ann()));
        assert!(outcome(&keys, &old).is_ok() && outcome(&keys, &new).is_err());

        fs::write(&path, published([ED25519.jwk("k")])).expect("a written file");
        assert!(eventually(|| outcome(&keys, &new).is_ok()));
        assert!(outcome(&keys, &old).is_err());

        // The thread has one, and so have the keys and the test.
        assert_eq!(Arc::strong_count(&set), 3);
        drop(keeper);
        assert!(eventually(|| Arc::strong_count(&set) == 2));
    }

    #[test]
    fn the_server_starts_without_an_address_but_not_without_a_file() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let address = format!("http://{}/", closed.expect("an address")).parse();
        let source = Source::Url(address.expect("an address"));
        let (sets, _keeper) = keep(vec![source], PATIENCE).expect("a start");
        assert_eq!(sets.len(), 1);

        let path = PathBuf::from("/nowhere/jwks.json");
        let error = keep(vec![Source::File(path)], PATIENCE).expect_err("no file");
        assert!(error.to_string().starts_with("the key set /nowhere/jwks.json: "), "{error}");
    }
}
