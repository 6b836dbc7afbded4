//! Signatures that are none, and tokens that are written in another way than encoders write them.

use super::super::algorithm::Algorithm;
use super::super::jwt::Refused;
use super::kit::{
    ED25519, HMAC, OTHER_HMAC, P256, RSA, Signer, ann, ann_with, encoded, keys, outcome, refusal,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

fn signers() -> [&'static Signer; 4] {
    [&HMAC, &RSA, &P256, &ED25519]
}

/// A good token's message and the bytes of its signature.
fn signed(signer: &Signer) -> (String, Vec<u8>) {
    let token = signer.token(&ann());
    let (message, signature) = token.rsplit_once('.').expect("a token");
    (message.to_owned(), URL_SAFE_NO_PAD.decode(signature).expect("base64url"))
}

#[test]
fn a_signature_is_there_whole_and_not_longer() {
    for signer in signers() {
        let (message, good) = signed(signer);
        let length = good.len();
        let (zero, ones) = (vec![0; length], vec![0xff; length]);
        let longer = [&good[..], &[0]].concat();
        let before = [&[0], &good[..]].concat();
        let forgeries: [&[u8]; 10] = [
            &[],
            &[0],
            &zero,
            &ones,
            &zero[1..],
            &good[..1],
            &good[..length / 2],
            &good[..length - 1],
            &longer,
            &before,
        ];
        for forgery in forgeries {
            let token = format!("{message}.{}", encoded(forgery));
            let refusal = refusal(&signer.keys(), &token);
            assert_eq!(refusal, Some(Refused::Signature), "{} bytes", forgery.len());
        }
        assert!(outcome(&signer.keys(), &format!("{message}.{}", encoded(&good))).is_ok());
    }
}

/// ECDSA in DER is what X.509 has; JWS has the two numbers alone (RFC 7518 section 3.4).
#[test]
fn an_ecdsa_signature_has_one_form() {
    let (message, good) = signed(&P256);
    let integer = |number: &[u8]| [&[2, 33, 0][..], number].concat();
    let (r, s) = good.split_at(32);
    let der = [vec![0x30, 70], integer(r), integer(s)].concat();
    let token = format!("{message}.{}", encoded(der));
    assert_eq!(refusal(&P256.keys(), &token), Some(Refused::Signature));
}

#[test]
fn what_was_signed_cannot_be_changed() {
    for signer in signers() {
        let token = signer.token(&ann());
        let (header, _, signature) = parts(&token);
        let claims = encoded(ann_with("sub", "bob".into()).to_string());
        let token = format!("{header}.{claims}.{signature}");
        assert_eq!(refusal(&signer.keys(), &token), Some(Refused::Signature));
    }
}

#[test]
fn another_key_of_the_kind_signs_nothing_here() {
    let attackers = [
        Signer::hmac("another secret that is long, 0123456789"),
        Signer::drawn(Algorithm::Rs256, &rcgen::PKCS_RSA_SHA256),
        Signer::drawn(Algorithm::Es256, &rcgen::PKCS_ECDSA_P256_SHA256),
        Signer::drawn(Algorithm::EdDsa, &rcgen::PKCS_ED25519),
    ];
    for (signer, attacker) in signers().into_iter().zip(attackers) {
        let token = attacker.token(&ann());
        assert_eq!(refusal(&signer.keys(), &token), Some(Refused::Signature));
    }
}

fn parts(token: &str) -> (&str, &str, &str) {
    let mut parts = token.split('.');
    let mut next = || parts.next().expect("a part");
    (next(), next(), next())
}

/// Each part as another text that lenient decoders read as the same bytes.
fn misspelled(part: &str) -> Vec<String> {
    let mut spellings = vec![
        format!("{part}="),
        format!("{part}=="),
        format!("{part} "),
        format!(" {part}"),
        format!("{part}\n"),
        format!("{part}\r\n"),
        format!("{part}\0"),
        format!("{}\n{}", &part[..4], &part[4..]),
        format!("{part}%3D"),
        part.replace('-', "+").replace('_', "/"),
    ];
    // The bits of the last character that mean nothing.
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if !part.len().is_multiple_of(4) {
        let (body, last) = part.split_at(part.len() - 1);
        let value = ALPHABET.iter().position(|letter| *letter == last.as_bytes()[0]);
        let other = ALPHABET[value.expect("base64url") | 1] as char;
        spellings.push(format!("{body}{other}"));
    }
    spellings.retain(|spelling| spelling != part);
    spellings
}

#[test]
fn every_part_has_one_spelling() {
    // All bytes that make '-' and '_', and lengths that leave bits over.
    let header = r#"{"alg":"HS256","typ":"?>~ÿ ÿ"}"#;
    let claims = ann_with("note", "?>~ÿÿ>>???".into()).to_string();
    assert!(encoded(header).contains('_') && !encoded(header).len().is_multiple_of(4));
    assert!(encoded(&claims).contains(['-', '_']) && !encoded(&claims).len().is_multiple_of(4));
    let server = HMAC.keys();
    let token = HMAC.sign(header, &claims);
    assert!(outcome(&server, &token).is_ok());
    let (header, claims, signature) = parts(&token);
    assert_eq!(signature.len() % 4, 3);
    // A signer that misspells as well, so that it is not the signature that saves the server.
    let resigned = |header: &str, claims: &str| HMAC.sign_parts(Algorithm::Hs256, header, claims);
    let mut spellings = Vec::new();
    spellings.extend(misspelled(header).iter().map(|header| resigned(header, claims)));
    spellings.extend(misspelled(claims).iter().map(|claims| resigned(header, claims)));
    let unsigned = |signature: &String| format!("{header}.{claims}.{signature}");
    spellings.extend(misspelled(signature).iter().map(unsigned));
    assert_eq!(spellings.len(), 33);
    for token in spellings {
        assert_eq!(refusal(&server, &token), Some(Refused::Encoding), "{token:?}");
    }
}

#[test]
fn a_token_is_three_parts() {
    let server = HMAC.keys();
    let token = HMAC.token(&ann());
    let (header, claims, signature) = parts(&token);
    for token in [
        String::new(),
        ".".to_owned(),
        header.to_owned(),
        format!("{header}.{claims}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{header}..{claims}.{signature}"),
        format!("{token}.{token}"),
        format!("{header}.{claims}.{signature}.x.y"),
    ] {
        assert_eq!(refusal(&server, &token), Some(Refused::Parts), "{token:?}");
    }
    assert_eq!(refusal(&server, ".."), Some(Refused::Header));
    let empty = HMAC.sign_parts(Algorithm::Hs256, header, "");
    assert_eq!(refusal(&server, &empty), Some(Refused::Claims));
}

#[test]
fn a_long_token_is_not_looked_at() {
    let server = HMAC.keys();
    let padded = |length: usize| HMAC.token(&ann_with("x", "x".repeat(length).into()));
    let empty = padded(0).len();
    let most = (8192 - empty) / 4 * 3;
    let (fits, is_longer) = (padded(most - 3), padded(most + 12));
    assert!(fits.len() <= 8192 && is_longer.len() > 8192, "{} {}", fits.len(), is_longer.len());
    assert!(outcome(&server, &fits).is_ok());
    assert_eq!(refusal(&server, &is_longer), Some(Refused::TooLong));
    assert_eq!(refusal(&server, &"é".repeat(1 << 20)), Some(Refused::TooLong));
}

#[test]
fn a_refusal_has_nothing_of_the_token() {
    let refused = refusal(&keys([OTHER_HMAC.key(None, None)]), &HMAC.token(&ann()));
    let said = refused.expect("a refusal").to_string();
    assert_eq!(said, "the signature is not that of any fitting key");
}
