//! What attackers write into headers.

use serde_json::{Value, json};

use super::super::algorithm::Algorithm;
use super::super::jwt::Refused;
use super::kit::{
    HMAC, OTHER_HMAC, P256, RSA, SECRET, Signer, ann, encoded, keys, outcome, refusal,
};

/// What becomes of a token with this header and a good signature.
fn signed(header: &str) -> Option<Refused> {
    refusal(&HMAC.keys(), &HMAC.sign(header, &ann().to_string()))
}

fn is_taken(header: &str) -> bool {
    outcome(&HMAC.keys(), &HMAC.sign(header, &ann().to_string())).is_ok()
}

#[test]
fn no_variant_of_none_is_an_algorithm() {
    let keys = keys([HMAC.key(None, None), RSA.key(None, None), P256.key(None, None)]);
    for name in ["none", "None", "NONE", "nOnE", " none", "none\u{0}", "", "null", "nоne"] {
        let header = json!({ "alg": name, "typ": "JWT" }).to_string();
        let message = format!("{}.{}", encoded(&header), encoded(ann().to_string()));
        let unsigned = [format!("{message}."), message.clone()];
        assert_eq!(refusal(&keys, &unsigned[0]), Some(Refused::Algorithm), "{name:?}");
        assert_eq!(refusal(&keys, &unsigned[1]), Some(Refused::Parts), "{name:?}");
        assert_eq!(signed(&header), Some(Refused::Algorithm), "{name:?}");
    }
}

#[test]
fn the_algorithm_is_exactly_one_name() {
    for header in [
        r#"{}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":256}"#,
        r#"{"alg":{"name":"HS256"}}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS256 "}"#,
        r#"{"alg":"HS256\u0000"}"#,
        r#"{"ALG":"HS256"}"#,
        r#"{"alg":"ES512"}"#,
        r#"{"alg":"A128GCMKW"}"#,
    ] {
        assert_eq!(signed(header), Some(Refused::Algorithm), "{header}");
    }
    assert!(is_taken(r#"{"alg":"HS256"}"#) && is_taken(r#"{"\u0061lg":"HS256","typ":"x"}"#));
}

#[test]
fn a_header_is_one_object_with_each_member_once() {
    for header in [
        "",
        "[]",
        "null",
        "\"HS256\"",
        "{\"alg\":\"HS256\"",
        "{\"alg\":\"HS256\"}{}",
        "\u{feff}{\"alg\":\"HS256\"}",
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"none"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
        r#"{"alg":"HS256","kid":"a","\u006bid":"b"}"#,
        r#"{"alg":"HS256","x":1,"x":1}"#,
        r#"{"alg":"HS256","x":"\ud800"}"#,
    ] {
        assert_eq!(signed(header), Some(Refused::Header), "{header}");
    }
    let binary = HMAC.sign_parts(
        Algorithm::Hs256,
        &encoded(b"{\"alg\":\"HS256\",\"x\":\"\xff\"}"),
        &encoded(ann().to_string()),
    );
    assert_eq!(refusal(&HMAC.keys(), &binary), Some(Refused::Header));
}

/// A public key written into the secret's place is what RS/HS confusion lives on.
#[test]
fn a_public_key_is_no_secret() {
    for public in [&RSA.public, &P256.public] {
        for secret in [public.clone(), public.trim_end().to_owned(), public.replace('\n', "")] {
            let attacker = Signer::hmac(&secret);
            let token = attacker.token(&ann());
            let server = keys([RSA.key(None, None), P256.key(None, None)]);
            assert_eq!(refusal(&server, &token), Some(Refused::UnknownKey));
            let server = keys([RSA.key(None, None), P256.key(None, None), HMAC.key(None, None)]);
            assert_eq!(refusal(&server, &token), Some(Refused::Signature));
        }
    }
}

#[test]
fn kinds_under_one_id_are_not_confused() {
    let server = keys([RSA.key(Some("k"), None), P256.key(Some("k"), None)]);
    let header = |algorithm: &str| json!({ "alg": algorithm, "kid": "k" }).to_string();
    let sign = |signer: &Signer, name| signer.sign(&header(name), &ann().to_string());
    assert!(outcome(&server, &sign(&RSA, "RS256")).is_ok());
    assert!(outcome(&server, &sign(&P256, "ES256")).is_ok());
    assert_eq!(refusal(&server, &sign(&RSA, "ES256")), Some(Refused::Signature));
    assert_eq!(refusal(&server, &sign(&P256, "RS256")), Some(Refused::Signature));
    let attacker = Signer::hmac(&RSA.public);
    assert_eq!(refusal(&server, &sign(&attacker, "HS256")), Some(Refused::UnknownKey));
}

/// The attacker's own key, and where to get it, in every member that exists for it.
#[test]
fn a_key_that_a_token_brings_along_is_not_looked_at() {
    let jwk = json!({ "kty": "oct", "k": encoded(super::kit::OTHER_SECRET), "alg": "HS256" });
    let address = "http://127.0.0.1:1/jwks.json";
    for (member, value) in [
        ("jwk", jwk.clone()),
        ("jwk", json!({ "keys": [jwk] })),
        ("jku", json!(address)),
        ("x5u", json!(address)),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
    ] {
        let mut header = json!({ "alg": "HS256" });
        header[member] = value;
        let header = header.to_string();
        let token = OTHER_HMAC.sign(&header, &ann().to_string());
        assert_eq!(refusal(&HMAC.keys(), &token), Some(Refused::Signature), "{member}");
        assert!(is_taken(&header), "{member} is of no concern in a good token");
    }
}

#[test]
fn a_hostile_key_id_chooses_nothing() {
    let server = keys([HMAC.key(Some("main"), None)]);
    let huge = "k".repeat(4000);
    for id in [
        "../../../../dev/null",
        "/proc/self/environ",
        "main' UNION SELECT 'x' --",
        "main\0",
        "\0",
        "main ",
        "MAIN",
        "mаin",
        "",
        "*",
        "http://127.0.0.1/key",
        "$(id)",
        SECRET,
        &huge,
    ] {
        let token = HMAC.token_with_id(id, &ann());
        assert_eq!(refusal(&server, &token), Some(Refused::UnknownKey), "{id:?}");
        // The classic: an empty key out of /dev/null.
        let forged = Signer::hmac("").token_with_id(id, &ann());
        assert_eq!(refusal(&server, &forged), Some(Refused::UnknownKey), "{id:?}");
    }
    assert!(outcome(&server, &HMAC.token_with_id("main", &ann())).is_ok());
    assert!(outcome(&server, &HMAC.token(&ann())).is_ok());
}

#[test]
fn a_key_id_is_a_text() {
    for id in [json!(1), json!(null), json!(true), json!(["main"]), json!({ "main": 1 })] {
        let header = json!({ "alg": "HS256", "kid": id }).to_string();
        assert_eq!(signed(&header), Some(Refused::KeyId), "{id}");
    }
}

#[test]
fn the_key_with_the_id_comes_before_those_without_one() {
    let server = keys([HMAC.key(Some("a"), None), OTHER_HMAC.key(None, None)]);
    assert_eq!(refusal(&server, &OTHER_HMAC.token_with_id("a", &ann())), Some(Refused::Signature));
    assert_eq!(refusal(&server, &HMAC.token_with_id("b", &ann())), Some(Refused::Signature));
    assert!(outcome(&server, &OTHER_HMAC.token_with_id("b", &ann())).is_ok());
    assert!(outcome(&server, &HMAC.token(&ann())).is_ok());
    assert!(outcome(&server, &OTHER_HMAC.token(&ann())).is_ok());
}

#[test]
fn two_keys_may_have_one_id_while_one_takes_the_place_of_the_other() {
    let server = keys([HMAC.key(Some("a"), None), OTHER_HMAC.key(Some("a"), None)]);
    for signer in [&*HMAC, &*OTHER_HMAC] {
        assert!(outcome(&server, &signer.token_with_id("a", &ann())).is_ok());
    }
}

#[test]
fn an_extension_is_refused_whatever_it_is() {
    for (member, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(null)),
        ("crit", json!("b64")),
        ("crit", json!(["http://example.com/unknown"])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
    ] {
        let header: Value = json!({ "alg": "HS256", member: value });
        assert_eq!(signed(&header.to_string()), Some(Refused::Extension), "{header}");
    }
}
