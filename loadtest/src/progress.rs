//! What the person at the terminal sees while a run goes on, on standard error.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// How a run's progress is shown.
pub(crate) enum Progress {
    /// One line that changes, on a terminal.
    Line(ProgressBar),
    /// A line for each phase, in a file.
    Phases,
    /// Not at all.
    Silent,
}

impl Progress {
    /// What fits where standard error goes, or none if it is not wanted.
    pub(crate) fn new(wanted: bool) -> Progress {
        if !wanted {
            return Progress::Silent;
        }
        if !stderr().is_terminal() {
            return Progress::Phases;
        }
        let line = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            line.set_style(style);
        }
        Progress::Line(line)
    }

    /// Says what begins.
    pub(crate) fn phase(&self, phase: &str) {
        if let Progress::Phases = self {
            eprintln!("{phase}");
        }
    }

    /// Shows how it stands; called some times a second, which also turns the spinner.
    pub(crate) fn show(&self, line: impl FnOnce() -> String) {
        if let Progress::Line(bar) = self {
            bar.set_message(line());
            bar.tick();
        }
    }

    /// Leaves nothing of the line on the terminal.
    pub(crate) fn clear(&self) {
        if let Progress::Line(bar) = self {
            bar.finish_and_clear();
        }
    }
}
