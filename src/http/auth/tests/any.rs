//! Whatever comes.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::keys::Keys;
use super::kit::{ED25519, HMAC, P256, ann, ann_with, encoded, keys, outcome};

static SERVER: LazyLock<Keys> = LazyLock::new(|| {
    keys([HMAC.key(None, None), P256.key(Some("p"), None), ED25519.key(None, None)])
});

/// A good token of each kind. The claims have a member that no one looks at, so that nothing but the
/// signature tells that it was changed.
static GOOD: LazyLock<[String; 3]> = LazyLock::new(|| {
    let claims = ann_with("note", "nobody looks at this".into());
    [&*HMAC, &*P256, &*ED25519].map(|signer| signer.token(&claims))
});

proptest! {
    #[test]
    fn no_text_brings_it_down(token in "\\PC*") {
        prop_assert!(outcome(&SERVER, &token).is_err());
    }

    #[test]
    fn no_parts_bring_it_down(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..99), 3),
    ) {
        let token = parts.iter().map(encoded).collect::<Vec<_>>().join(".");
        prop_assert!(outcome(&SERVER, &token).is_err());
    }

    #[test]
    fn no_header_brings_it_down(header in r#"\{("(alg|kid|crit)":("HS256"|"p"|1|\[\]|null),?){0,3}\}?"#) {
        let _ = outcome(&SERVER, &HMAC.sign(&header, &ann().to_string()));
    }

    #[test]
    fn no_signed_claims_bring_it_down(
        claims in r#"\{("(sub|exp|aud|name|roles|jti|rooms)":("a"|1.9e9|-1|1e999|\[\]|\["a\*"\]|null|"\\u12ff"),?){0,5}\}?"#,
    ) {
        let _ = outcome(&SERVER, &HMAC.sign(r#"{"alg":"HS256"}"#, &claims));
    }

    #[test]
    fn one_changed_character_refuses_a_token(
        which in 0..3_usize,
        place in any::<prop::sample::Index>(),
        character in prop_oneof!["[A-Za-z0-9_.=+/ -]", "\\PC"],
    ) {
        let good = &GOOD[which];
        prop_assume!(outcome(&SERVER, good).is_ok());
        let place = place.index(good.len());
        let changed = format!("{}{character}{}", &good[..place], &good[place + 1..]);
        prop_assert_eq!(outcome(&SERVER, &changed).is_ok(), changed == *good);
    }
}

/// The same, for each place and each letter of one token's signature.
#[test]
fn each_letter_of_a_signature_counts() {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let token = HMAC.token(&ann());
    let signature = token.rfind('.').expect("a token") + 1;
    for place in signature..token.len() {
        for letter in ALPHABET.chars().filter(|letter| !token[place..].starts_with(*letter)) {
            let changed = format!("{}{letter}{}", &token[..place], &token[place + 1..]);
            assert!(outcome(&SERVER, &changed).is_err(), "{changed}");
        }
    }
    assert!(outcome(&SERVER, &token).is_ok());
}
