//! Drives an SSE server with thousands of streams and checks every event.
//!
//! ```text
//! cli ─▶ scenario ─┬─▶ subject ─▶ child        the server under test, started or attached; gauge measures it
//!                  ├─▶ reference ─▶ send_loop  the plain loop that it is compared with
//!                  ├─▶ fleet ─▶ engine         the streams: one epoll loop a thread
//!                  │            ├ opening        which stream connects next
//!                  │            ├ stream, wire   bytes to events
//!                  │            └ hearing        events to the ledger: loss, repetition, order, latency
//!                  ├─▶ publishers, courier     events go in; scripts say which and when
//!                  ├─▶ listener ─▶ history     one stream over many lives of a server, for `crash`
//!                  └─▶ report                  figures come out
//! ```
//!
//! Every event carries a [`stamp`]: whose it is, its number, and when it was meant to be sent. So
//! each stream knows what it must get next, and the end of a run is a balance of what was published
//! with what arrived.

mod board;
mod child;
mod cli;
mod clock;
mod courier;
mod cursor;
mod digits;
mod endpoint;
mod engine;
mod failure;
mod fleet;
mod gauge;
mod hearing;
mod history;
mod ledger;
mod listener;
mod opening;
mod publishers;
mod reference;
mod report;
mod scenario;
mod scripts;
mod send_loop;
mod stamp;
mod stop;
mod stream;
mod subject;
mod target;
#[cfg(test)]
mod tests;
mod wire;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::cli::{Cli, Command, SendLoopOptions};
use crate::failure::{Failure, While};
use crate::report::Report;
use crate::stop::Stop;

fn main() -> ExitCode {
    let cli = Cli::parse();
    raise_descriptor_limit();
    if let Command::SendLoop(options) = &cli.command {
        return send_loop(options).map_or_else(|failure| fail(&failure), |()| ExitCode::SUCCESS);
    }
    match run(&cli) {
        Ok(report) => tell(&report, cli.common.json),
        Err(failure) => fail(&failure),
    }
}

fn run(cli: &Cli) -> Result<Report, Failure> {
    cli.common.check()?;
    let stop = Stop::install(Duration::from_secs_f64(cli.common.time_limit))
        .while_("taking over signals")?;
    scenario::run(&cli.command, &cli.common, &stop)
}

fn tell(report: &Report, json: bool) -> ExitCode {
    let text = if json { report.json() + "\n" } else { report.table() };
    // A reader that has gone away wants no report.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if report.sound() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn fail(failure: &Failure) -> ExitCode {
    eprintln!("loadtest: {failure}");
    ExitCode::from(if matches!(failure, Failure::Interrupted) { 130 } else { 2 })
}

fn send_loop(options: &SendLoopOptions) -> Result<(), Failure> {
    let (listener, endpoint) = send_loop::listen(&options.listen).while_("listening")?;
    println!("listening on {endpoint}");
    let send_loop = send_loop::SendLoop::new(
        listener,
        std::io::stdin(),
        std::io::stdout(),
        options.frame_bytes,
    );
    send_loop.and_then(send_loop::SendLoop::run).while_("running the send loop")
}

/// Streams cost a descriptor each. If this fails, the scenario will say which connect did.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
