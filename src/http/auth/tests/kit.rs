//! The kit: signers with keys drawn at run time, tokens by hand, and what becomes of them.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{AlgorithmFamily, DecodingKey, EncodingKey, crypto};
use rcgen::{KeyPair, SignatureAlgorithm};
use serde_json::{Value, json};

use super::super::algorithm::Algorithm;
use super::super::jwt::{Refused, Rules, verify};
use super::super::keys::{Key, Keys};
use super::super::secret::Secret;
use crate::identity::Identity;

pub(in super::super) const SECRET: &str = "Zx81-Qwk9_vNdtRm4Lc7+pBy2Uh6Ge0Sj";
pub(in super::super) const OTHER_SECRET: &str = "Tn5oXr_3aVfKq8iZwE1-HbYu7CmDg2LpJ";
/// Now, in seconds since 1970.
pub(in super::super) const NOW: u64 = 1_800_000_000;

/// Somebody who signs tokens.
pub(in super::super) struct Signer {
    algorithm: Algorithm,
    private: EncodingKey,
    /// What its tokens are checked with: a secret, or a public key in PEM.
    pub(in super::super) public: String,
}

pub(in super::super) static HMAC: LazyLock<Signer> = LazyLock::new(|| Signer::hmac(SECRET));
pub(in super::super) static OTHER_HMAC: LazyLock<Signer> =
    LazyLock::new(|| Signer::hmac(OTHER_SECRET));
pub(in super::super) static RSA: LazyLock<Signer> =
    LazyLock::new(|| Signer::drawn(Algorithm::Rs256, &rcgen::PKCS_RSA_SHA256));
pub(in super::super) static P256: LazyLock<Signer> =
    LazyLock::new(|| Signer::drawn(Algorithm::Es256, &rcgen::PKCS_ECDSA_P256_SHA256));
pub(in super::super) static P384: LazyLock<Signer> =
    LazyLock::new(|| Signer::drawn(Algorithm::Es384, &rcgen::PKCS_ECDSA_P384_SHA384));
pub(in super::super) static ED25519: LazyLock<Signer> =
    LazyLock::new(|| Signer::drawn(Algorithm::EdDsa, &rcgen::PKCS_ED25519));

impl Signer {
    pub(in super::super) fn hmac(secret: &str) -> Signer {
        let private = EncodingKey::from_secret(secret.as_bytes());
        Signer { algorithm: Algorithm::Hs256, private, public: secret.to_owned() }
    }

    pub(in super::super) fn drawn(
        algorithm: Algorithm,
        kind: &'static SignatureAlgorithm,
    ) -> Signer {
        let pair = KeyPair::generate_for(kind).expect("a key pair");
        let pem = pair.serialize_pem();
        let private = match algorithm.family() {
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(pem.as_bytes()),
            AlgorithmFamily::Ec => EncodingKey::from_ec_pem(pem.as_bytes()),
            _ => EncodingKey::from_ed_pem(pem.as_bytes()),
        };
        let private = private.expect("a private key");
        Signer { algorithm, private, public: pair.public_key_pem() }
    }

    /// The key that its tokens are checked with.
    pub(in super::super) fn key(&self, id: Option<&str>, issuer: Option<&str>) -> Key {
        self.key_for(self.algorithm, id, issuer)
    }

    /// The same bound to another algorithm of its kind.
    pub(in super::super) fn key_for(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
        issuer: Option<&str>,
    ) -> Key {
        let (id, issuer) = (id.map(str::to_owned), issuer.map(str::to_owned));
        let key = match algorithm.family() {
            AlgorithmFamily::Hmac => {
                Key::from_secret(&Secret::new(self.public.as_str()), algorithm, id, issuer)
            }
            _ => Key::from_public_pem(self.public.as_bytes(), algorithm, id, issuer),
        };
        key.expect("a key")
    }

    /// Its public key as a member of a published set.
    pub(in super::super) fn jwk(&self, id: &str) -> Value {
        let pem = self.public.as_bytes();
        let key = match self.algorithm.family() {
            AlgorithmFamily::Hmac => Ok(DecodingKey::from_secret(pem)),
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem),
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem),
            AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem),
        };
        let jwk = key.and_then(|key| Jwk::from_decoding_key(&key, None)).expect("a public key");
        let mut jwk = serde_json::to_value(jwk).expect("JSON");
        jwk["kid"] = id.into();
        jwk
    }

    /// The keys of a server that knows this signer alone.
    pub(in super::super) fn keys(&self) -> Keys {
        keys([self.key(None, None)])
    }

    /// A token with this header and these claims, whatever they say, and a signature with the
    /// signer's own algorithm.
    pub(in super::super) fn sign(&self, header: &str, claims: &str) -> String {
        self.sign_with(self.algorithm, header, claims)
    }

    pub(in super::super) fn sign_with(
        &self,
        algorithm: Algorithm,
        header: &str,
        claims: &str,
    ) -> String {
        self.sign_parts(algorithm, &encoded(header), &encoded(claims))
    }

    /// A token of these parts, encoded or not.
    pub(in super::super) fn sign_parts(
        &self,
        algorithm: Algorithm,
        header: &str,
        claims: &str,
    ) -> String {
        let message = format!("{header}.{claims}");
        let signature = crypto::sign(message.as_bytes(), &self.private, algorithm.jose());
        format!("{message}.{}", signature.expect("a signature"))
    }

    /// A token with these claims and the usual header.
    pub(in super::super) fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": self.algorithm.name() }).to_string(), &claims.to_string())
    }

    /// A token with these claims that names its key.
    pub(in super::super) fn token_with_id(&self, id: &str, claims: &Value) -> String {
        let header = json!({ "alg": self.algorithm.name(), "kid": id });
        self.sign(&header.to_string(), &claims.to_string())
    }
}

pub(in super::super) fn keys(keys: impl IntoIterator<Item = Key>) -> Keys {
    Keys::new(keys.into_iter().collect(), Vec::new())
}

/// A published set of these.
pub(in super::super) fn published<const N: usize>(keys: [Value; N]) -> String {
    json!({ "keys": keys.to_vec() }).to_string()
}

/// What a token has to say at least.
pub(in super::super) fn ann() -> Value {
    json!({ "sub": "ann", "exp": NOW + 60 })
}

/// The same with one claim more, or another.
pub(in super::super) fn ann_with(claim: &str, value: Value) -> Value {
    let mut claims = ann();
    claims[claim] = value;
    claims
}

pub(in super::super) fn encoded(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

pub(in super::super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// What a server without any rules makes of a token.
pub(in super::super) fn outcome(keys: &Keys, token: &str) -> Result<Identity, Refused> {
    verify(token, keys, &Rules::default(), now())
}

/// Why it is refused.
pub(in super::super) fn refusal(keys: &Keys, token: &str) -> Option<Refused> {
    outcome(keys, token).err()
}

/// What a server that knows the usual secret makes of these claims.
pub(in super::super) fn claimed(claims: &Value) -> Result<Identity, Refused> {
    outcome(&HMAC.keys(), &HMAC.token(claims))
}
