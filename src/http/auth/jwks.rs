//! Keys that others publish as JSON Web Key Sets (RFC 7517), kept fresh by one thread.
//!
//! No request ever waits for a set or makes anybody fetch one: it takes the keys that are there.

mod address;
mod file;
mod set;
mod url;

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::keys::Set;
use crate::vital;
pub use address::{Address, AddressError};
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
    /// Whose end the thread waits for. It is not waited for itself: it may be in the middle of a
    /// request that nobody needs any more.
    _alive: Sender<Infallible>,
}

/// Gets the sets, and keeps them fresh: a file within a second, an address every `refresh`.
///
/// A file must give a key now. An address is tried once, for ten seconds at most, so that a restart
/// refuses nobody whose token it took before; if that fails the thread tries again.
pub fn keep(
    sources: Vec<Source>,
    refresh: Duration,
) -> Result<(Vec<Arc<Set>>, Keeper), StartError> {
    let watches = sources.into_iter().map(|source| Watch::open(source, refresh));
    let watches = watches.collect::<Result<Vec<_>, _>>()?;
    let sets = watches.iter().map(|watch| Arc::clone(&watch.set)).collect();
    let (alive, keeper) = mpsc::channel();
    // Without it, keys that their owner has withdrawn would count for ever.
    vital::spawn("rill-jwks", move || look_after(watches, &keeper))?;
    Ok((sets, Keeper { _alive: alive }))
}

fn look_after(mut watches: Vec<Watch>, keeper: &Receiver<Infallible>) {
    while let Some(due) = watches.iter().map(|watch| watch.due).min() {
        let wait = due.saturating_duration_since(Instant::now());
        if keeper.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        watches.iter_mut().filter(|watch| watch.due <= Instant::now()).for_each(Watch::look);
    }
}

/// A set, and when to look after it next.
struct Watch {
    set: Arc<Set>,
    origin: Origin,
    due: Instant,
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
        let mut watch = Watch { set, origin, due: Instant::now() };
        watch.look();
        Ok(watch)
    }

    fn look(&mut self) {
        let pause = match &mut self.origin {
            Origin::File(file) => file.look(&self.set),
            Origin::Url(url) => url.look(&self.set),
        };
        self.due = Instant::now() + pause;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

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
