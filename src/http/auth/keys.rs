//! The keys that tokens are checked with: each bound to one algorithm, and maybe to one issuer.

use std::ops::RangeInclusive;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, EllipticCurveKeyParameters, Jwk, OctetKeyPairParameters,
};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, crypto};
use parking_lot::RwLock;
use thiserror::Error;

use super::algorithm::Algorithm;
use super::guessable::guessable;
use super::secret::Secret;

/// The shortest secret, in bytes: what SHA-256 gives (RFC 7518 section 3.2).
const MIN_SECRET: usize = 32;
/// The sizes of an RSA modulus that signatures are checked with, in bits; the least is that of
/// RFC 7518 section 3.3, the most keeps a check from taking long.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;

/// The most keys that are tried for one token. Whoever has more names them: each that is tried in vain
/// costs as much as the right one, and anybody may send tokens that name none.
const MOST_TRIED: usize = 8;

/// Checks the signatures of one signer.
#[derive(Debug)]
pub struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    issuer: Option<String>,
    decoding: DecodingKey,
}

/// Why something is not taken as a key. It is told to the operator, and has nothing of the key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// Soon guessed by trying.
    #[error(
        "the secret must be at least {MIN_SECRET} bytes long; `openssl rand -base64 48` draws one"
    )]
    TooShort,
    /// Out of a guide, or a pattern.
    #[error("the secret is a known sample or a pattern; `openssl rand -base64 48` draws one")]
    Guessable,
    /// A public key is no secret: anyone who has it could sign.
    #[error(
        "the secret is a PEM file; a key of this kind needs an algorithm such as RS256 or ES256"
    )]
    Pem,
    /// Given a secret.
    #[error("{0} needs a public key, not a secret")]
    NeedsPublicKey(Algorithm),
    /// Given a public key.
    #[error("{0} needs a secret, not a public key")]
    NeedsSecret(Algorithm),
    /// What belongs to the signer alone.
    #[error("this is a private key; give the public one: `openssl pkey -pubout`")]
    PrivateKey,
    /// Not PEM, or of another kind.
    #[error("this is no public key for {0}, in PEM")]
    Unreadable(Algorithm),
    /// A modulus out of bounds.
    #[error("the RSA key must have {} to {} bits", RSA_BITS.start(), RSA_BITS.end())]
    Weak,
}

impl Key {
    /// A secret shared with the signer.
    pub fn from_secret(
        secret: &Secret,
        algorithm: Algorithm,
        id: Option<String>,
        issuer: Option<String>,
    ) -> Result<Key, KeyError> {
        if algorithm.family() != AlgorithmFamily::Hmac {
            return Err(KeyError::NeedsPublicKey(algorithm));
        }
        let secret = secret.expose();
        if secret.contains("-----BEGIN ") {
            return Err(KeyError::Pem);
        }
        if secret.len() < MIN_SECRET {
            return Err(KeyError::TooShort);
        }
        if guessable(secret) {
            return Err(KeyError::Guessable);
        }
        Ok(Key { id, algorithm, issuer, decoding: DecodingKey::from_secret(secret.as_bytes()) })
    }

    /// The public key of a signer.
    pub fn from_public_pem(
        pem: &[u8],
        algorithm: Algorithm,
        id: Option<String>,
        issuer: Option<String>,
    ) -> Result<Key, KeyError> {
        let read = match algorithm.family() {
            AlgorithmFamily::Hmac => return Err(KeyError::NeedsSecret(algorithm)),
            // Else the library would take it, and find out at each token that it does not fit.
            _ if is_private(pem) => return Err(KeyError::PrivateKey),
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem),
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem),
            AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem),
        };
        let jwk = read.and_then(|key| Jwk::from_decoding_key(&key, None));
        let jwk = jwk.map_err(|_| KeyError::Unreadable(algorithm))?;
        Key::from_jwk(&jwk, algorithm, id, issuer)
    }

    /// The public key in a JSON Web Key.
    pub(super) fn from_jwk(
        jwk: &Jwk,
        algorithm: Algorithm,
        id: Option<String>,
        issuer: Option<String>,
    ) -> Result<Key, KeyError> {
        fits(&jwk.algorithm, algorithm)?;
        let decoding = DecodingKey::from_jwk(jwk).map_err(|_| KeyError::Unreadable(algorithm))?;
        Ok(Key { id, algorithm, issuer, decoding })
    }

    /// Who alone signs with it.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Whether a signature, in base64url, is its own.
    pub(super) fn has_signed(&self, message: &str, signature: &str) -> bool {
        let algorithm = self.algorithm.jose();
        crypto::verify(signature, message.as_bytes(), &self.decoding, algorithm).unwrap_or(false)
    }
}

fn is_private(pem: &[u8]) -> bool {
    String::from_utf8_lossy(pem).contains("PRIVATE KEY-----")
}

/// Whether a public key is one for an algorithm.
fn fits(key: &AlgorithmParameters, algorithm: Algorithm) -> Result<(), KeyError> {
    let fits = match (key, algorithm.family()) {
        (_, AlgorithmFamily::Hmac) => return Err(KeyError::NeedsSecret(algorithm)),
        (AlgorithmParameters::RSA(key), AlgorithmFamily::Rsa) => {
            let bits = decoded(&key.n).map(|modulus| bits(&modulus));
            let bits = bits.ok_or(KeyError::Unreadable(algorithm))?;
            return if RSA_BITS.contains(&bits) { Ok(()) } else { Err(KeyError::Weak) };
        }
        (AlgorithmParameters::EllipticCurve(key), AlgorithmFamily::Ec) => match algorithm {
            Algorithm::Es384 => is_point(key, EllipticCurve::P384, 48),
            _ => is_point(key, EllipticCurve::P256, 32),
        },
        (AlgorithmParameters::OctetKeyPair(key), AlgorithmFamily::Ed) => is_ed25519(key),
        _ => false,
    };
    if fits { Ok(()) } else { Err(KeyError::Unreadable(algorithm)) }
}

fn is_point(key: &EllipticCurveKeyParameters, curve: EllipticCurve, length: usize) -> bool {
    let is_coordinate = |text| decoded(text).is_some_and(|bytes| bytes.len() == length);
    key.curve == curve && is_coordinate(&key.x) && is_coordinate(&key.y)
}

fn is_ed25519(key: &OctetKeyPairParameters) -> bool {
    key.curve == EllipticCurve::Ed25519 && decoded(&key.x).is_some_and(|bytes| bytes.len() == 32)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The length of a number, most significant byte first.
fn bits(number: &[u8]) -> usize {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let leading = number.get(first).map_or(0, |byte| byte.leading_zeros() as usize);
    (number.len() - first) * 8 - leading
}

/// Keys that come from one place and are replaced together.
#[derive(Debug, Default)]
pub struct Set(RwLock<Vec<Arc<Key>>>);

impl Set {
    /// Takes these in place of all that were there.
    pub(super) fn replace(&self, keys: Vec<Key>) {
        *self.0.write() = keys.into_iter().map(Arc::new).collect();
    }
}

/// All keys that count.
#[derive(Debug)]
pub struct Keys {
    sets: Vec<Arc<Set>>,
}

impl Keys {
    /// The keys of the configuration, and the sets that others publish.
    pub fn new(fixed: Vec<Key>, mut published: Vec<Arc<Set>>) -> Keys {
        let own = Set::default();
        own.replace(fixed);
        published.push(Arc::new(own));
        Keys { sets: published }
    }

    /// Checks something with each key, so that the library fails at start if it fails at all, and the
    /// first token is checked as fast as the next.
    pub fn try_out(&self) {
        for key in self.select(|_| true) {
            // Nobody has signed this.
            key.has_signed("", &URL_SAFE_NO_PAD.encode([1; 64]));
        }
    }

    /// The keys that a token with this header may be signed with: those that have its id, or where
    /// none has it those without one; without an id, all. Of these only those of its algorithm, and
    /// none if there are more than are tried for one token.
    pub(super) fn fitting(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<Arc<Key>> {
        let mut keys = match id {
            None => self.select(|_| true),
            named => self.select(|key| key.id.as_deref() == named),
        };
        if keys.is_empty() {
            keys = self.select(|key| key.id.is_none());
        }
        keys.retain(|key| key.algorithm == algorithm);
        if keys.len() <= MOST_TRIED { keys } else { Vec::new() }
    }

    fn select(&self, wanted: impl Fn(&Key) -> bool) -> Vec<Arc<Key>> {
        let mut selected = Vec::new();
        for set in &self.sets {
            selected.extend(set.0.read().iter().filter(|key| wanted(key)).cloned());
        }
        selected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_number() {
        for (number, expected) in
            [(&[][..], 0), (&[0, 0], 0), (&[1], 1), (&[0, 0x80, 0], 16), (&[0x7f, 0xff], 15)]
        {
            assert_eq!(bits(number), expected, "{number:?}");
        }
    }
}
