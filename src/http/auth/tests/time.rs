//! From when and until when a token counts.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::jwt::{Refused, Rules, verify};
use super::kit::{HMAC, NOW, ann_with, now};
use crate::identity::Stamp;

fn after_leeway(seconds: u64, claims: &Value) -> Result<Stamp, Refused> {
    let rules = Rules { leeway: Duration::from_secs(seconds), ..Rules::default() };
    let ann = verify(&HMAC.token(claims), &HMAC.keys(), &rules, now())?;
    Ok(ann.expires().expect("an end"))
}

#[test]
fn a_token_ends_at_its_expiry() {
    let exp = |exp: Value| json!({ "sub": "ann", "exp": exp });
    for over in [json!(NOW), json!(NOW - 1), json!(0), json!(-0.0), json!(NOW as f64 - 0.001)] {
        assert_eq!(after_leeway(0, &exp(over.clone())), Err(Refused::Expired), "{over}");
    }
    let a_moment = exp(json!(NOW as f64 + 0.001));
    assert_eq!(after_leeway(0, &a_moment), Ok(Stamp(NOW * 1000 + 1)));
    assert_eq!(after_leeway(60, &exp(json!(NOW - 60))), Err(Refused::Expired));
    assert_eq!(after_leeway(60, &exp(json!(NOW - 59))), Ok(Stamp((NOW + 1) * 1000)));
}

#[test]
fn a_token_begins_at_its_time() {
    for (claim, refused) in [("nbf", Refused::NotYet), ("iat", Refused::IssuedLater)] {
        let at = |time: u64| ann_with(claim, time.into());
        assert!(after_leeway(0, &at(NOW)).is_ok());
        assert_eq!(after_leeway(0, &at(NOW + 1)), Err(refused));
        assert!(after_leeway(60, &at(NOW + 60)).is_ok());
        assert_eq!(after_leeway(60, &at(NOW + 61)), Err(refused));
    }
}
