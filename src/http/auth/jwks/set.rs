//! What a JSON Web Key Set gives.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde_json::value::RawValue;
use thiserror::Error;

use super::super::algorithm::Algorithm;
use super::super::keys::Key;
use crate::json::Object;

/// Why a text gives no keys.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SetError {
    /// Something else.
    #[error("this is not a JSON Web Key Set, an object with a list of keys")]
    Form,
    /// Keys for other ends, or none at all.
    #[error("the set has no key that signatures can be checked with")]
    NoUsableKey,
}

/// The keys of a set that check signatures. The others are for others, and do not hinder these.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Key>, SetError> {
    let set = Object::parse(text).map_err(|_| SetError::Form)?;
    let list = set.get("keys").ok_or(SetError::Form)?;
    let list: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(|_| SetError::Form)?;
    let keys: Vec<Key> = list.into_iter().filter_map(usable).collect();
    if keys.is_empty() { Err(SetError::NoUsableKey) } else { Ok(keys) }
}

fn usable(text: &RawValue) -> Option<Key> {
    let jwk: Jwk = serde_json::from_str(text.get()).ok()?;
    let id = jwk.common.key_id.clone();
    if matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_)) {
        tracing::warn!(kid = ?id, "passed over a secret in a key set: its readers could sign");
        return None;
    }
    if !is_for_signatures(&jwk) {
        return None;
    }
    let read = Key::from_jwk(&jwk, algorithm(&jwk)?, id.clone(), None);
    read.inspect_err(|error| tracing::warn!(kid = ?id, %error, "passed over a key in a key set"))
        .ok()
}

fn is_for_signatures(jwk: &Jwk) -> bool {
    let key_use = jwk.common.public_key_use.as_ref();
    let operations = jwk.common.key_operations.as_ref();
    key_use.is_none_or(|key_use| *key_use == PublicKeyUse::Signature)
        && operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify))
}

/// The one algorithm that a key is for: what it says, else what is usual for its kind.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    match (jwk.common.key_algorithm, &jwk.algorithm) {
        // One that is not known here, or is not for signatures, is none of ours.
        (Some(said), _) => said.to_string().parse().ok(),
        (None, AlgorithmParameters::RSA(_)) => Some(Algorithm::Rs256),
        (None, AlgorithmParameters::EllipticCurve(key)) => match key.curve {
            EllipticCurve::P256 => Some(Algorithm::Es256),
            EllipticCurve::P384 => Some(Algorithm::Es384),
            _ => None,
        },
        (None, AlgorithmParameters::OctetKeyPair(_)) => Some(Algorithm::EdDsa),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::http::auth::keys::{Keys, Set};
    use crate::http::auth::tests::kit::{
        ED25519, HMAC, P256, P384, RSA, Signer, ann, encoded, outcome, published,
    };

    fn served(text: &str) -> Keys {
        let set = Arc::new(Set::default());
        set.replace(parse(text.as_bytes()).expect("a set"));
        Keys::new(Vec::new(), vec![set])
    }

    fn with(mut jwk: Value, member: &str, value: Value) -> Value {
        jwk[member] = value;
        jwk
    }

    fn takes(text: &str, signer: &Signer) -> bool {
        outcome(&served(text), &signer.token_with_id("k", &ann())).is_ok()
    }

    fn only(jwk: Value) -> Result<(), SetError> {
        parse(published([jwk]).as_bytes()).map(|_| ())
    }

    #[test]
    fn keys_of_every_kind() {
        for signer in [&*RSA, &*P256, &*P384, &*ED25519] {
            assert!(takes(&published([signer.jwk("k")]), signer));
            assert!(takes(&published([with(signer.jwk("k"), "use", "sig".into())]), signer));
            let operations = json!(["verify", "other"]);
            assert!(takes(&published([with(signer.jwk("k"), "key_ops", operations)]), signer));
        }
    }

    #[test]
    fn a_key_is_bound_to_the_algorithm_that_it_names() {
        let pss = published([with(RSA.jwk("k"), "alg", "PS384".into())]);
        assert!(!takes(&pss, &RSA));
        let token =
            RSA.sign_with(Algorithm::Ps384, r#"{"alg":"PS384","kid":"k"}"#, &ann().to_string());
        assert!(outcome(&served(&pss), &token).is_ok());
        for other in ["ES256", "HS256", "EdDSA", "RSA-OAEP", "none", "RS257", "rs256"] {
            let jwk = with(RSA.jwk("k"), "alg", other.into());
            assert_eq!(only(jwk), Err(SetError::NoUsableKey), "{other}");
        }
    }

    #[test]
    fn what_is_of_no_use_is_passed_over() {
        let secret = HMAC.jwk("k");
        assert_eq!(secret["kty"], "oct");
        let others = [
            secret,
            with(RSA.jwk("k"), "use", "enc".into()),
            with(RSA.jwk("k"), "key_ops", json!(["encrypt"])),
            with(RSA.jwk("k"), "key_ops", json!([])),
            with(RSA.jwk("k"), "n", "AQAB".into()),
            with(RSA.jwk("k"), "n", "not base64!".into()),
            with(RSA.jwk("k"), "kid", 1.into()),
            with(P256.jwk("k"), "crv", "P-521".into()),
            with(P256.jwk("k"), "crv", "P-384".into()),
            with(P256.jwk("k"), "crv", "secp256k1".into()),
            with(P256.jwk("k"), "x", "AQAB".into()),
            with(ED25519.jwk("k"), "crv", "X25519".into()),
            with(ED25519.jwk("k"), "x", "AQAB".into()),
            json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AQAB" }),
            json!({}),
            json!(1),
            json!(null),
        ];
        for jwk in &others {
            assert_eq!(only(jwk.clone()), Err(SetError::NoUsableKey), "{jwk}");
        }
        let mut keys = others.to_vec();
        keys.push(P256.jwk("k"));
        assert!(takes(&json!({ "keys": keys, "more": 1 }).to_string(), &P256));
    }

    /// With the exponent 1 a signature is nothing but the padded digest (RFC 8017 section 9.2).
    #[test]
    fn an_exponent_that_anyone_can_invert_takes_no_signature() {
        const SHA_256: [u8; 19] =
            [48, 49, 48, 13, 6, 9, 96, 134, 72, 1, 101, 3, 4, 2, 1, 5, 0, 4, 32];
        let message = RSA.token_with_id("k", &ann());
        let message = message.rsplit_once('.').expect("a token").0;
        let digest = Sha256::digest(message);
        let forgery = [&[0, 1], &[0xff; 202][..], &[0], &SHA_256, &digest].concat();
        assert_eq!(forgery.len(), 256);
        let token = format!("{message}.{}", encoded(forgery));
        for exponent in ["AQ", "AA", "Ag"] {
            let set = published([with(RSA.jwk("k"), "e", exponent.into())]);
            assert!(outcome(&served(&set), &token).is_err(), "{exponent}");
        }
    }

    #[test]
    fn what_is_no_set() {
        for text in
            ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"keys":[],"keys":[]}"#]
        {
            assert_eq!(parse(text.as_bytes()).err(), Some(SetError::Form), "{text}");
        }
        assert_eq!(parse(br#"{"keys":[]}"#).err(), Some(SetError::NoUsableKey));
        assert_eq!(parse(&[0xff; 9]).err(), Some(SetError::Form));
    }
}
