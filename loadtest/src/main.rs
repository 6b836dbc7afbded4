//! Drives an SSE server with thousands of streams and checks every event.
//!
//! ```text
//! cli ─▶ scenario ─┬─▶ subject ─▶ child        the server under test, started or attached; gauge measures it
//!                  │            ├ target         its addresses and its dialect: what it is asked, and how
//!                  │            ├ signer         JSON Web Tokens, if it shall be asked with them
//!                  │            └ send_loop, axum_server, nchan   what it is compared with
//!                  ├─▶ fleet ─▶ engine         the streams: one epoll loop a thread
//!                  │            ├ opening        which stream connects next
//!                  │            ├ churn, diet    which leaves, which reads slowly
//!                  │            ├ stream, wire   bytes to events
//!                  │            └ hearing        events to the ledger: loss, repetition, order, latency
//!                  ├─▶ publishers, courier     events go in; scripts say which and when; results are kept
//!                  ├─▶ besiegers               bad tokens come in, for `siege`
//!                  ├─▶ listener ─▶ history     one stream over many lives of a server, for `crash`
//!                  ├─▶ conversations           lists of members
//!                  ├─▶ witness ─▶ watched      one stream whose every event is looked at, and what it tells
//!                  └─▶ report                  figures come out
//! ```
//!
//! Every event carries a [`stamp`]: whose it is, its number, and when it was meant to be sent. So
//! each stream knows what it must get next, and the end of a run is a balance of what was published
//! with what arrived.

mod axum_server;
mod besiegers;
mod board;
mod buckets;
mod child;
mod churn;
mod cli;
mod clock;
mod commands;
mod conversations;
mod courier;
mod cursor;
mod descendants;
mod dialect;
mod diet;
mod digits;
mod document;
mod endpoint;
mod engine;
mod facts;
mod failure;
mod fleet;
mod gauge;
mod hearing;
mod history;
mod kernel_memory;
mod ledger;
mod link;
mod listener;
mod machine;
mod monitor;
mod nchan;
mod nginx;
mod opening;
mod paper;
mod progress;
mod publishers;
mod report;
mod results;
mod run;
mod samples;
mod scenario;
mod scripts;
mod send_loop;
mod signer;
mod stamp;
mod stop;
mod stream;
mod subject;
mod table;
mod target;
mod template;
#[cfg(test)]
mod tests;
mod timeline;
mod versions;
mod watched;
mod wire;
mod witness;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::cli::{AxumServerOptions, Cli, Command, Common, SendLoopOptions};
use crate::failure::{Failure, While};
use crate::report::Report;
use crate::run::Run;
use crate::send_loop::SendLoop;
use crate::stop::{Early, Stop};

fn main() -> ExitCode {
    let cli = Cli::parse();
    raise_descriptor_limit();
    let done = match &cli.command {
        Command::SendLoop(options) => send_loop(options),
        Command::AxumServer(options) => axum_server(options),
        command => return run(command, &cli.common).unwrap_or_else(|failure| fail(&failure)),
    };
    done.map_or_else(|failure| fail(&failure), |()| ExitCode::SUCCESS)
}

fn run(command: &Command, common: &Common) -> Result<ExitCode, Failure> {
    let stop = Stop::install(Run::limit(common)).while_("taking over signals")?;
    let run = Run::start(common, stop)?;
    let mut report = scenario::run(command, &run)?;
    let early = run.stop.why();
    if let Some(early) = early {
        report.cut_short(early);
    }
    let (facts, samples, timeline) = run.finish();
    let status = tell(&report, early, common.json);
    if let Some(directory) = &common.report {
        let page = paper::write(directory, &report, &facts, &samples, timeline.as_ref());
        eprintln!("wrote {}", page.while_("writing the page")?.display());
    }
    Ok(status)
}

/// A run that had to end early tells what it has.
fn tell(report: &Report, early: Option<Early>, json: bool) -> ExitCode {
    let text = if json { report.json() + "\n" } else { report.text() };
    match std::io::stdout().write_all(text.as_bytes()) {
        // A reader that has gone away wants no report.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("loadtest: writing the report: {error}");
            return ExitCode::from(2);
        }
        _ => {}
    }
    if let Some(why) = report.failure() {
        eprintln!("loadtest: {why}");
        return ExitCode::from(2);
    }
    match early {
        Some(early) => status(early),
        None if report.sound() => ExitCode::SUCCESS,
        None => ExitCode::from(1),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    eprintln!("loadtest: {failure}");
    match failure {
        Failure::Early(early) => status(*early),
        _ => ExitCode::from(2),
    }
}

fn status(early: Early) -> ExitCode {
    ExitCode::from(match early {
        Early::Interrupted => 130,
        Early::TimeLimit => 2,
    })
}

fn send_loop(options: &SendLoopOptions) -> Result<(), Failure> {
    let (listener, endpoint) = options.listen.listen().while_("listening")?;
    println!("listening on {endpoint}");
    let send_loop = SendLoop::new(listener, std::io::stdin(), options.frame_bytes);
    send_loop.and_then(SendLoop::run).while_("running the send loop")
}

fn axum_server(options: &AxumServerOptions) -> Result<(), Failure> {
    let (listener, endpoint) = options.listen.listen().while_("listening")?;
    println!("listening on {endpoint}");
    axum_server::run(listener, std::io::stdin()).while_("running the axum server")
}

/// Streams cost a descriptor each. If this fails, the scenario will say which connect did.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
