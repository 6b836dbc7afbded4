//! Tokens that are signed here, `--jwt`: JSON Web Tokens (RFC 7519) of a key that the server knows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::{Map, Value};

use crate::failure::{Failure, While};

/// Longer than any run.
const LIFETIME: Duration = Duration::from_hours(48);

/// What tokens are signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Jwt {
    /// HMAC with SHA-256, a secret of 48 bytes.
    Hs256,
    /// ECDSA on P-256.
    Es256,
    /// RSA with 2048 bits.
    Rs256,
}

/// Signs tokens.
pub(crate) struct Signer {
    jwt: Jwt,
    private: EncodingKey,
    /// What its tokens are checked with: the secret, or the public key in PEM.
    public: String,
}

impl Jwt {
    fn algorithm(self) -> Algorithm {
        match self {
            Jwt::Hs256 => Algorithm::HS256,
            Jwt::Es256 => Algorithm::ES256,
            Jwt::Rs256 => Algorithm::RS256,
        }
    }

    /// A key that nobody has seen.
    fn draw(self) -> Result<String, rcgen::Error> {
        match self {
            Jwt::Hs256 => Ok(STANDARD.encode(rand::random::<[u8; 36]>())),
            Jwt::Es256 => Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?.serialize_pem()),
            Jwt::Rs256 => Ok(KeyPair::generate_for(&PKCS_RSA_SHA256)?.serialize_pem()),
        }
    }
}

impl Signer {
    /// One with a key of its own.
    pub(crate) fn draw(jwt: Jwt) -> Result<Signer, Failure> {
        let key = jwt.draw().map_err(io::Error::other).while_("drawing a key")?;
        Signer::new(jwt, &key)
    }

    /// One with the key in a file: a secret, or a private key in PEM.
    pub(crate) fn from_file(jwt: Jwt, path: &Path) -> Result<Signer, Failure> {
        let key = fs::read_to_string(path).while_("reading the key of --jwt-key")?;
        Signer::new(jwt, key.trim_end())
    }

    fn new(jwt: Jwt, key: &str) -> Result<Signer, Failure> {
        let public = || KeyPair::from_pem(key).map(|pair| pair.public_key_pem());
        let (private, public) = match jwt {
            Jwt::Hs256 => (Ok(EncodingKey::from_secret(key.as_bytes())), Ok(key.to_owned())),
            Jwt::Es256 => (EncodingKey::from_ec_pem(key.as_bytes()), public()),
            Jwt::Rs256 => (EncodingKey::from_rsa_pem(key.as_bytes()), public()),
        };
        let private = private.map_err(io::Error::other).while_("reading a private key")?;
        let public = public.map_err(io::Error::other).while_("reading a private key")?;
        Ok(Signer { jwt, private, public })
    }

    /// Another one, whose tokens are forgeries wherever this one's count.
    pub(crate) fn forger(&self) -> Result<Signer, Failure> {
        Signer::draw(self.jwt)
    }

    /// A token with these claims, a JSON object, from now on for longer than a run lasts.
    pub(crate) fn sign(&self, claims: &[u8]) -> Result<String, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut claims: Map<String, Value> =
            serde_json::from_slice(claims).while_("reading the claims of the dialect")?;
        claims.insert("iat".into(), now.as_secs().into());
        claims.insert("exp".into(), (now + LIFETIME).as_secs().into());
        jsonwebtoken::encode(&Header::new(self.jwt.algorithm()), &claims, &self.private)
            .map_err(io::Error::other)
            .while_("signing a token")
    }

    /// Writes a configuration for Rill by which its tokens count; where that is.
    pub(crate) fn configure(&self, directory: &Path) -> Result<PathBuf, Failure> {
        let (key, settings) = (directory.join("key"), directory.join("rill.toml"));
        let member = if self.jwt == Jwt::Hs256 { "secret_file" } else { "public_key_file" };
        let table = format!(
            "[[auth.keys]]\nalgorithm = \"{:?}\"\n{member} = {:?}\n",
            self.jwt.algorithm(),
            key.display().to_string(),
        );
        fs::write(&key, &self.public).while_("writing the server's key")?;
        fs::write(&settings, table).while_("writing the server's configuration")?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use jsonwebtoken::{DecodingKey, TokenData, Validation, decode};

    use super::*;

    fn read(signer: &Signer, token: &str) -> Option<Value> {
        let public = signer.public.as_bytes();
        let key = match signer.jwt {
            Jwt::Hs256 => DecodingKey::from_secret(public),
            Jwt::Es256 => DecodingKey::from_ec_pem(public).unwrap(),
            Jwt::Rs256 => DecodingKey::from_rsa_pem(public).unwrap(),
        };
        let validation = Validation::new(signer.jwt.algorithm());
        decode(token, &key, &validation).ok().map(|token: TokenData<Value>| token.claims)
    }

    #[test]
    fn tokens_count_by_their_own_key_alone() {
        for jwt in [Jwt::Hs256, Jwt::Es256, Jwt::Rs256] {
            let signer = Signer::draw(jwt).unwrap();
            let token = signer.sign(br#"{"sub":"u1"}"#).unwrap();
            assert_eq!(read(&signer, &token).unwrap()["sub"], "u1", "{jwt:?}");
            assert_eq!(read(&signer.forger().unwrap(), &token), None, "{jwt:?}");
        }
    }

    #[test]
    fn a_key_can_come_from_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("mine");
        for jwt in [Jwt::Hs256, Jwt::Es256, Jwt::Rs256] {
            let key = jwt.draw().unwrap();
            fs::write(&file, format!("{key}\n")).unwrap();
            let token = Signer::from_file(jwt, &file).unwrap().sign(b"{}").unwrap();
            assert!(read(&Signer::new(jwt, &key).unwrap(), &token).is_some(), "{jwt:?}");
        }
        fs::write(&file, "no PEM").unwrap();
        assert!(Signer::from_file(Jwt::Es256, &file).is_err());
    }

    #[test]
    fn claims_are_an_object() {
        let signer = Signer::draw(Jwt::Hs256).unwrap();
        assert!(signer.sign(b"[]").is_err() && signer.sign(b"{").is_err());
    }

    #[test]
    fn no_key_is_drawn_twice() {
        let keys: HashSet<String> = (0..3).map(|_| Jwt::Hs256.draw().unwrap()).collect();
        assert_eq!(keys.len(), 3);
    }
}
