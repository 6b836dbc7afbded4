//! Who is told, and what it is signed with.

use super::*;
use crate::config::MaterialError;
use crate::http::auth::secret::Secret;
use crate::webhooks::SecretError;

const URL: (&str, &str) = ("RILL_WEBHOOKS_URL", "http://backend:8080/hooks/rill");
const SECRET: &str = "whsec_Zk3vR8mQ1xW7tYb5nLp0sDg2hJc4uEa6oKiVwXqTzMs=";

#[test]
fn nobody_is_told_unsigned() {
    assert_eq!(
        refused(resolve(None, &[URL], &[])),
        "webhooks.url needs webhooks.secret_file (echo whsec_$(openssl rand -base64 32) > FILE) or \
         webhooks.secret"
    );
    let twice = [URL, ("RILL_WEBHOOKS_SECRET", SECRET), ("RILL_WEBHOOKS_SECRET_FILE", "f")];
    assert_eq!(
        refused(resolve(None, &twice, &[])),
        "webhooks.secret and webhooks.secret_file are both set: set only one of them"
    );
    assert!(defaults().webhooks.read().expect("nothing to read").is_none());
    let config = resolve(None, &[URL, ("RILL_WEBHOOKS_SECRET", SECRET)], &[]).expect("config");
    assert_eq!(config.webhooks.secret, Some(Secret::new(SECRET)));
    assert_eq!(config.webhooks.read().expect("a key").expect("settings").batch, 100);
}

#[test]
fn a_url_is_one_of_the_web() {
    for wrong in ["backend", "ftp://backend/", "https://ann:hidden@backend/"] {
        let said = env_refused(URL.0, wrong);
        assert!(said.starts_with("RILL_WEBHOOKS_URL: ") && said.contains(" is no URL"), "{said}");
        assert!(!said.contains("hidden"), "{said}");
    }
}

#[test]
fn what_is_secret_is_not_shown() {
    let file = format!("[webhooks]\nurl = 'https://app.example/h?key=hidden'\nsecret = '{SECRET}'");
    let config = resolve(Some(&file), &[], &[]).expect("config");
    let (toml, debug) = (config.to_toml(), format!("{config:?}"));
    assert!(toml.contains("\n[webhooks]\n# url is set\n# secret is set\n"), "{toml}");
    for text in [toml, debug] {
        assert!(!text.contains(SECRET) && !text.contains("hidden"), "{text}");
    }
}

#[test]
fn a_secret_that_is_none_is_refused_where_it_is() {
    let mut file = tempfile::NamedTempFile::new().expect("file");
    writeln!(file, "whsec_tooshort").expect("written");
    let path = file.path().to_str().expect("path");
    let config = resolve(None, &[URL, ("RILL_WEBHOOKS_SECRET_FILE", path)], &[]).expect("config");
    let error = config.webhooks.read().err().expect("a refusal");
    let said = error.to_string();
    assert!(said.starts_with(path) && !said.contains("tooshort"), "{said}");
    assert!(matches!(error, MaterialError::Webhooks { error: SecretError::Form, .. }));
}
