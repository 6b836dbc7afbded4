//! What is refused at start, and what is minted.

use std::time::Duration;

use super::super::algorithm::Algorithm;
use super::super::jwt::{Refused, Rules, verify};
use super::super::keys::{Key, KeyError};
use super::super::mint::{MintError, Wanted, mint};
use super::super::secret::Secret;
use super::kit::{ED25519, HMAC, NOW, P256, P384, RSA, SECRET, keys, now};
use crate::event::Name;
use crate::identity::Stamp;
use rcgen::KeyPair;

/// RSA with 1024 bits, whose private half is nobody's.
const SHORT_RSA: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDLX8phl98neai+tmTcGqpTwArf
cZHvP466PXnPq+TutkYfh9h6b0JBQEGy4syQ1Hy6TInN4SkcApK7+Nu66Z+wggQs
ENorEEQEl4o4gv7YUS28l17cwopUWol8Y/WFFxIFtP0g6oaFqaROIy2CWlv1hrBH
kXa0nHTzx/kqTREWXQIDAQAB
-----END PUBLIC KEY-----
";

fn secret(text: &str, algorithm: Algorithm) -> Result<(), KeyError> {
    Key::from_secret(&Secret::new(text), algorithm, None, None).map(|_| ())
}

fn public(pem: &str, algorithm: Algorithm) -> Result<(), KeyError> {
    Key::from_public_pem(pem.as_bytes(), algorithm, None, None).map(|_| ())
}

#[test]
fn a_secret_is_long_and_nobodys_sample() {
    assert_eq!(secret(SECRET, Algorithm::Hs256), Ok(()));
    assert_eq!(secret(&SECRET[..32], Algorithm::Hs512), Ok(()));
    assert_eq!(secret(&SECRET[..31], Algorithm::Hs256), Err(KeyError::TooShort));
    assert_eq!(secret("", Algorithm::Hs256), Err(KeyError::TooShort));
    let sample = "a-string-secret-at-least-256-bits-long";
    assert_eq!(secret(sample, Algorithm::Hs256), Err(KeyError::Guessable));
}

#[test]
fn a_key_is_of_its_algorithms_kind() {
    assert_eq!(secret(&RSA.public, Algorithm::Hs256), Err(KeyError::Pem));
    assert_eq!(secret(SECRET, Algorithm::Rs256), Err(KeyError::NeedsPublicKey(Algorithm::Rs256)));
    assert_eq!(public(&RSA.public, Algorithm::Hs256), Err(KeyError::NeedsSecret(Algorithm::Hs256)));
    for (pem, algorithm) in [
        (&RSA.public, Algorithm::Es256),
        (&RSA.public, Algorithm::EdDsa),
        (&P256.public, Algorithm::Rs256),
        (&P256.public, Algorithm::Ps512),
        (&P256.public, Algorithm::Es384),
        (&P384.public, Algorithm::Es256),
        (&P256.public, Algorithm::EdDsa),
        (&ED25519.public, Algorithm::Es256),
        (&ED25519.public, Algorithm::Rs256),
    ] {
        assert_eq!(public(pem, algorithm), Err(KeyError::Unreadable(algorithm)), "{algorithm}");
    }
}

#[test]
fn what_is_no_public_key() {
    let shortened: String = RSA.public.chars().take(200).collect();
    for text in ["", "x", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", &shortened] {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            let error = KeyError::Unreadable(algorithm);
            assert_eq!(public(text, algorithm), Err(error), "{text:?}");
        }
    }
    assert_eq!(public(SHORT_RSA, Algorithm::Rs256), Err(KeyError::Weak));
    let pair = KeyPair::generate().expect("a key pair");
    assert_eq!(public(&pair.serialize_pem(), Algorithm::Es256), Err(KeyError::PrivateKey));
}

#[test]
fn a_key_shows_nothing_of_itself() {
    let key = HMAC.key(Some("main"), None);
    let shown = format!("{key:?} {:?}", keys([HMAC.key(None, None)]));
    assert!(shown.contains("main") && shown.contains("Hs256"), "{shown}");
    let bytes = format!("{:?}", &SECRET.as_bytes()[..4]);
    assert!(
        !shown.contains(&SECRET[..8]) && !shown.contains(&bytes[1..bytes.len() - 1]),
        "{shown}"
    );
}

fn wanted() -> Wanted {
    Wanted {
        user: Name::new("ann").expect("a name"),
        name: Some("Ann".to_owned()),
        roles: vec!["publisher".to_owned()],
        channels: Some(vec!["private-*".to_owned()]),
        rooms: Some(Vec::new()),
        conversations: None,
        lifetime: Duration::from_millis(1500),
        issuer: Some("here".to_owned()),
        audience: Some("rill".to_owned()),
        key_id: Some("main".to_owned()),
        id: Some("t-1".to_owned()),
    }
}

#[test]
fn what_is_minted_is_taken() {
    let audience = vec!["rill".to_owned()];
    let rules = Rules { issuer: Some("here".to_owned()), audience, leeway: Duration::ZERO };
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        let token = mint(&wanted(), &Secret::new(SECRET), algorithm, now()).expect("a token");
        let keys = keys([HMAC.key_for(algorithm, Some("main"), None)]);
        let ann = verify(&token, &keys, &rules, now()).expect("an identity");
        assert_eq!((ann.user.as_str(), ann.username.as_str()), ("ann", "Ann"));
        assert!(ann.roles.may_publish() && ann.grants.may_hear("private-x"));
        assert!(!ann.grants.rooms.allows("lobby"));
        let credential = ann.credential.expect("what it rests on");
        assert_eq!(credential.id.as_deref(), Some("t-1"));
        assert_eq!(credential.issued, Stamp(NOW * 1000));
        assert_eq!(credential.expires, Some(Stamp(NOW * 1000 + 1500)));
        let later = verify(&token, &keys, &rules, now() + Duration::from_millis(1500));
        assert_eq!(later, Err(Refused::Expired));
    }
}

#[test]
fn nothing_is_minted_with_what_the_server_would_not_take() {
    let mint = |secret: &str, algorithm| mint(&wanted(), &Secret::new(secret), algorithm, now());
    assert!(matches!(
        mint(&SECRET[..31], Algorithm::Hs256),
        Err(MintError::Key(KeyError::TooShort))
    ));
    assert!(matches!(
        mint(SECRET, Algorithm::Es256),
        Err(MintError::Key(KeyError::NeedsPublicKey(Algorithm::Es256)))
    ));
}
