//! Signatures, by which a receiver knows who has sent him what.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::http::auth::guessable::guessable;
use crate::http::auth::secret::Secret;

/// What secrets of webhooks begin with, so that they are known for what they are.
const PREFIX: &str = "whsec_";
/// How long the key in it may be, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The key of the example in the specification.
const SAMPLE: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Signs messages.
pub struct SigningKey(hmac::Key);

/// Why a secret is not taken. It is told to the operator, and has nothing of the secret.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SecretError {
    /// Written in another way, or too short or too long.
    #[error(
        "the secret must be whsec_ and the base64 of {} to {} bytes; \
         `echo whsec_$(openssl rand -base64 32)` draws one",
        KEY_BYTES.start(), KEY_BYTES.end()
    )]
    Form,
    /// Out of a guide, or a pattern.
    #[error(
        "the secret is a known sample or a pattern; `echo whsec_$(openssl rand -base64 32)` draws one"
    )]
    Guessable,
}

impl SigningKey {
    /// Reads a secret: `whsec_` and a key in base64.
    pub fn read(secret: &Secret) -> Result<SigningKey, SecretError> {
        let encoded = secret.expose().strip_prefix(PREFIX).ok_or(SecretError::Form)?;
        let key = STANDARD.decode(encoded).map_err(|_| SecretError::Form)?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(SecretError::Form);
        }
        if encoded == SAMPLE || guessable(encoded) {
            return Err(SecretError::Guessable);
        }
        Ok(SigningKey(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// The header `webhook-signature` of a message that is sent at this time, in seconds since 1970.
    pub fn sign(&self, id: &str, timestamp: u64, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        let tag = hmac::sign(&self.0, signed.as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(secret: &str) -> Option<SecretError> {
        SigningKey::read(&Secret::new(secret)).err()
    }

    /// The example of the specification's own libraries.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let key = STANDARD.decode(SAMPLE).expect("base64");
        let key = SigningKey(hmac::Key::new(hmac::HMAC_SHA256, &key));
        let body = r#"{"test": 2432232314}"#;
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_long_and_nobody_elses() {
        let drawn = |bytes: usize| {
            let key: Vec<u8> = (0..bytes).map(|n| (n * n * 7 + n * 31) as u8).collect();
            format!("whsec_{}", STANDARD.encode(key))
        };
        for bytes in [24, 32, 64] {
            assert_eq!(refusal(&drawn(bytes)), None, "{bytes}");
        }
        for wrong in [&drawn(23), &drawn(65), "", "whsec_", "whsec_?", &drawn(32)[6..]] {
            assert_eq!(refusal(wrong), Some(SecretError::Form), "{wrong}");
        }
        for known in [SAMPLE, &"A".repeat(44)[..43]] {
            let secret = format!("whsec_{known}{}", if known == SAMPLE { "" } else { "=" });
            assert_eq!(refusal(&secret), Some(SecretError::Guessable), "{secret}");
        }
    }
}
