//! The program as a child of a test.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// The program with these arguments.
pub(crate) fn loadtest(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(arguments.split_whitespace()).stdin(Stdio::null());
    command
}

/// How a run ended, and what it said on both outputs.
pub(crate) fn run(arguments: &str) -> (ExitStatus, String, String) {
    let output = loadtest(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status, text(output.stdout), text(output.stderr))
}

/// A run that cannot be carried out ends with 2, prints no figures, and says why in one line.
pub(crate) fn fails(arguments: &str, reason: &str) {
    let (status, out, error) = run(arguments);
    assert_eq!((status.code(), out.as_str()), (Some(2), ""), "{error}");
    let last = error.lines().last().unwrap_or_default();
    assert!(last.starts_with("loadtest: ") && last.contains(reason), "{error}");
}

/// The debug build of the server.
pub(crate) fn rill() -> PathBuf {
    let rill = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("rill");
    assert!(rill.is_file(), "{} is not there: cargo build -p rill", rill.display());
    rill
}
