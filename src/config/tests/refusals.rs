//! Every refusal, word for word.

use super::*;

/// What is said about a file called `rill.toml` with this text.
fn file_refused(text: &str) -> String {
    let path = Path::new("rill.toml");
    let refused = file::parse(path, text).and_then(|assignments| {
        let mut config = Config::blank();
        assignments.into_iter().try_for_each(|assignment| assignment.apply(&mut config))
    });
    refused.expect_err("a refusal").to_string()
}

#[test]
fn a_wrong_value_is_refused_even_where_it_would_be_replaced() {
    let said = refused(resolve(None, &[("RILL_SHARDS", "many")], &["--shards", "2"]));
    assert_eq!(said, "RILL_SHARDS: \"many\" is not a whole number");
}

#[test]
fn two_names_of_the_log_must_agree() {
    let both = [("RILL_LOG", "memory"), ("RILL_LOG_STORE", "embedded")];
    assert_eq!(
        refused(resolve(None, &both, &[])),
        "RILL_LOG and RILL_LOG_STORE differ: they are one setting, so set only one of them"
    );
}

#[test]
fn an_impossible_log_is_refused_without_its_password() {
    let said = "--log: \"redis://...\" is not possible, possible are: embedded, memory";
    assert_eq!(flag_refused("--log", "redis://u:secret@h/0"), said);
    assert_eq!(
        file_refused("log = 'disk'"),
        "rill.toml:1:7: log: \"disk\" is not possible, possible are: embedded, memory"
    );
}

#[test]
fn unknown_keys_are_refused_where_they_stand() {
    assert_eq!(
        file_refused("# Rill\n\nhartbeat = '30s'\n"),
        "rill.toml:3:1: unknown key `hartbeat`, did you mean `heartbeat`?"
    );
    assert_eq!(
        file_refused("[http]\nbody_limit = 4096\n  colour = 1"),
        "rill.toml:3:3: unknown key `http.colour`"
    );
    assert_eq!(
        file_refused("body_limit = 4096"),
        "rill.toml:1:1: unknown key `body_limit`, did you mean `http.body_limit`?"
    );
    assert_eq!(file_refused("shards = 2\n[tls]\ncert = 'x'"), "rill.toml:2:2: unknown key `tls`");
}

#[test]
fn the_first_mistake_in_the_file_is_the_one_reported() {
    assert_eq!(
        file_refused("zeal = 1\nshards = 0\nanger = 2"),
        "rill.toml:1:1: unknown key `zeal`"
    );
}

#[test]
fn columns_count_characters_after_a_byte_order_mark() {
    assert_eq!(file_refused("\u{feff}\"ключ\" = 1"), "rill.toml:1:1: unknown key `ключ`");
    assert_eq!(
        file_refused("log_level = 'é=info' # é\r\nhttp = { \"é\" = 1 }"),
        "rill.toml:2:10: unknown key `http.é`"
    );
}

#[test]
fn what_is_not_toml_is_refused_where_it_stops_being_it() {
    let said = file_refused("shards = 1\nheartbeat = 30s\n");
    assert!(said.starts_with("rill.toml:2:"), "{said}");
    let said = file_refused("log = 'memory'\n[log]\nreplay_limit = 5\n");
    assert!(said.starts_with("rill.toml:2:2: "), "{said}");
    let said = file_refused("shards = 1\nshards = 2\n");
    assert_eq!(said, "rill.toml:2:1: duplicate key");
}

#[test]
fn bad_values_in_the_file_are_refused_where_they_stand() {
    for (text, said) in [
        (
            "heartbeat = 'fast'",
            "1:13: heartbeat: \"fast\" is not a duration; write it like 500ms, 30s, 5m or 24h",
        ),
        (
            "heartbeat = 30",
            "1:13: heartbeat: 30 is not a duration; write it like 500ms, 30s, 5m or 24h",
        ),
        ("heartbeat = 1.5", "1:13: heartbeat: a float does not fit here"),
        ("[heartbeat]\nmode = 'event'", "1:1: heartbeat: a table does not fit here"),
        ("shards = [1]", "1:11: shards: every item of the list must be a string in quotes"),
        ("shards = ['1']", "1:10: shards: takes one value, not a list"),
        ("dev = 1", "1:7: dev: 1 is neither true nor false"),
        ("data_dir = 5", "1:12: data_dir: 5 must be a string in quotes"),
        ("listen = true", "1:10: listen: true must be a string in quotes"),
        ("listen = []", "1:10: listen: at least one address is needed"),
        (
            "\nlisten = [ 'unix:a', 3 ]",
            "2:22: listen: every item of the list must be a string in quotes",
        ),
        ("http = 5", "1:8: http: this is a table of settings, written as [http]"),
        (
            "[http]\nbody_limit = '1K'",
            "2:14: http.body_limit: \"1K\" is not a size; write it like 65536, 256KiB, 10MB or 1GiB",
        ),
        ("max_connections = -1", "1:19: max_connections: -1 is not a whole number"),
        ("shards = 0x1ff", "1:10: shards: 511 is out of range, allowed is 1 to 256"),
    ] {
        assert_eq!(file_refused(text), format!("rill.toml:{said}"));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let said = refused(resolve(None, &[], &["--config", "/no/rill.toml"]));
    assert_eq!(said, "/no/rill.toml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn the_file_is_named_as_the_operator_named_it() {
    let mut file = tempfile::NamedTempFile::new().expect("file");
    file.write_all(b"shards = 0").expect("written");
    let path = file.path().to_str().expect("path");
    assert_eq!(
        flag_refused("--config", path),
        format!("{path}:1:10: shards: 0 is out of range, allowed is 1 to 256")
    );
}

#[test]
fn unknown_variables_are_refused_by_name() {
    assert_eq!(
        env_refused("RILL_HARTBEAT", "30s"),
        "unknown variable `RILL_HARTBEAT`, did you mean `RILL_HEARTBEAT`?"
    );
    assert_eq!(env_refused("RILL_COLOUR", "red"), "unknown variable `RILL_COLOUR`");
    let others = [("PATH", "/bin"), ("RILL", "x"), ("MY_RILL_SHARDS", "x")];
    assert_eq!(resolve(None, &others, &[]).expect("left alone"), defaults());
}

#[cfg(unix)]
#[test]
fn variables_must_be_text() {
    use std::os::unix::ffi::OsStringExt;
    let pair = ("RILL_DATA_DIR".into(), OsString::from_vec(vec![0xff]));
    let said = refused(Config::resolve(&Flags::default(), [pair].into_iter()));
    assert_eq!(said, "RILL_DATA_DIR: the value is not UTF-8");
}

#[test]
fn bad_values_in_variables_and_flags_name_them() {
    assert_eq!(
        env_refused("RILL_HTTP_BODY_LIMIT", "65MiB"),
        "RILL_HTTP_BODY_LIMIT: \"65MiB\" is out of range, allowed is 1KiB to 64MiB"
    );
    assert_eq!(env_refused("RILL_DEV", "yes"), "RILL_DEV: \"yes\" is neither true nor false");
    assert_eq!(env_refused("RILL_LISTEN", ""), "RILL_LISTEN: at least one address is needed");
    assert_eq!(env_refused("RILL_DATA_DIR", ""), "RILL_DATA_DIR: \"\" is not a path");
    assert_eq!(
        flag_refused("--max-connections-per-user", "0"),
        "--max-connections-per-user: \"0\" is out of range, allowed is 1 to 10000000"
    );
    assert_eq!(
        flag_refused("--max-connections", "99999999999999999999"),
        "--max-connections: \"99999999999999999999\" is out of range, allowed is 1 to 10000000"
    );
    assert_eq!(
        flag_refused("--log-format", "Json"),
        "--log-format: \"Json\" is not possible, possible are: text, json"
    );
    assert_eq!(
        flag_refused("--log-level", "inof"),
        "--log-level: \"inof\" is not a log level; write it like info, or info,rill=debug"
    );
    assert_eq!(
        flag_refused("--listen", "example.org:80"),
        "--listen: \"example.org:80\" is not an address to listen on; write it like \
         127.0.0.1:3000, [::1]:3000, localhost:3000 or unix:/run/rill.sock"
    );
    assert_eq!(flag_refused("--listen", "unix:"), "--listen: \"\" is not a path");
    let long = "x".repeat(108);
    assert_eq!(
        flag_refused("--listen", &format!("unix:{long}")),
        format!(
            "--listen: \"{long}\" is longer than the 107 bytes that the path of a socket may have"
        )
    );
}

#[test]
fn durations_have_a_range() {
    for (key, most) in [("heartbeat", "24h"), ("log.retention_age", "3650d")] {
        let setting = Setting::by_key(key).expect("a setting");
        let name = setting.variable();
        for wrong in ["0", "0s", "99ms", "11y"] {
            assert_eq!(
                env_refused(&name, wrong),
                format!("{name}: \"{wrong}\" is out of range, allowed is 100ms to {most}")
            );
        }
        for right in ["100ms", most] {
            resolve(None, &[(&name, right)], &[]).expect(right);
        }
    }
}

#[test]
fn dev_listens_on_loopback_alone() {
    for open in ["0.0.0.0:3000", "[::]:3000", "192.0.2.1:80"] {
        assert_eq!(
            refused(resolve(None, &[("RILL_DEV", "true")], &["--listen", open])),
            format!("--dev listens on loopback alone, and {open} is not loopback")
        );
        resolve(None, &[], &["--listen", open]).expect("not under dev");
    }
    for own in ["127.9.9.9:0", "[::1]:0", "[::ffff:127.0.0.1]:0", "localhost:0", "unix:a"] {
        let config = resolve(None, &[], &["--dev", "--listen", own]).expect(own);
        assert!(config.dev);
    }
}

#[test]
fn streams_must_fit_under_the_descriptor_limit() {
    check_descriptors(768, 1024).expect("fits");
    check_descriptors(1_000_000, u64::MAX).expect("fits");
    assert_eq!(
        check_descriptors(769, 1024).expect_err("too many").to_string(),
        "--max-connections 769 is more than fits: the hard descriptor limit is 1024, which less \
         256 for other use leaves 768 streams"
    );
    check_descriptors(1, 100).expect_err("nothing left");
}
