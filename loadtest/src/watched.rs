//! What somebody who shares a conversation with every user was told of their coming and going.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use serde_json::Value;

use crate::dialect::user_name;
use crate::report::Report;
use crate::witness::Heard;

const ONLINE: &str = "user:online";
const OFFLINE: &str = "user:offline";

/// When the parts of the run began that a watcher tells apart; None for one that was not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    /// All were cut, to come back.
    pub(crate) cut: Option<u64>,
    /// Some left for good.
    pub(crate) left: Option<u64>,
}

/// What was told, by the part of the run.
#[derive(Debug)]
pub(crate) struct Watched {
    marks: Marks,
    came: Part,
    returned: Part,
    left: Part,
}

/// What was told in one part of the run.
#[derive(Debug, Default)]
struct Part {
    online: usize,
    /// Who was told to have left, and how long after the part began.
    offline: Vec<(String, Duration)>,
}

impl Watched {
    /// How often somebody was told to have come.
    pub(crate) fn arrivals(heard: &[Heard]) -> usize {
        heard.iter().filter(|heard| heard.kind == ONLINE).count()
    }

    /// Sorts what the watcher heard.
    pub(crate) fn sort(heard: &[Heard], marks: Marks) -> Watched {
        let mut watched = Watched {
            marks,
            came: Part::default(),
            returned: Part::default(),
            left: Part::default(),
        };
        for heard in heard {
            watched.enter(heard);
        }
        watched
    }

    fn enter(&mut self, heard: &Heard) {
        let begun = |mark: Option<u64>| mark.filter(|mark| *mark <= heard.at);
        let (part, since) = match (begun(self.marks.left), begun(self.marks.cut)) {
            (Some(left), _) => (&mut self.left, left),
            (None, Some(cut)) => (&mut self.returned, cut),
            (None, None) => (&mut self.came, heard.at),
        };
        match heard.kind.as_str() {
            ONLINE => part.online += 1,
            OFFLINE => {
                part.offline.push((user(&heard.data), Duration::from_nanos(heard.at - since)))
            }
            _ => {}
        }
    }

    /// Adds the counts, and judges them: `connections` users come, nobody leaves by being cut, and
    /// then the first `leaving` of them do, and are told to have left within `due`.
    pub(crate) fn tell(
        &self,
        report: &mut Report,
        connections: usize,
        leaving: usize,
        due: Range<Duration>,
    ) {
        report.figure("online_at_first_connect", self.came.online, "");
        report.figure("offline_at_first_connect", self.came.offline.len(), "");
        report.require(self.came.online == connections && self.came.offline.is_empty());
        if self.marks.cut.is_some() {
            report.figure("online_after_return", self.returned.online, "");
            report.figure("offline_after_return", self.returned.offline.len(), "");
            report.require(self.returned.online == 0 && self.returned.offline.is_empty());
        }
        if self.marks.left.is_some() {
            report.figure("left_for_good", leaving, "");
            report.figure("online_after_leaving", self.left.online, "");
            report.figure("offline_after_leaving", self.left.offline.len(), "");
            let times = || self.left.offline.iter().map(|(_, after)| after);
            report.measured("first_offline", times().min().map(Duration::as_secs_f64), "s");
            report.measured("last_offline", times().max().map(Duration::as_secs_f64), "s");
            report.require(self.left.online == 0 && self.left.are_the_first(leaving));
            report.require(times().all(|after| due.contains(after)));
        }
    }
}

impl Part {
    /// Whether so many users have left, each told once, and nobody else.
    fn are_the_first(&self, users: usize) -> bool {
        let told: BTreeSet<&str> = self.offline.iter().map(|(user, _)| user.as_str()).collect();
        self.offline.len() == users && (0..users).all(|user| told.contains(&*user_name(user)))
    }
}

fn user(data: &str) -> String {
    let data: Value = serde_json::from_str(data).unwrap_or_default();
    data["userId"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks { cut: Some(100), left: Some(200) };
    const DUE: Range<Duration> = Duration::from_nanos(5)..Duration::from_nanos(9);

    fn judge(events: &[(&str, &str, u64)]) -> (bool, String) {
        let heard = |&(kind, user, at): &(&str, &str, u64)| Heard {
            kind: kind.to_owned(),
            data: format!(r#"{{"userId":"{user}"}}"#),
            at,
        };
        let heard: Vec<Heard> = events.iter().map(heard).collect();
        let mut report = Report::new("test");
        Watched::sort(&heard, MARKS).tell(&mut report, 2, 1, DUE);
        (report.sound(), report.json())
    }

    #[test]
    fn who_comes_and_leaves_is_told_once_and_in_time() {
        let came = [("connected", "w", 1), (ONLINE, "u0", 2), (ONLINE, "u1", 3)];
        let with = |more: &[(&'static str, &'static str, u64)]| judge(&[&came, more].concat());
        assert!(with(&[(OFFLINE, "u0", 206)]).0);
        for wrong in [
            &[][..],
            &[(OFFLINE, "u1", 206)],
            &[(OFFLINE, "u0", 204)],
            &[(OFFLINE, "u0", 209)],
            &[(OFFLINE, "u0", 206), (OFFLINE, "u0", 207)],
            &[(OFFLINE, "u0", 206), (OFFLINE, "u1", 207)],
            &[(OFFLINE, "u0", 206), (ONLINE, "u0", 207)],
            &[(OFFLINE, "u0", 106), (OFFLINE, "u0", 206)],
            &[(ONLINE, "u0", 106), (OFFLINE, "u0", 206)],
            &[(OFFLINE, "u0", 9), (OFFLINE, "u0", 206)],
            &[(ONLINE, "u0", 9), (OFFLINE, "u0", 206)],
        ] {
            let (sound, told) = with(wrong);
            assert!(!sound, "{wrong:?} {told}");
        }
    }
}
