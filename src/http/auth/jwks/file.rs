//! A key set in a file, which whoever rotates the keys writes anew.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use super::super::keys::{Key, Set};
use super::{FileError, set};

/// How often to look whether it has changed.
const PAUSE: Duration = Duration::from_secs(1);

/// A file whose keys are in a [`Set`].
pub(super) struct File {
    path: PathBuf,
    /// As it was when it was last read; `None` when it was not there.
    seen: Option<Version>,
}

/// What changes with the content, whether the file is written to or another takes its place.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Version {
    modified: (i64, i64),
    length: u64,
    inode: u64,
}

impl From<Metadata> for Version {
    fn from(metadata: Metadata) -> Version {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Version { modified, length: metadata.len(), inode: metadata.ino() }
    }
}

impl File {
    /// Reads the file for the first time.
    pub(super) fn open(path: PathBuf, set: &Set) -> Result<File, FileError> {
        let mut file = File { path, seen: None };
        file.seen = file.version();
        set.replace(file.read()?);
        Ok(file)
    }

    /// Reads it again if it has changed, and says when to look again. What cannot be read leaves
    /// the keys as they are, and is told once.
    pub(super) fn look(&mut self, set: &Set) -> Duration {
        // Before the content: what is written in between then counts as a change once more.
        let version = self.version();
        if version != self.seen {
            self.seen = version;
            let path = self.path.display();
            match self.read() {
                Ok(keys) => {
                    tracing::info!(%path, keys = keys.len(), "took the keys of a changed key set");
                    set.replace(keys);
                }
                Err(error) => {
                    tracing::warn!(%path, %error, "keeping the old keys: a changed key set is unusable");
                }
            }
        }
        PAUSE
    }

    fn version(&self) -> Option<Version> {
        fs::metadata(&self.path).ok().map(Version::from)
    }

    fn read(&self) -> Result<Vec<Key>, FileError> {
        // Whoever reads something else may wait for ever.
        if !fs::metadata(&self.path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file").into());
        }
        Ok(set::parse(&fs::read(&self.path)?)?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::http::auth::jwks::SetError;
    use crate::http::auth::keys::Keys;
    use crate::http::auth::tests::kit::{ED25519, P256, Signer, ann, outcome, published};

    /// Whose tokens are taken.
    fn takes(set: &Arc<Set>, signer: &Signer) -> bool {
        let keys = Keys::new(Vec::new(), vec![Arc::clone(set)]);
        outcome(&keys, &signer.token_with_id("k", &ann())).is_ok()
    }

    fn write(path: &Path, text: &str) {
        let beside = path.with_extension("new");
        fs::write(&beside, text).expect("a written file");
        fs::rename(beside, path).expect("a renamed file");
    }

    #[test]
    fn a_changed_file_brings_its_keys_and_an_unusable_one_leaves_them() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("jwks.json");
        write(&path, &published([P256.jwk("k")]));
        let set = Arc::new(Set::default());
        let mut file = File::open(path.clone(), &set).expect("a set");
        assert!(takes(&set, &P256) && !takes(&set, &ED25519));

        write(&path, &published([ED25519.jwk("k")]));
        assert!(takes(&set, &P256), "until it is looked at");
        assert_eq!(file.look(&set), PAUSE);
        assert!(!takes(&set, &P256) && takes(&set, &ED25519));

        for unusable in ["", "{", r#"{"keys":[]}"#] {
            write(&path, unusable);
            file.look(&set);
            assert!(takes(&set, &ED25519), "{unusable:?}");
        }
        fs::remove_file(&path).expect("a removed file");
        file.look(&set);
        assert!(takes(&set, &ED25519));

        write(&path, &published([P256.jwk("k")]));
        file.look(&set);
        assert!(takes(&set, &P256) && !takes(&set, &ED25519));
    }

    #[test]
    fn a_file_that_is_written_to_in_place_has_changed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("jwks.json");
        fs::write(&path, published([P256.jwk("k")])).expect("a written file");
        let set = Arc::new(Set::default());
        let mut file = File::open(path.clone(), &set).expect("a set");
        fs::write(&path, published([P256.jwk("k"), ED25519.jwk("k")])).expect("a written file");
        file.look(&set);
        assert!(takes(&set, &P256) && takes(&set, &ED25519));
    }

    #[test]
    fn a_file_that_is_as_it_was_is_not_read_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("jwks.json");
        let set = Arc::new(Set::default());
        write(&path, &published([P256.jwk("k")]));
        let mut file = File::open(path.clone(), &set).expect("a set");
        write(&path, &published([ED25519.jwk("k")]));
        file.look(&set);
        set.replace(Vec::new());
        file.look(&set);
        assert!(!takes(&set, &ED25519));
    }

    #[test]
    fn a_file_gives_a_key_from_the_start() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("jwks.json");
        let open = || File::open(path.clone(), &Set::default()).err();
        assert!(matches!(open(), Some(FileError::Io(_))));
        write(&path, r#"{"keys":[]}"#);
        assert!(matches!(open(), Some(FileError::Set(SetError::NoUsableKey))));
    }
}
