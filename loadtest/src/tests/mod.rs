//! The scenarios against a tiny server of our own, which can be told to do wrong, and the servers
//! that are compared.

mod contenders;
mod conversations;
mod deploy;
mod fake;
mod plain_loop;
mod scenarios;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::run::Run;
use crate::stop::Stop;

/// A command line, parsed.
fn parse(line: &str) -> (Command, Run) {
    let words = ["loadtest", "--quiet"].into_iter().chain(line.split(' '));
    let cli = Cli::try_parse_from(words).unwrap();
    let run = Run::start(&cli.common, Stop::after(Duration::from_secs(30))).unwrap();
    (cli.command, run)
}

/// What a command line says to all scenarios.
fn run(line: &str) -> Run {
    parse(line).1
}

/// The debug build of the server, which is made together with these tests.
fn rill() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let rill = own.parent().and_then(Path::parent).unwrap().join("rill");
    assert!(rill.is_file(), "{} is not there: cargo build -p rill", rill.display());
    rill
}
