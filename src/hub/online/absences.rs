//! Users who are online without a stream: they may be back at any moment.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use crate::event::Name;

/// Who is away, and until when he may come back. It is told the time.
#[derive(Default)]
pub struct Absences {
    until: HashMap<Name, Instant>,
    /// The same in order of time. Whoever came back and went again has older entries here, which
    /// mean nothing.
    due: BTreeMap<Instant, Vec<Name>>,
}

impl Absences {
    /// A user's last stream closed; he has until then to open another.
    pub fn begin(&mut self, user: Name, until: Instant) {
        self.due.entry(until).or_default().push(user.clone());
        self.until.insert(user, until);
    }

    /// A user is back; tells whether he was away.
    pub fn end(&mut self, user: &Name) -> bool {
        self.until.remove(user).is_some()
    }

    /// Whether a user is away and may still come back.
    pub fn has(&self, user: &Name, now: Instant) -> bool {
        self.until.get(user).is_some_and(|until| now < *until)
    }

    /// When somebody's time is over next, if he is not back by then.
    pub fn next(&self) -> Option<Instant> {
        self.due.keys().next().copied()
    }

    /// Those whose time is over.
    pub fn take_over(&mut self, now: Instant) -> Vec<Name> {
        let mut over = Vec::new();
        while let Some(first) = self.due.first_entry().filter(|first| *first.key() <= now) {
            let (until, users) = first.remove_entry();
            for user in users {
                if self.until.get(&user) == Some(&until) {
                    self.until.remove(&user);
                    over.push(user);
                }
            }
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    #[test]
    fn whoever_is_not_back_in_time_is_told_once_and_in_order() {
        let (mut absences, start) = (Absences::default(), Instant::now());
        absences.begin(name("late"), start + 60 * SECOND);
        absences.begin(name("a"), start + 5 * SECOND);
        absences.begin(name("b"), start + 6 * SECOND);
        assert_eq!(absences.next(), Some(start + 5 * SECOND));
        assert_eq!(absences.take_over(start + 4 * SECOND), []);
        assert!(absences.has(&name("a"), start + 4 * SECOND));
        assert!(!absences.has(&name("a"), start + 5 * SECOND));
        assert_eq!(absences.take_over(start + 6 * SECOND), [name("a"), name("b")]);
        assert_eq!(absences.take_over(start + 60 * SECOND), [name("late")]);
        assert!(absences.until.is_empty() && absences.due.is_empty());
    }

    #[test]
    fn whoever_comes_back_has_all_his_time_when_he_goes_again() {
        let (mut absences, start) = (Absences::default(), Instant::now());
        absences.begin(name("a"), start + 5 * SECOND);
        assert!(absences.end(&name("a")) && !absences.end(&name("a")));
        absences.begin(name("a"), start + 7 * SECOND);
        assert_eq!(absences.take_over(start + 6 * SECOND), []);
        assert!(absences.has(&name("a"), start + 6 * SECOND));
        assert_eq!(absences.take_over(start + 7 * SECOND), [name("a")]);
    }
}
