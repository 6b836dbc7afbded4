//! Keys and what is asked of credentials.

use super::*;
use crate::http::auth::secret::Secret;

const SECRET: &str = "jfEUPWUEzqZ1WK4uy9rh2pbsWrT0fVHW";

fn auth(file: &str) -> AuthConfig {
    resolve_alone(Some(file), &[], &[]).expect(file).auth
}

/// What is said about a file, without the name of it.
fn said(file: &str) -> String {
    let said = refused(resolve_alone(Some(file), &[], &[]));
    let place =
        |said: &str| said.strip_prefix("/")?.split_once(':').map(|(_, rest)| rest.to_owned());
    place(&said).unwrap_or(said)
}

#[test]
fn without_a_key_nobody_could_publish() {
    let no_key = "nobody could publish: there is no key to check credentials with. For a first try \
                  run with --dev; else set auth.secret_file (openssl rand -base64 48 > FILE), \
                  [[auth.keys]], auth.jwks_file or auth.jwks_url";
    assert_eq!(refused(resolve_alone(None, &[], &[])), no_key);
    let trusted = [("RILL_AUTH_TRUST_USER_ID", "true")];
    assert_eq!(refused(resolve_alone(None, &trusted, &[])), no_key);
    // An empty value is none, and takes away what the file says.
    let emptied = [("RILL_AUTH_SECRET_FILE", "")];
    assert_eq!(refused(resolve_alone(Some("auth.secret_file = 'a'"), &emptied, &[])), no_key);

    resolve_alone(None, &[], &["--dev"]).expect("demo tokens");
    for one in [
        ("RILL_AUTH_SECRET", SECRET),
        ("RILL_AUTH_SECRET_FILE", "secret"),
        ("RILL_AUTH_JWKS_FILE", "jwks.json"),
        ("RILL_AUTH_JWKS_URL", "https://issuer.example/jwks.json"),
    ] {
        resolve_alone(None, &[one], &[]).expect(one.0);
    }
    auth("[[auth.keys]]\nalgorithm = 'ES256'\npublic_key_file = 'a.pem'");
}

#[test]
fn a_secret_comes_from_one_place() {
    assert_eq!(auth(&format!("auth.secret = '{SECRET}'")).secret, Some(Secret::new(SECRET)));
    let config = resolve_alone(None, &[("RILL_AUTH_SECRET", SECRET)], &[]).expect("config");
    assert_eq!(config.auth.secret, Some(Secret::new(SECRET)));
    assert_eq!(auth("auth.secret_file = 'a'").secret_file, Some("a".into()));

    assert_eq!(
        refused(resolve(None, &[("RILL_AUTH_SECRET", SECRET)], &[])),
        "auth.secret and auth.secret_file are both set: set only one of them"
    );
    let pairs = [("RILL_AUTH_SECRET", SECRET), ("RILL_AUTH_SECRET_FILE", "")];
    resolve_alone(Some("auth.secret_file = 'a'"), &pairs, &[]).expect("one is taken away");
}

#[test]
fn a_secret_is_nowhere_to_be_read() {
    let config = resolve_alone(None, &[("RILL_AUTH_SECRET", SECRET)], &[]).expect("config");
    let toml = config.to_toml();
    assert!(toml.contains("\n# secret is set\n"), "{toml}");
    assert!(!toml.contains(SECRET) && !format!("{config:?}").contains(SECRET));

    // All of these are mistakes, and each has the secret in it.
    let number = "8675309".repeat(2);
    for file in [
        format!("auth.secret = ['{SECRET}']"),
        format!("auth.secret = {number}"),
        format!("auth.secret = {SECRET}"),
        format!("auth.secret = '{SECRET}"),
        format!("auth.secret = {{ value = '{SECRET}' }}"),
        format!("auth.secert = '{SECRET}'"),
        format!("secret = '{SECRET}'"),
        format!("auth.secret = '{SECRET}'\nauth.secret_file = 'a'"),
        format!("[[auth.keys]]\nsecret = '{SECRET}'"),
    ] {
        let said = refused(resolve_alone(Some(&file), &[], &[]));
        assert!(!said.contains(SECRET) && !said.contains(&number), "{said}");
    }
    assert_eq!(
        said(&format!("auth.secret = {number}")),
        "1:15: auth.secret: must be one string in quotes"
    );
    let pairs = [("RILL_AUTH_SECRETS", SECRET)];
    assert_eq!(
        refused(resolve(None, &pairs, &[])),
        "unknown variable `RILL_AUTH_SECRETS`, did you mean `RILL_AUTH_SECRET`?"
    );
}

#[test]
fn the_algorithm_of_the_secret_takes_a_secret() {
    let file = |name| format!("auth.secret_file = 'a'\nauth.algorithm = '{name}'");
    assert_eq!(auth(&file("HS384")).algorithm, Algorithm::Hs384);
    let pairs = [KEY, ("RILL_AUTH_ALGORITHM", "HS512")];
    let config = resolve_alone(None, &pairs, &[]).expect("config");
    assert_eq!(config.auth.algorithm, Algorithm::Hs512);
    assert_eq!(
        said(&file("ES256")),
        "2:18: auth.algorithm: ES256 does not work with a secret, possible are: HS256, HS384, \
         HS512; for a public key write [[auth.keys]] with public_key_file"
    );
    for wrong in ["hs256", "none", ""] {
        assert_eq!(
            said(&file(wrong)),
            format!(
                "2:18: auth.algorithm: {wrong:?} is not possible, possible are: HS256, HS384, HS512"
            )
        );
    }
}

#[test]
fn keys_are_tables_of_the_file() {
    let file = "[[auth.keys]]\nkid = 'a'\nalgorithm = 'HS256'\nsecret_file = '/a'\n\
                [[auth.keys]]\nkid = 'a'\nalgorithm = 'HS512'\nsecret_env = 'A'\nissuer = 'https://i'\n\
                [auth]\nleeway = '5s'\n\
                [[auth.keys]]\nkid = 'b \"c\"'\nalgorithm = 'EdDSA'\npublic_key_file = 'b.pem'\n";
    let key = |kid: &str, algorithm, source, issuer: Option<&str>| KeyConfig {
        kid: Some(kid.to_owned()),
        algorithm,
        source,
        issuer: issuer.map(str::to_owned),
    };
    let config = resolve_alone(Some(file), &[], &[]).expect("config");
    let expected = [
        key("a", Algorithm::Hs256, KeySource::SecretFile("/a".into()), None),
        key("a", Algorithm::Hs512, KeySource::SecretEnv("A".into()), Some("https://i")),
        key("b \"c\"", Algorithm::EdDsa, KeySource::PublicKeyFile("b.pem".into()), None),
    ];
    assert_eq!(config.auth.keys, expected);

    let toml = config.to_toml();
    let keys = "keys = [\n  { kid = \"a\", algorithm = \"HS256\", secret_file = \"/a\" },\n";
    assert!(toml.contains(keys), "{toml}");
    assert_eq!(resolve_alone(Some(&toml), &[], &[]).expect("TOML"), config);
}

#[test]
fn the_only_key_needs_no_kid() {
    let file = "[[auth.keys]]\nalgorithm = 'PS256'\npublic_key_file = 'a.pem'";
    assert_eq!(auth(file).keys[0].kid, None);
    let beside = "[[auth.keys]]: a key that is not the only one needs a kid";
    for other in [
        KEY,
        ("RILL_AUTH_SECRET", SECRET),
        ("RILL_AUTH_JWKS_FILE", "jwks.json"),
        ("RILL_AUTH_JWKS_URL", "http://localhost/jwks.json"),
    ] {
        assert_eq!(refused(resolve_alone(Some(file), &[other], &[])), beside);
    }
}

#[test]
fn keys_that_make_no_sense_are_refused_where_they_stand() {
    let one_source = "1:1: auth.keys: a key needs exactly one of secret_file, secret_env and \
                      public_key_file";
    for (table, expected) in [
        ("", "1:1: auth.keys: a key needs an algorithm; write it like algorithm = \"ES256\""),
        ("algorithm = 'ES256'", one_source),
        ("algorithm = 'HS256'\nsecret_env = ''", one_source),
        ("algorithm = 'HS256'\nsecret_env = 'A'\nsecret_file = 'a'", one_source),
        ("algorithm = 'ES256'\nsecret_file = 'a'\npublic_key_file = 'a'", one_source),
        (
            "algorithm = 'HS256'\npublic_key_file = 'a'",
            "1:1: auth.keys: HS256 is checked with a secret: give secret_file or secret_env, not \
             public_key_file",
        ),
        (
            "algorithm = 'RS256'\nsecret_file = 'a'",
            "1:1: auth.keys: RS256 is checked with a public key: give public_key_file, not a secret",
        ),
        (
            "algorithm = 'HS256'\nsecret_env = 'RILL_KEY'",
            "1:1: auth.keys: RILL_KEY would be a setting, as all variables that begin with RILL_; \
             name it otherwise",
        ),
        (
            "algorithm = 'HS256'\nsecret_env = 'c2VjcmV0+c2VjcmV0'",
            "1:1: auth.keys: secret_env is the name of the variable that holds the secret, like \
             ISSUER_SECRET",
        ),
        (
            "algorithm = 'none'",
            "2:13: auth.keys.algorithm: \"none\" is not possible, possible are: HS256, HS384, \
             HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA",
        ),
        (
            "issuer = 'i'\nkidd = 'a'\nalgorithm = 1",
            "3:1: unknown key `auth.keys.kidd`, did you mean `auth.keys.kid`?",
        ),
        ("colour = 'red'", "2:1: unknown key `auth.keys.colour`"),
        ("kid = 7", "2:7: auth.keys.kid: 7 must be a string in quotes"),
        ("kid = ['a']", "2:7: auth.keys.kid: takes one value, not a list"),
    ] {
        assert_eq!(said(&format!("[[auth.keys]]\n{table}")), expected);
    }
}

#[test]
fn keys_must_be_told_apart() {
    let file = |first: &str, second: &str| {
        let key = |kid| format!("[[auth.keys]]\n{kid}\nalgorithm = 'HS256'\nsecret_file = 'a'\n");
        key(first) + &key(second)
    };
    let no_kid = "5:1: auth.keys: each of several keys needs a kid";
    assert_eq!(said(&file("kid = 'a'", "")), no_kid);
    assert_eq!(said(&file("", "kid = 'a'")), no_kid);
    assert_eq!(
        said(&file("kid = 'a'", "kid = 'a'")),
        "5:1: auth.keys: another key for HS256 has the kid \"a\" already"
    );
    auth(&file("kid = 'a'", "kid = 'b'"));
}

#[test]
fn nothing_but_tables_makes_keys() {
    let tables = "auth.keys: keys are tables of the file, each under its own [[auth.keys]]";
    assert_eq!(said("[auth.keys]\nkid = 'a'"), format!("1:1: {tables}"));
    assert_eq!(said("auth.keys = ['a']"), format!("1:14: {tables}"));
    assert_eq!(said("auth.keys = 'a'"), format!("1:13: {tables}"));
    assert_eq!(
        env_refused("RILL_AUTH_KEYS", "a"),
        "RILL_AUTH_KEYS: keys are tables of the file, each under its own [[auth.keys]]"
    );
}

#[test]
fn sets_of_keys_come_from_a_file_and_from_safe_urls() {
    assert_eq!(auth("auth.jwks_file = 'a.json'").jwks_file, Some("a.json".into()));
    for right in [
        "https://issuer.example/jwks.json",
        "https://issuer.example:8443/jwks",
        "http://localhost:8080/jwks",
        "http://127.0.0.2/jwks",
        "http://[::1]:80/jwks",
    ] {
        assert_eq!(auth(&format!("auth.jwks_url = '{right}'")).jwks_url, right.parse().ok());
    }
    for wrong in [
        "http://issuer.example/jwks",
        "http://localhost.example/jwks",
        "http://192.0.2.1/jwks",
        "file:///etc/jwks.json",
        "/jwks.json",
        "issuer.example",
        "https://",
        "https:///jwks",
    ] {
        assert_eq!(
            env_refused("RILL_AUTH_JWKS_URL", wrong),
            format!(
                "RILL_AUTH_JWKS_URL: {wrong:?} is no URL for keys; write it like \
                 https://issuer.example/jwks.json, without user and password, and with http:// on \
                 loopback alone"
            )
        );
    }
    let said = env_refused("RILL_AUTH_JWKS_URL", "https://user:password@issuer.example/jwks");
    assert!(said.starts_with("RILL_AUTH_JWKS_URL: \"https://...\" is no URL"), "{said}");
}

#[test]
fn tokens_may_have_to_name_an_issuer_and_an_audience() {
    let file = "[auth]\nsecret_file = 'a'\nissuer = 'https://i'\naudience = ['a,b', 'c']";
    let from_file = auth(file);
    assert_eq!(from_file.issuer.as_deref(), Some("https://i"));
    assert_eq!(from_file.audience, ["a,b", "c"]);
    let pairs = [("RILL_AUTH_ISSUER", ""), ("RILL_AUTH_AUDIENCE", "rill")];
    let from_env = resolve_alone(Some(file), &pairs, &[]).expect("config").auth;
    assert_eq!((from_env.issuer, from_env.audience), (None, vec!["rill".to_owned()]));
    let toml = resolve_alone(Some(file), &[], &[]).expect("config").to_toml();
    assert_eq!(auth(&toml), from_file);
    assert_eq!(
        env_refused("RILL_AUTH_AUDIENCE", "a,,b"),
        "RILL_AUTH_AUDIENCE: an item of the list is empty"
    );
}

#[test]
fn cookies_have_names() {
    for right in ["__Host-rill", "__Secure-session", "a", "!#$%&'*+-.^_`|~"] {
        let config = resolve(None, &[("RILL_AUTH_COOKIE", right)], &[]).expect(right);
        assert_eq!(config.auth.cookie, right);
    }
    for wrong in ["", "a b", "a=b", "a;b", "\"a\"", "é", "a\r\nb"] {
        assert_eq!(
            env_refused("RILL_AUTH_COOKIE", wrong),
            format!(
                "RILL_AUTH_COOKIE: {wrong:?} is no name of a cookie; write it like rill_session or \
                 __Host-session"
            )
        );
    }
}

#[test]
fn times_and_switches() {
    let file = "[auth]\nsecret_file = 'a'\njwks_refresh = '10m'\nleeway = '60s'\nticket_ttl = '5s'\n\
                expiry_notice = '0s'\nquery_tokens = false";
    let from_file = auth(file);
    let seconds = |times: [Duration; 4]| times.map(|time| time.as_secs());
    let AuthConfig { jwks_refresh, leeway, ticket_ttl, expiry_notice, .. } = from_file;
    assert_eq!(seconds([jwks_refresh, leeway, ticket_ttl, expiry_notice]), [600, 60, 5, 0]);
    assert!(!from_file.query_tokens);

    for (name, wrong, least, most) in [
        ("JWKS_REFRESH", ["9s", "8d"], "10s", "7d"),
        ("LEEWAY", ["61s", "1h"], "0s", "1m"),
        ("TICKET_TTL", ["0s", "61m"], "1s", "1h"),
        ("EXPIRY_NOTICE", ["3601s", "2h"], "0s", "1h"),
    ] {
        let name = format!("RILL_AUTH_{name}");
        for wrong in wrong {
            assert_eq!(
                env_refused(&name, wrong),
                format!("{name}: \"{wrong}\" is out of range, allowed is {least} to {most}")
            );
        }
        for right in [least, most] {
            resolve(None, &[(&name, right)], &[]).expect(right);
        }
    }
}

#[test]
fn a_token_goes_by_the_settings_of_its_file() {
    let line = ["rill", "token", "ann", "--role", "admin", "--role", "x", "--config", "/no/file"];
    let Command::Token(token) = Cli::try_parse_from(line).expect("flags").command else {
        panic!("not the command");
    };
    assert_eq!((token.user.as_str(), token.expires), ("ann", Duration::from_secs(3600)));
    assert_eq!(token.roles, ["admin", "x"]);
    let said = refused(Config::resolve(&token.sources(), env(&[KEY])));
    assert_eq!(said, "/no/file: cannot be read: No such file or directory (os error 2)");
}
