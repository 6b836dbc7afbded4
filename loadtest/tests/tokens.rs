//! Runs with tokens that the program signs, good ones and bad ones, against Rill itself.

mod kit;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use kit::{fails, loadtest, rill, run};
use serde_json::Value;

const SECRET: &str = "Zx81-Qwk9_vNdtRm4Lc7+pBy2Uh6Ge0Sj";

/// Runs a scenario with a server of its own; its exit status and its report.
fn measure(arguments: &str) -> (Option<i32>, Value) {
    let mut command = loadtest(&format!("{arguments} --json --quiet"));
    let output = command.arg("--server").arg(rill()).output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code(), report.unwrap_or_else(|_| panic!("{output:?}")))
}

#[test]
fn a_server_of_ours_takes_the_tokens_of_each_algorithm() {
    for jwt in ["hs256", "es256", "rs256"] {
        let weather = "churn --streams 10 --churn 20 --rate 50 --seconds 1";
        let (status, report) = measure(&format!("{weather} --jwt {jwt}"));
        assert_eq!((status, &report["lost"]), (Some(0), &0.into()), "{jwt} {report}");
        assert!(report["deliveries"].as_u64().unwrap() > 0, "{jwt} {report}");
    }
}

#[test]
fn a_server_keeps_its_key_when_it_is_killed() {
    let (status, report) = measure("crash --rounds 1 --publishers 2 --answers 5 --jwt es256");
    assert_eq!((status, &report["kills"]), (Some(0), &1.into()), "{report}");
}

#[test]
fn a_siege_is_told_by_kind_of_token() {
    let siege = "siege --streams 5 --rate 50 --seconds 0.5 --publishers 2 --besiegers 3";
    let (status, report) = measure(&format!("{siege} --jwt es256 --within 60000"));
    assert_eq!(status, Some(0), "{report}");
    let rows = report["siege"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["bad tokens"].as_str().unwrap()).collect();
    assert_eq!(names, ["none", "forged", "forged, 8 KB", "garbage"]);
    for row in rows {
        assert!(row["publish p99, ms"].as_f64() > Some(0.0), "{row}");
        assert!(row["delivery p99, ms"].as_f64() > Some(0.0), "{row}");
    }
    for row in &rows[1..] {
        assert!(row["of them a second"].as_f64() > Some(0.0), "{row}");
        assert_eq!(row["answered with 429, %"], 0.0, "{row}");
    }
    assert_eq!(report["bad_tokens_taken"], 0);
}

#[test]
fn a_limit_on_bad_tokens_is_for_besiegers_alone() {
    let siege = "siege --streams 5 --rate 50 --seconds 0.5 --tokens forged --within 60000";
    let limit = "--server-env RILL_RATES_FAILED_CREDENTIALS=5/h";
    let (status, report) = measure(&format!("{siege} --jwt hs256 {limit}"));
    assert_eq!((status, &report["lost"]), (Some(0), &0.into()), "{report}");
    let refused = report["bad_tokens_refused"].as_f64().unwrap();
    let limited = report["siege"][1]["answered with 429, %"].as_f64().unwrap() / 100.0 * refused;
    assert_eq!((refused - limited).round(), 5.0, "{report}");
}

#[test]
fn a_siege_that_the_others_notice_is_not_sound() {
    let siege = "siege --streams 5 --rate 50 --seconds 0.3 --tokens garbage --jwt hs256";
    let (status, report) = measure(&format!("{siege} --times 0.0001 --within 0.0001"));
    assert_eq!((status, &report["sound"]), (Some(1), &false.into()), "{report}");
}

#[test]
fn a_server_can_be_kept_to_a_core() {
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let core: String = allowed(&own).chars().take_while(char::is_ascii_digit).collect();
    let directory = tempfile::tempdir().unwrap();
    let (script, seen) = (directory.path().join("server"), directory.path().join("status"));
    let text = format!(
        "#!/bin/sh\ncat /proc/$$/status > {}\nexec {} \"$@\"\n",
        seen.display(),
        rill().display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let arguments = format!("density --streams 3 --settle 0 --quiet --server-cores {core}");
    let status = loadtest(&arguments).arg("--server").arg(&script).stdout(Stdio::null()).status();
    assert!(status.unwrap().success());
    assert_eq!(allowed(&fs::read_to_string(seen).unwrap()), core);
}

/// The cores in a `/proc/PID/status`.
fn allowed(status: &str) -> &str {
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim()
}

/// A Rill that others have started, without demo tokens.
struct Theirs {
    process: Child,
    url: String,
}

impl Theirs {
    fn start(secret: &str, data: &str) -> Theirs {
        let mut command = Command::new(rill());
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "memory", "--data-dir", data]);
        command.env("RILL_AUTH_SECRET_FILE", secret).stdin(Stdio::null());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let url = { lines }.find_map(|line| Some(line.split_once("listening on ")?.1.to_owned()));
        Theirs { process, url: url.unwrap() }
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_server_of_others_takes_tokens_of_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (secret, other, data) = (path("secret"), path("other"), path("data"));
    fs::write(&secret, SECRET).unwrap();
    fs::write(&other, SECRET.to_lowercase()).unwrap();
    let theirs = Theirs::start(&secret, &data);
    let idle = format!("idle --streams 3 --seconds 0.2 --settle 0 --url {}", theirs.url);
    let (status, out, error) = run(&format!("{idle} --jwt hs256 --jwt-key {secret}"));
    assert_eq!(status.code(), Some(0), "{out}{error}");
    fails(&format!("{idle} --jwt hs256 --jwt-key {other}"), "status 401");
    fails(&idle, "status 401");
}
