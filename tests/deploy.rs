//! What `deploy/` hands an operator is accepted by those who read it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const RILL: &str = env!("CARGO_BIN_EXE_rill");

fn deployed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

fn read(file: &str) -> String {
    fs::read_to_string(deployed(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn directory() -> TempDir {
    TempDir::with_prefix("rill-").expect("a directory")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The settings that a file results in, a line each.
#[track_caller]
fn settings(toml: &str) -> Vec<String> {
    let dir = directory();
    let file = dir.path().join("rill.toml");
    fs::write(&file, toml).expect("a file");
    let mut command = Command::new(RILL);
    command.arg("check-config").arg("--config").arg(&file).env_clear();
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout).lines().map(str::to_owned).collect()
}

/// Everything else as it is when nobody sets it.
const DEFAULTS: &str = "dev = true";

#[test]
fn the_settings_of_the_example_are_accepted() {
    let settings = settings(&read("rill.toml"));
    assert!(settings.contains(&r#"data_dir = "/var/lib/rill""#.to_owned()), "{settings:?}");
}

/// The example looks for the secret where the service gets it.
#[test]
fn the_service_hands_over_the_secret() {
    let service = read("systemd/rill.service");
    let credential = service.lines().find_map(|line| line.strip_prefix("LoadCredential="));
    let (name, _) = credential.and_then(|line| line.split_once(':')).expect("a credential");
    let expected = format!("secret_file = \"/run/credentials/rill.service/{name}\"");
    assert!(settings(&read("rill.toml")).contains(&expected));
}

/// In the example `#key = value` is a setting that is not made, and `# text` is text.
#[test]
fn the_example_names_every_setting_with_its_default() {
    let example = read("rill.toml");
    let is_setting = |line: &str| line.starts_with('#') && !line.starts_with("# ");
    let made = |line| if is_setting(line) { &line[1..] } else { line };
    let all: Vec<&str> = example.lines().map(made).collect();
    assert_eq!(settings(&all.join("\n")), settings(&example));
    for line in settings(DEFAULTS) {
        let Some((key, _)) = line.split_once(" = ") else { continue };
        let named = all.iter().any(|line| line.starts_with(&format!("{key} = ")));
        assert!(named || key == "dev", "{key} is not in the example");
    }
}

/// The units as they are, but with the binary of this test.
fn units() -> TempDir {
    let dir = directory();
    for unit in ["rill.service", "rill.socket"] {
        let unit_text = read(&format!("systemd/{unit}")).replace("/usr/local/bin/rill", RILL);
        fs::write(dir.path().join(unit), unit_text).expect("a unit");
    }
    dir
}

fn systemd_analyze(units: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(args).current_dir(units.path()).env("SYSTEMD_PAGER", "");
    command.output().expect("systemd-analyze, which tests/run installs")
}

#[test]
fn systemd_accepts_the_units() {
    let output = systemd_analyze(&units(), &["verify", "./rill.service", "./rill.socket"]);
    // It names keys that it does not know, and goes on.
    let said = text(&output.stderr);
    assert!(output.status.success() && !said.contains("rill"), "{said}");
}

#[test]
fn the_service_can_reach_little() {
    // In tenths: at most 1.5 of 10.
    let args = ["security", "--offline=true", "--threshold=15", "./rill.service"];
    let output = systemd_analyze(&units(), &args);
    assert!(output.status.success(), "{} {}", text(&output.stdout), text(&output.stderr));
}

/// The service manager may give up no sooner than Rill.
#[test]
fn the_service_has_time_for_the_drain() {
    let service = read("systemd/rill.service");
    let seconds = |key: &str, from: &str| -> u64 {
        let value = from.lines().find_map(|line| line.strip_prefix(key));
        let value = value.unwrap_or_else(|| panic!("no {key}"));
        value.trim_matches('"').trim_end_matches('s').parse().expect("seconds")
    };
    let defaults = settings(DEFAULTS).join("\n");
    let (stop, drain) =
        (seconds("TimeoutStopSec=", &service), seconds("drain_timeout = ", &defaults));
    assert!(stop > drain, "{stop} s for a drain of {drain} s");
}
