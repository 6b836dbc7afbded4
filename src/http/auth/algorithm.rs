//! What signs a token.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use jsonwebtoken::{Algorithm as Jose, AlgorithmFamily};
use thiserror::Error;

/// A signature algorithm of RFC 7518 section 3.1 or RFC 8037. `none` is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA PKCS #1 v1.5 with SHA-256.
    Rs256,
    /// RSA PKCS #1 v1.5 with SHA-384.
    Rs384,
    /// RSA PKCS #1 v1.5 with SHA-512.
    Rs512,
    /// RSA PSS with SHA-256.
    Ps256,
    /// RSA PSS with SHA-384.
    Ps384,
    /// RSA PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

/// Every algorithm.
const ALL: [Algorithm; 12] = [
    Algorithm::Hs256,
    Algorithm::Hs384,
    Algorithm::Hs512,
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
];

/// Why a text is no [`Algorithm`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "is none of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"
)]
pub struct NotAnAlgorithm;

impl Algorithm {
    /// The name in a token's header.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// As the library that computes it calls it.
    pub(super) fn jose(self) -> Jose {
        match self {
            Algorithm::Hs256 => Jose::HS256,
            Algorithm::Hs384 => Jose::HS384,
            Algorithm::Hs512 => Jose::HS512,
            Algorithm::Rs256 => Jose::RS256,
            Algorithm::Rs384 => Jose::RS384,
            Algorithm::Rs512 => Jose::RS512,
            Algorithm::Ps256 => Jose::PS256,
            Algorithm::Ps384 => Jose::PS384,
            Algorithm::Ps512 => Jose::PS512,
            Algorithm::Es256 => Jose::ES256,
            Algorithm::Es384 => Jose::ES384,
            Algorithm::EdDsa => Jose::EdDSA,
        }
    }

    /// What kind of key it takes.
    pub(super) fn family(self) -> AlgorithmFamily {
        self.jose().family()
    }
}

impl FromStr for Algorithm {
    type Err = NotAnAlgorithm;

    /// Names are compared exactly, as RFC 7515 section 5.3 wants it.
    fn from_str(text: &str) -> Result<Algorithm, NotAnAlgorithm> {
        ALL.into_iter().find(|algorithm| algorithm.name() == text).ok_or(NotAnAlgorithm)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ValueEnum for Algorithm {
    fn value_variants<'a>() -> &'a [Algorithm] {
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact_and_the_same_everywhere() {
        for algorithm in ALL {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
            assert_eq!(algorithm.name().parse::<Jose>(), Ok(algorithm.jose()));
        }
        for text in ["", "none", "None", "hs256", "HS256 ", "ES512", "ES256K", "Ed25519"] {
            assert_eq!(text.parse::<Algorithm>(), Err(NotAnAlgorithm), "{text:?}");
        }
    }
}
