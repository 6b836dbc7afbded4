//! Who issues a token, and whom it is for.

use serde_json::{Value, json};

use super::super::jwt::{Refused, Rules, verify};
use super::super::keys::Keys;
use super::kit::{HMAC, OTHER_HMAC, Signer, ann, ann_with, keys, now};

fn rules(issuer: Option<&str>, audience: &[&str]) -> Rules {
    let audience = audience.iter().map(|name| (*name).to_owned()).collect();
    Rules { issuer: issuer.map(str::to_owned), audience, ..Rules::default() }
}

fn refusal(keys: &Keys, rules: &Rules, signer: &Signer, claims: &Value) -> Option<Refused> {
    verify(&signer.token(claims), keys, rules, now()).err()
}

#[test]
fn a_token_is_for_one_of_our_audiences() {
    let refusal = |ours: &[&str], aud: Value| {
        refusal(&HMAC.keys(), &rules(None, ours), &HMAC, &ann_with("aud", aud))
    };
    for ours in [json!("rill"), json!(["rill"]), json!(["shop", "rill"])] {
        assert_eq!(refusal(&["rill"], ours.clone()), None, "{ours}");
        assert_eq!(refusal(&["hub", "rill"], ours.clone()), None, "{ours}");
    }
    for other in
        [json!("shop"), json!(""), json!([]), json!(["Rill", "rill ", "ril"]), json!("rill,shop")]
    {
        assert_eq!(refusal(&["rill"], other.clone()), Some(Refused::Audience), "{other}");
    }
    for named in [json!("rill"), json!([]), json!("")] {
        assert_eq!(refusal(&[], named.clone()), Some(Refused::AudienceNotSet), "{named}");
    }
    let said = Refused::AudienceNotSet.to_string();
    assert!(said.contains("auth.audience"), "{said}");
}

#[test]
fn a_token_without_audience_is_for_those_who_want_none() {
    let refusal = |ours: &[&str]| refusal(&HMAC.keys(), &rules(None, ours), &HMAC, &ann());
    assert_eq!(refusal(&[]), None);
    assert_eq!(refusal(&["rill"]), Some(Refused::Audience));
}

#[test]
fn the_issuer_of_the_configuration_counts_for_keys_without_one() {
    let rules = rules(Some("https://a.example"), &[]);
    let refusal = |claims: Value| refusal(&HMAC.keys(), &rules, &HMAC, &claims);
    assert_eq!(refusal(ann_with("iss", "https://a.example".into())), None);
    for other in ["https://b.example", "https://a.example/", "HTTPS://a.example", ""] {
        let refusal = refusal(ann_with("iss", other.into()));
        assert_eq!(refusal, Some(Refused::Issuer), "{other}");
    }
    assert_eq!(refusal(ann()), Some(Refused::Issuer));
}

#[test]
fn a_key_signs_for_its_own_issuer() {
    let server = keys([HMAC.key(None, Some("a")), OTHER_HMAC.key(None, Some("b"))]);
    for global in [None, Some("a"), Some("c")] {
        let rules = rules(global, &[]);
        let refusal = |signer: &Signer, iss: &str| {
            refusal(&server, &rules, signer, &ann_with("iss", iss.into()))
        };
        assert_eq!(refusal(&HMAC, "a"), None);
        assert_eq!(refusal(&OTHER_HMAC, "b"), None);
        assert_eq!(refusal(&HMAC, "b"), Some(Refused::Issuer), "a signs as b");
        assert_eq!(refusal(&OTHER_HMAC, "a"), Some(Refused::Issuer), "b signs as a");
        assert_eq!(refusal(&HMAC, "c"), Some(Refused::Issuer));
    }
    assert_eq!(refusal(&server, &rules(None, &[]), &HMAC, &ann()), Some(Refused::Issuer));
}

#[test]
fn two_issuers_may_share_a_key() {
    let server = keys([HMAC.key(None, Some("a")), HMAC.key(None, Some("b"))]);
    let refusal =
        |iss: &str| refusal(&server, &rules(None, &[]), &HMAC, &ann_with("iss", iss.into()));
    assert_eq!((refusal("a"), refusal("b")), (None, None));
    assert_eq!(refusal("c"), Some(Refused::Issuer));
}
