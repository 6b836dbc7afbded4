//! What a dialect can say, and how mistakes in it are told.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::signer::Jwt;

fn parse(text: &str) -> Result<Dialect, Failure> {
    Dialect::parse(text, Path::new("test"))
}

/// The least that a dialect must say, with something more about streams.
fn with(more: &str) -> String {
    format!(
        "[stream]\npath='/s'\nlive='head'\n{more}\n\
         [publish]\npath='/p'\nbroadcast='{{message}}'\nanswer='status'\n"
    )
}

#[test]
fn built_in_dialects_are_sound() {
    for (name, _) in BUILT_IN {
        let Ok(source) = name.parse::<DialectSource>();
        Dialect::load(&source).unwrap();
    }
    let Ok(file) = "else.toml".parse::<DialectSource>();
    assert!(Dialect::load(&file).unwrap_err().to_string().contains("No such file"));
}

#[test]
fn tokens_are_made_or_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    std::fs::write(&file, "one\n\n two \n").unwrap();
    let of = |token: &str| parse(&with(token)).unwrap().stream.token.of(3, "u3");
    assert_eq!(of("token.text='t-{user}'"), "t-u3");
    assert_eq!(of("token.base64='{user}'"), "dTM=");
    assert_eq!(of(&format!("token.file='{}'", file.display())), "two");
    assert_eq!(of(""), "");
}

#[test]
fn tokens_are_signed_for_each_user() {
    let signer = Signer::draw(Jwt::Hs256).unwrap();
    let with_claims = |streams: &str| {
        let publishers = "claims = '{\"sub\":\"admin\"}'\n";
        parse(&(with(&format!("token.text='t'\nclaims='{streams}'")) + publishers)).unwrap()
    };
    let dialect = with_claims(r#"{"sub":"{user}"}"#).signed(&signer, 2).unwrap();
    let claims = |token: String| -> serde_json::Value {
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice(&payload).unwrap()
    };
    assert_eq!(claims(dialect.stream.token.of(1, "u1"))["sub"], "u1");
    assert_eq!(claims(dialect.publish.token.of(0, PUBLISHER))["sub"], "admin");
    assert!(with_claims("not JSON").signed(&signer, 1).is_err());
    let failure = parse(&with("token.text='t'")).unwrap().signed(&signer, 1).unwrap_err();
    assert!(failure.to_string().contains("no claims for --jwt"), "{failure}");
}

#[test]
fn events_mean_what_the_dialect_says() {
    let meaning = |more: &str, kind: &str| parse(&with(more)).unwrap().meaning(kind.as_bytes());
    for (kind, expected) in [
        ("heartbeat", Meaning::Heartbeat),
        ("gap", Meaning::Gap),
        ("disconnected", Meaning::Farewell),
        ("error", Meaning::Farewell),
        ("status", Meaning::Message),
        ("", Meaning::Message),
    ] {
        assert_eq!(meaning("", kind), expected, "{kind}");
    }
    let more = "heartbeat='beat'\ngap='hole'\nfarewells=['bye', 'end']\nignore=['status']";
    for (kind, expected) in [
        ("beat", Meaning::Heartbeat),
        ("hole", Meaning::Gap),
        ("end", Meaning::Farewell),
        ("status", Meaning::Nothing),
        ("heartbeat", Meaning::Message),
        ("gap", Meaning::Message),
        ("error", Meaning::Message),
    ] {
        assert_eq!(meaning(more, kind), expected, "{kind}");
    }
}

#[test]
fn publishers_may_go_somewhere_else() {
    assert_eq!(parse(&with("")).unwrap().publishers(), None);
    let elsewhere = parse(&(with("") + "url='unix:/run/x.sock'")).unwrap();
    assert_eq!(elsewhere.publishers(), Some(Endpoint::Unix("/run/x.sock".into())));
}

#[test]
fn mistakes_are_named() {
    for (text, hint) in [
        (String::new(), "missing field"),
        (with("token.file='/none'"), "/none"),
        (with("body='x'"), "unknown field `body`"),
        (with("token.other='x'"), "unknown variant `other`"),
        (with("ignore='x'"), "expected a sequence"),
        (with("") + "url='http://10.0.0.1:1'", "not a loopback address"),
    ] {
        let failure = parse(&text).unwrap_err().to_string();
        assert!(failure.contains("test") && failure.contains(hint), "{failure}");
    }
}
