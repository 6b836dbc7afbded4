//! A certificate for `localhost` that nobody but us trusts.

use std::io;
use std::path::{Path, PathBuf};

/// Its files, in PEM.
pub(super) struct Certificate {
    /// The certificate, which vouches for itself.
    pub(super) chain: PathBuf,
    /// Its private key.
    pub(super) key: PathBuf,
}

impl Certificate {
    /// Makes one in `directory`.
    pub(super) fn make(directory: &Path) -> io::Result<Certificate> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let (chain, key) = (directory.join("fullchain.pem"), directory.join("privkey.pem"));
        std::fs::write(&chain, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        Ok(Certificate { chain, key })
    }
}
