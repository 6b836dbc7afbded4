//! Starting: settings from file, environment and flags, and starts that are refused with a reason.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use support::*;

/// What it said, wherever it said it.
fn said(output: &Output) -> String {
    (String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout)).into_owned()
}

#[track_caller]
fn assert_refused(setup: &Setup, reasons: &[&str]) {
    let output = setup.output();
    let said = said(&output);
    assert!(output.status.code().is_some_and(|code| code != 0), "{output:?}");
    for reason in reasons {
        assert!(said.contains(reason), "no {reason:?} in {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

fn with_file(toml: &str) -> Setup {
    let setup = rill();
    let file = setup.path("rill.toml");
    fs::write(&file, toml).expect("a file");
    setup.flags(&["--config", file.to_str().expect("a path that is text")])
}

/// The place may be written as rustc or as toml writes it.
#[track_caller]
fn assert_refused_at(toml: &str, line: u32, column: u32, key: &str) {
    let setup = with_file(toml);
    assert_refused(&setup, &[key]);
    let said = said(&setup.output());
    let places = [format!("line {line}, column {column}"), format!(":{line}:{column}")];
    assert!(places.iter().any(|place| said.contains(place)), "{places:?} in {said}");
}

#[test]
fn keys_that_are_unknown_are_refused_with_their_place() {
    assert_refused_at("heartbeat = \"20s\"\nmax_lagg = \"1s\"\n", 2, 1, "max_lagg");
    assert_refused_at("\n[log]\n  retention = 5\n", 3, 3, "retention");
}

#[test]
fn values_that_make_no_sense_are_refused() {
    assert_refused(&with_file("heartbeat = \"often\"\n"), &["heartbeat"]);
    assert_refused(&with_file("heartbeat = \n"), &["rill.toml"]);
    assert_refused(&rill().flags(&["--heartbeat", "often"]), &["heartbeat", "often"]);
    assert_refused(&rill().env("RILL_HEARTBEAT_MODE", "loud"), &["loud"]);
    assert_refused(&rill().env("RILL_LOG_RETENTION_COUNT", "many"), &["many"]);
    assert_refused(&rill().flags(&["--log", "paper"]), &["paper"]);
    assert_refused(&rill().flags(&["--config", "/no/such/rill.toml"]), &["/no/such/rill.toml"]);
}

#[test]
fn variables_that_are_unknown_are_refused() {
    assert_refused(&rill().env("RILL_MAX_LAGG", "1s"), &["RILL_MAX_LAGG"]);
    assert_refused(
        &rill().env("RILL_LOG", "memory").env("RILL_LOG_RETENTION", "1s"),
        &["RILL_LOG_RETENTION"],
    );
}

#[test]
fn flags_win_over_variables_and_those_over_the_file() {
    let file = || {
        with_file("heartbeat = \"11s\"\nmax_connections_per_user = 1\n\n[log]\nreplay_limit = 5\n")
    };
    let interval = |setup: Setup| {
        let stream = setup.start().stream("/notifications/stream", DEMO);
        stream.connected.json()["heartbeatInterval"].clone()
    };
    assert_eq!(interval(file()), 11_000);
    assert_eq!(interval(file().env("RILL_HEARTBEAT", "12s")), 12_000);
    assert_eq!(
        interval(file().env("RILL_HEARTBEAT", "12s").flags(&["--heartbeat", "13s"])),
        13_000
    );
    let server = file().start();
    let _only = server.stream("/notifications/stream", DEMO);
    server.send(&get("/notifications/stream").bearer(DEMO)).assert_problem(429);
}

#[test]
fn dev_listens_on_loopback_alone() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        assert_refused(&rill().listen(address), &[address]);
        assert_refused(&rill().listen("127.0.0.1:0").listen(address), &[address]);
    }
    rill().listen("127.0.0.2:0").start();
}

#[test]
fn without_dev_any_address_will_do() {
    rill().without_dev().listen("0.0.0.0:0").start();
}

#[test]
fn without_dev_a_key_is_needed() {
    let what_to_do = ["--dev", "auth.secret_file (openssl rand -base64 48 > FILE)", "jwks"];
    assert_refused(&rill().without_dev().env("RILL_AUTH_SECRET", ""), &what_to_do);
    for command in ["check-config", "serve"] {
        let output = run(&[command], &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(what_to_do.iter().all(|text| said(&output).contains(text)), "{output:?}");
    }
    rill().without_dev().start();
}

#[test]
fn keys_are_refused_with_their_place() {
    let key = "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"RS256\"\n";
    assert_refused_at(&format!("{key}public_key = \"a.pem\"\n"), 4, 1, "auth.keys.public_key");
    assert_refused_at(&format!("{key}secret_file = \"a\"\n"), 1, 1, "public_key_file");
    assert_refused_at("[auth]\nalgorithm = \"RS256\"\n", 2, 13, "[[auth.keys]]");
}

#[test]
fn settings_that_open_too_much_are_refused() {
    let credentials = rill().env("RILL_CORS_CREDENTIALS", "true");
    assert_refused(&credentials, &["cors.credentials", "cors.origins"]);
    let origins = credentials.env("RILL_CORS_ORIGINS", "*,https://app.example");
    assert_refused(&origins, &["RILL_CORS_ORIGINS", "alone"]);
    let plain = rill().env("RILL_AUTH_JWKS_URL", "http://issuer.example/jwks.json");
    assert_refused(&plain, &["RILL_AUTH_JWKS_URL", "https://"]);
    assert_refused(&rill().env("RILL_RATES_BYTES", "1000/m"), &["rates.bytes", "http.body_limit"]);
}

#[test]
fn check_config_prints_what_it_takes_itself() {
    let toml = |output: Output| String::from_utf8(output.stdout).expect("text");
    let first = toml(run(&["check-config"], &[("RILL_AUTH_SECRET_FILE", "/etc/rill/secret")]));
    assert!(first.contains("\n[auth]\n") && first.contains("secret_file = \"/etc/rill/secret\"\n"));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("rill.toml");
    fs::write(&file, &first).expect("a file");
    let file = file.to_str().expect("a path that is text");
    assert_eq!(toml(run(&["check-config", "--config", file], &[])), first);
}

#[test]
fn no_secret_is_printed() {
    let secret = ("RILL_AUTH_SECRET", SECRET);
    let output = run(&["check-config"], &[secret]);
    assert!(output.status.success() && said(&output).contains("# secret is set"), "{output:?}");
    for (args, env) in [
        (&["check-config"][..], &[secret][..]),
        (&["check-config"], &[secret, ("RILL_AUTH_SECRET_FILE", "secret")]),
        (&["check-config"], &[secret, ("RILL_AUTH_SECRETS", SECRET)]),
        (&["serve", "--shards", "0"], &[secret]),
        (&["serve", "--help"], &[secret]),
    ] {
        let output = run(args, env);
        assert!(!said(&output).contains(SECRET), "{output:?}");
    }
    let toml = format!("[auth]\nsecret = [\"{SECRET}\"]\n");
    assert_refused_at(&toml, 2, 10, "auth.secret");
    assert!(!said(&with_file(&toml).output()).contains(SECRET));
}

#[test]
fn more_connections_than_descriptors_are_refused_naming_both() {
    let with =
        |connections: &str| rill().descriptors(2000).flags(&["--max-connections", connections]);
    let setup = with("1745");
    assert_refused(&setup, &["1745"]);
    let said = said(&setup.output());
    assert!(said.contains("1744") || said.contains("2000"), "{said}");
    with("1744").start();
}

#[test]
fn an_address_in_use_is_refused() {
    let server = Server::start();
    let address = server.address().to_string();
    assert_refused(&rill().listen(&address), &[&address]);
}

#[test]
fn a_unix_socket_that_nobody_listens_on_any_more_is_no_obstacle() {
    let server = rill().listen_unix().start();
    let server = server.crash().start();
    Peer::unix(server.unix_path()).exchange(&get("/healthz")).assert_status(200);
}

/// With these variables and no others.
fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rill"));
    command.args(args).env_clear().envs(env.iter().copied());
    command.output().expect("the binary runs")
}

#[test]
fn help_names_the_flags() {
    let output = run(&["--help"], &[]);
    assert!(output.status.success() && said(&output).contains("serve"), "{output:?}");
    let output = run(&["serve", "--help"], &[]);
    assert!(output.status.success(), "{output:?}");
    for flag in [
        "--config",
        "--dev",
        "--listen",
        "--data-dir",
        "--log",
        "--max-connections",
        "--max-connections-per-user",
        "--heartbeat",
        "--idle-timeout",
        "--shards",
    ] {
        assert!(said(&output).contains(flag), "no {flag} in {}", said(&output));
    }
}

#[test]
fn help_lists_every_setting() {
    let help = said(&run(&["serve", "--help"], &[]));
    for line in [
        "  http.trusted_proxies (not set)\n",
        "  cors.origins = *\n",
        "  auth.secret_file (not set)\n",
        "  auth.cookie = rill_session\n",
        "  rates.connects = off\n",
    ] {
        assert!(help.contains(line), "no {line:?} in {help}");
    }
}

#[test]
fn help_on_tokens_names_the_flags() {
    let help = said(&run(&["token", "--help"], &[]));
    for flag in [
        "<USER>",
        "--name <TEXT>",
        "--role <ROLE>",
        "--channel <NAME>",
        "--room <NAME>",
        "--conversation <NAME>",
        "--expires <DURATION>",
        "[default: 1h]",
        "--kid <KID>",
        "--config <FILE>",
    ] {
        assert!(help.contains(flag), "no {flag} in {help}");
    }
    assert!(!run(&["token"], &[]).status.success());
    assert!(!run(&["token", "ann", "--expires", "soon"], &[]).status.success());
}

#[test]
fn flags_that_are_unknown_are_refused() {
    assert_refused(&rill().flags(&["--max-lagg", "1s"]), &["--max-lagg"]);
    assert!(!run(&["sevre"], &[]).status.success());
}

#[test]
fn nobody_has_to_read_what_it_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("rill.sock");
    let mut process = Command::new(env!("CARGO_BIN_EXE_rill"))
        .args(["serve", "--dev", "--listen"])
        .arg(format!("unix:{}", socket.display()))
        .arg("--data-dir")
        .arg(directory.path().join("data"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    // Both pipes are broken before it has said anything.
    drop((process.stdout.take(), process.stderr.take()));
    let end = Instant::now() + PATIENCE;
    let mut answer = String::new();
    while answer.is_empty() {
        assert!(Instant::now() < end, "it does not answer");
        assert_eq!(process.try_wait().expect("a state"), None, "it has ended");
        let Ok(mut stream) = UnixStream::connect(&socket) else { continue };
        let request = "GET /healthz HTTP/1.1\r\nHost: rill\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("asked");
        stream.read_to_string(&mut answer).expect("answered");
    }
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    process.kill().expect("ended");
    process.wait().expect("a status");
}
