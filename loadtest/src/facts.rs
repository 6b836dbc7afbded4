//! What a reader needs to know to make a run anew.

use std::time::SystemTime;

use crate::machine::Machine;
use crate::report::Report;
use crate::versions::versions;

/// Flags whose values may be secrets: a page of figures is passed on.
const SECRET: [&str; 2] = ["--header", "--server-env"];

/// The circumstances of a run.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// When it was begun.
    pub(crate) began: SystemTime,
    /// The program and its arguments, as one would type them.
    pub(crate) command: String,
    /// Where it was done.
    pub(crate) machine: Machine,
}

impl Facts {
    /// Those of this process, whose run begins now.
    pub(crate) fn now() -> Facts {
        Facts {
            began: SystemTime::now(),
            command: command(std::env::args().skip(1)),
            machine: Machine::this(),
        }
    }

    /// The day, in UTC.
    pub(crate) fn date(&self) -> String {
        let date = humantime::format_rfc3339_seconds(self.began).to_string();
        date.split('T').next().unwrap_or(&date).to_owned()
    }

    /// The second, in UTC.
    pub(crate) fn time(&self) -> String {
        let date = humantime::format_rfc3339_seconds(self.began).to_string();
        date.replace('T', " ").replace('Z', " UTC")
    }
}

impl Facts {
    /// A report's tables with all that is needed to make them anew.
    pub(crate) fn document(&self, report: &Report) -> String {
        let versions = versions().into_iter().map(|(name, version)| format!("{name} {version}"));
        let mut text = format!(
            "{}; {}; {}. The client runs on the same cores. Made by\n`{}`:\n",
            self.date(),
            self.machine,
            versions.collect::<Vec<_>>().join(", "),
            self.command,
        );
        for table in report.tables() {
            text += &format!("\n**{}**\n\n{}", table.title(), table.markdown());
        }
        text
    }
}

fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut words = vec!["loadtest".to_owned()];
    let mut secret = false;
    for argument in arguments {
        let flag = argument.split_once('=').map_or(&*argument, |(flag, _)| flag).to_owned();
        if secret {
            words.push("...".into());
        } else if SECRET.contains(&&*flag) && flag != argument {
            words.push(format!("{flag}=..."));
        } else {
            words.push(quoted(&argument));
        }
        secret = !secret && SECRET.contains(&&*argument);
    }
    words.join(" ")
}

/// As a shell needs it.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_typed_again_and_tell_no_secrets() {
        let words = ["flood", "it's", "--header", "A: b", "--header=C: d", "--rate", "5"];
        let text = command(words.into_iter().map(str::to_owned));
        assert_eq!(text, r"loadtest flood 'it'\''s' --header ... --header=... --rate 5");
    }
}
