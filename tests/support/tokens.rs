//! Credentials as issuers make them, with keys drawn at run time: good tokens, and whatever else one can sign.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, crypto};
use rcgen::{KeyPair, SignatureAlgorithm};
use serde_json::{Value, json};

use super::{SECRET, Setup, rill};

/// Somebody who signs tokens.
pub(crate) struct Signer {
    pub(crate) algorithm: Algorithm,
    private: EncodingKey,
    /// What its tokens are checked with: a secret, or a public key in PEM.
    pub(crate) public: String,
    /// The private key in PEM, if it has one.
    pub(crate) private_pem: String,
}

/// Signs what a server without `--dev` takes.
pub(crate) static ISSUER: LazyLock<Signer> = LazyLock::new(|| Signer::hmac(SECRET));
pub(crate) static RSA: LazyLock<Signer> =
    LazyLock::new(|| Signer::drawn(Algorithm::RS256, &rcgen::PKCS_RSA_SHA256));
pub(crate) static P256: LazyLock<Signer> =
    LazyLock::new(|| Signer::drawn(Algorithm::ES256, &rcgen::PKCS_ECDSA_P256_SHA256));
pub(crate) static ED25519: LazyLock<Signer> =
    LazyLock::new(|| Signer::drawn(Algorithm::EdDSA, &rcgen::PKCS_ED25519));

impl Signer {
    pub(crate) fn hmac(secret: &str) -> Self {
        let private = EncodingKey::from_secret(secret.as_bytes());
        let public = secret.to_owned();
        Self { algorithm: Algorithm::HS256, private, public, private_pem: String::new() }
    }

    pub(crate) fn drawn(algorithm: Algorithm, kind: &'static SignatureAlgorithm) -> Self {
        let pair = KeyPair::generate_for(kind).expect("a key pair");
        let private_pem = pair.serialize_pem();
        let private = match algorithm.family() {
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(private_pem.as_bytes()),
            AlgorithmFamily::Ec => EncodingKey::from_ec_pem(private_pem.as_bytes()),
            _ => EncodingKey::from_ed_pem(private_pem.as_bytes()),
        };
        let private = private.expect("a private key");
        Self { algorithm, private, public: pair.public_key_pem(), private_pem }
    }

    /// A token of these claims and no others.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": self.algorithm }), claims)
    }

    /// The same that names its key.
    pub(crate) fn token_with_kid(&self, kid: &str, claims: &Value) -> String {
        self.sign(&json!({ "alg": self.algorithm, "kid": kid }), claims)
    }

    /// A token with this header, whatever it says, signed with the signer's own algorithm.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_parts(self.algorithm, &encoded(header.to_string()), &encoded(claims.to_string()))
    }

    /// A token of these parts, encoded or not.
    pub(crate) fn sign_parts(&self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let message = format!("{header}.{claims}");
        let signature = crypto::sign(message.as_bytes(), &self.private, algorithm);
        format!("{message}.{}", signature.expect("a signature"))
    }

    /// Its public key as a member of a published set.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let pem = self.public.as_bytes();
        let key = match self.algorithm.family() {
            AlgorithmFamily::Hmac => Ok(DecodingKey::from_secret(pem)),
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem),
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem),
            AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem),
        };
        let jwk = key.and_then(|key| Jwk::from_decoding_key(&key, None)).expect("a public key");
        let mut jwk = serde_json::to_value(jwk).expect("JSON");
        jwk["kid"] = kid.into();
        jwk
    }
}

/// A server that takes tokens alone, and more streams of one user than a test opens.
pub(crate) fn with_tokens() -> Setup {
    rill().without_dev().flags(&["--max-connections-per-user", "100"])
}

/// A part of a token.
pub(crate) fn encoded(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token of an ordinary user for an hour.
pub(crate) fn jwt(user: &str) -> String {
    jwt_with(user, json!({}))
}

/// The same with further claims.
pub(crate) fn jwt_with(user: &str, further: Value) -> String {
    ISSUER.token(&claims(user, further))
}

/// A token that may do everything.
pub(crate) fn admin_jwt() -> String {
    jwt_with("root", json!({ "roles": ["admin"] }))
}

/// What a good token says: issued now, over in an hour, and whatever is given besides or instead.
pub(crate) fn claims(user: &str, further: Value) -> Value {
    let issued = since_1970().as_millis() as f64 / 1000.0;
    let mut claims = json!({ "sub": user, "iat": issued, "exp": in_seconds(3600) });
    let Value::Object(further) = further else { panic!("{further} are no claims") };
    claims.as_object_mut().expect("an object").extend(further);
    claims
}

/// A `NumericDate` of a whole second: at least so many from now, and less than one more.
pub(crate) fn in_seconds(seconds: u64) -> u64 {
    since_1970().as_secs() + 1 + seconds
}

/// How it is written in an event.
pub(crate) fn rfc3339(numeric_date: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(numeric_date);
    humantime::format_rfc3339_millis(time).to_string()
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock")
}
