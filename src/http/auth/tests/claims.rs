//! What a token says about its user.

use serde_json::{Value, json};

use super::super::jwt::Refused;
use super::kit::{HMAC, NOW, ann, ann_with, claimed, outcome, refusal};
use crate::identity::{Allowed, Pattern, Stamp};

/// What becomes of claims that no serializer would write.
fn raw(claims: &str) -> Option<Refused> {
    refusal(&HMAC.keys(), &HMAC.sign(r#"{"alg":"HS256"}"#, claims))
}

#[test]
fn a_token_says_who_somebody_is() {
    let ann = claimed(&json!({
        "iss": "https://id.example", "sub": "ann", "name": "Ann Ω", "email": "ann@example.com",
        "roles": ["user", "publisher"], "channels": ["private-a", "team-*"], "rooms": [],
        "jti": "t-1", "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW as f64 + 60.25, "other": {"x": null},
    }))
    .expect("an identity");
    assert_eq!((ann.user.as_str(), ann.username.as_str()), ("ann", "Ann Ω"));
    assert!(ann.roles.may_publish() && !ann.roles.is_admin());
    let hears = |channel| ann.grants.may_hear(channel);
    assert!(hears("private-a") && hears("team-7") && !hears("orders"));
    assert!(!ann.grants.rooms.allows("lobby"));
    assert_eq!(ann.grants.conversations, Allowed::Open);
    let credential = ann.credential.expect("what it rests on");
    assert_eq!(credential.id.as_deref(), Some("t-1"));
    assert_eq!(credential.issued, Stamp((NOW - 10) * 1000));
    assert_eq!(credential.expires, Some(Stamp(NOW * 1000 + 60_250)));
}

#[test]
fn the_least_token() {
    let ann = claimed(&ann()).expect("an identity");
    assert_eq!((ann.user.as_str(), ann.username.as_str()), ("ann", "ann"));
    assert!(!ann.roles.may_publish());
    assert_eq!(ann.grants.channels, Allowed::Open);
    let credential = ann.credential.expect("what it rests on");
    assert_eq!((credential.id, credential.issued), (None, Stamp(0)));
}

#[test]
fn claims_are_one_object_with_each_member_once() {
    for claims in [
        "",
        "null",
        "[]",
        "\"ann\"",
        "{",
        r#"{"sub":"ann","exp":1900000000,}"#,
        r#"{"sub":"ann","exp":1900000000,"sub":"bob"}"#,
        r#"{"sub":"ann","exp":1900000000,"\u0073ub":"bob"}"#,
        r#"{"sub":"ann","exp":1900000000,"exp":1900000001}"#,
        r#"{"sub":"ann","exp":1900000000,"roles":[],"roles":["admin"]}"#,
        r#"{"sub":"ann","exp":1900000000,"role\u0073":["admin"],"roles":[]}"#,
        r#"{"sub":"ann","exp":1900000000,"x":1,"x":1}"#,
        r#"{"sub":"ann\ud800","exp":1900000000}"#,
        r#"{"sub":"ann","exp":1900000000}{}"#,
    ] {
        assert_eq!(raw(claims), Some(Refused::Claims), "{claims}");
    }
    assert_eq!(raw(r#" { "sub" : "\u0061nn", "exp" : 1.9e9 } "#), None);
}

#[test]
fn what_must_be_there() {
    assert_eq!(claimed(&json!({ "sub": "ann" })), Err(Refused::Missing("exp")));
    assert_eq!(claimed(&json!({ "exp": NOW + 60 })), Err(Refused::Missing("sub")));
    assert_eq!(claimed(&json!({})), Err(Refused::Missing("exp")));
}

#[test]
fn a_claim_of_another_type_refuses_the_token() {
    let (text, number, list) = (json!("x"), json!(NOW), json!(["x"]));
    let never =
        [json!(null), json!(true), json!({ "x": 1 }), json!([1]), json!([null]), json!([["x"]])];
    for (claim, more) in [
        ("exp", [&text, &list]),
        ("nbf", [&text, &list]),
        ("iat", [&text, &list]),
        ("iss", [&number, &list]),
        ("sub", [&number, &list]),
        ("name", [&number, &list]),
        ("email", [&number, &list]),
        ("jti", [&number, &list]),
        ("aud", [&number, &number]),
        ("roles", [&number, &number]),
        ("channels", [&number, &text]),
        ("rooms", [&number, &text]),
        ("conversations", [&number, &text]),
    ] {
        for value in never.iter().chain(more) {
            let refusal = claimed(&ann_with(claim, value.clone())).err();
            assert_eq!(refusal, Some(Refused::Claim(claim)), "{claim}: {value}");
        }
    }
}

#[test]
fn a_time_is_a_number_that_a_clock_can_show() {
    for claim in ["exp", "nbf", "iat"] {
        for number in [
            "-1",
            "-0.001",
            "1e400",
            "-1e400",
            "1e300",
            "1e12",
            "253402214400",
            "1800000060000",
            "NaN",
            "Infinity",
            "0x7fffffff",
            "\"1900000000\"",
            "1_900_000_000",
        ] {
            let rest = if claim == "exp" { "" } else { r#","exp":1900000000"# };
            let refusal = raw(&format!(r#"{{"sub":"ann","{claim}":{number}{rest}}}"#));
            let expected = match number.parse::<f64>() {
                Ok(_) if !number.starts_with(['N', 'I']) => Refused::Claim(claim),
                _ if number.starts_with('"') => Refused::Claim(claim),
                _ => Refused::Claims,
            };
            assert_eq!(refusal, Some(expected), "{claim}: {number}");
        }
    }
    let last = outcome(
        &HMAC.keys(),
        &HMAC.sign(r#"{"alg":"HS256"}"#, r#"{"sub":"ann","exp":253402214399}"#),
    );
    let credential = last.expect("an identity").credential.expect("what it rests on");
    assert_eq!(credential.expires, Some(Stamp(253_402_214_399_000)));
}

#[test]
fn the_subject_is_a_name() {
    let long = "x".repeat(129);
    for bad in ["", "a\nb", "a\0", "\u{202e}bob", "ann\u{200b}", &long] {
        assert_eq!(claimed(&ann_with("sub", bad.into())), Err(Refused::Claim("sub")), "{bad:?}");
    }
}

#[test]
fn the_name_that_others_see_is_printable() {
    let longest = "é".repeat(128);
    let named = |name: &str| claimed(&ann_with("name", name.into())).map(|ann| ann.username);
    assert_eq!(named("").as_deref(), Ok("ann"));
    assert_eq!(named(&longest), Ok(longest.clone()));
    let long = format!("{longest}x");
    for bad in ["a\nb", "\u{1b}[31m", "\u{202e}nimda", "a\u{feff}", &long] {
        assert_eq!(named(bad), Err(Refused::Claim("name")), "{bad:?}");
    }
    let claims = json!({ "sub": "ann", "exp": NOW + 60, "email": "ann@example.com" });
    assert_eq!(claimed(&claims).map(|ann| ann.username).as_deref(), Ok("ann"));
}

#[test]
fn roles_come_as_a_list_or_in_a_text() {
    let roles = |value: Value| {
        let ann = claimed(&ann_with("roles", value)).expect("an identity");
        ann.roles.names().collect::<Vec<_>>()
    };
    for both in [
        json!(["publisher", "admin"]),
        json!("publisher,admin"),
        json!("user, admin publisher"),
        json!(" admin publisher,"),
    ] {
        assert_eq!(roles(both.clone()), ["publisher", "admin"], "{both}");
    }
    for none in [
        json!([]),
        json!(""),
        json!(" , "),
        json!("Admin"),
        json!("administrator"),
        json!(["аdmin"]),
        json!(["not admin", "publisher admin", " admin", "admin\u{2003}x", "x,admin"]),
        json!("not\tadmin"),
    ] {
        assert!(roles(none.clone()).is_empty(), "{none}");
    }
}

#[test]
fn grants_are_names_and_beginnings_of_names() {
    for claim in ["channels", "rooms", "conversations"] {
        for bad in ["", "a\n", "a\n*", "\u{200b}"] {
            let refusal = claimed(&ann_with(claim, json!(["good", bad])));
            assert_eq!(refusal, Err(Refused::Claim(claim)), "{claim}: {bad:?}");
        }
    }
    let ann = claimed(&ann_with("conversations", json!(["*"]))).expect("an identity");
    let everything = [Pattern::Prefix("".into())];
    assert_eq!(ann.grants.conversations, Allowed::Only(everything.into()));
}

#[test]
fn the_id_of_a_token_can_be_kept() {
    let longest = "x".repeat(256);
    assert!(claimed(&ann_with("jti", longest.as_str().into())).is_ok());
    for bad in [String::new(), format!("{longest}x")] {
        assert_eq!(claimed(&ann_with("jti", bad.into())), Err(Refused::Claim("jti")));
    }
}
