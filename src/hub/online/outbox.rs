//! What is to be told of users, until somebody has taken it.
//!
//! It is in memory and, some moments later, in the log: only what a crash cannot take back is handed
//! out. Nothing is left out or put together, unless there is so much that memory has to be bounded:
//! then only the newest of each user is kept.

use std::collections::{HashSet, VecDeque};

use crate::cursor::Position;
use crate::event::Name;
use crate::identity::Stamp;
use crate::log::{Change, Kind, Row};

/// So many may wait before older ones make room, about 10 MB of them.
const MOST_WAITING: usize = 100_000;

/// Room that is kept when nothing waits any more.
const FEW: usize = 64;

/// That a user came online or went offline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Its number, which is also when it was; later ones have greater numbers, over restarts
    /// too unless the clock is set back while nothing waits.
    pub position: Position,
    /// The user.
    pub user: Name,
    /// What he is from now on.
    pub online: bool,
}

/// Announcements in their order.
pub struct Outbox {
    waiting: VecDeque<Announcement>,
    /// The newest that there was.
    last: Position,
    /// Everything up to here may be in the log.
    handed: Position,
    /// Everything up to here is in the log.
    kept: Position,
    /// What is in the log and has no use any more.
    over: Vec<Position>,
    /// The number at which there are too many.
    crowd: usize,
}

/// Rows on their way to the log.
pub struct Keeping {
    /// The rows.
    pub changes: Vec<Change>,
    upto: Position,
    removed: usize,
}

impl Outbox {
    /// What the log has kept.
    pub fn read(rows: Vec<Row>) -> Outbox {
        let mut waiting = VecDeque::new();
        for (key, value) in rows {
            match Announcement::from_row(&key, &value) {
                Some(announcement) => waiting.push_back(announcement),
                None => tracing::error!("an announcement in the log cannot be read"),
            }
        }
        let none = Position::from_bits(0);
        let last = waiting.back().map_or(none, |newest: &Announcement| newest.position);
        let crowd = MOST_WAITING.max(2 * waiting.len());
        Outbox { waiting, last, handed: last, kept: last, over: Vec::new(), crowd }
    }

    /// Adds an announcement, and tells how many older ones had to make room.
    pub fn push(&mut self, user: Name, online: bool, wall: Stamp) -> usize {
        self.last = self.last.next(wall.0);
        self.waiting.push_back(Announcement { position: self.last, user, online });
        if self.waiting.len() < self.crowd { 0 } else { self.thin_out() }
    }

    /// Leaves the newest of each user. Whoever hears only that has the right picture in the end.
    fn thin_out(&mut self) -> usize {
        let before = self.waiting.len();
        let mut seen = HashSet::new();
        for announcement in std::mem::take(&mut self.waiting).into_iter().rev() {
            if seen.insert(announcement.user.clone()) {
                self.waiting.push_front(announcement);
            } else if announcement.position <= self.handed {
                self.over.push(announcement.position);
            }
        }
        self.crowd = MOST_WAITING.max(2 * self.waiting.len());
        before - self.waiting.len()
    }

    /// Whether the log has yet to hear of something.
    pub fn is_ahead_of_log(&self) -> bool {
        self.kept < self.last || !self.over.is_empty()
    }

    /// What the log has to hear of, up to `most` of it.
    pub fn keep(&mut self, most: usize) -> Keeping {
        let from = self.waiting.partition_point(|one| one.position <= self.kept);
        let mut upto = self.last;
        let mut changes = Vec::new();
        for announcement in self.waiting.range(from..).take(most) {
            upto = announcement.position;
            changes.extend(announcement.to_rows());
        }
        if from + most >= self.waiting.len() {
            upto = self.last;
        }
        let removed = self.over.len().min(most);
        changes.extend(self.over[..removed].iter().map(|position| remove(*position)));
        self.handed = self.handed.max(upto);
        Keeping { changes, upto, removed }
    }

    /// The log has these.
    pub fn note_kept(&mut self, keeping: &Keeping) {
        self.kept = self.kept.max(keeping.upto);
        self.over.drain(..keeping.removed);
    }

    /// How many there are that a crash cannot take back.
    pub fn ready(&self) -> usize {
        self.waiting.partition_point(|one| one.position <= self.kept)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The oldest, up to `most` of them.
    pub fn oldest(&self, most: usize) -> Vec<Announcement> {
        self.waiting.iter().take(most.min(self.ready())).cloned().collect()
    }

    /// Everything up to here has been taken, or is given up.
    pub fn remove(&mut self, upto: Position) {
        while let Some(one) = self.waiting.pop_front_if(|one| one.position <= upto) {
            self.over.push(one.position);
        }
        if self.waiting.is_empty() {
            self.waiting.shrink_to(FEW);
        }
    }
}

impl Announcement {
    /// One row for itself, and one for the user's having been announced.
    fn to_rows(&self) -> [Change; 2] {
        let user = self.user.as_str();
        let value = [&[u8::from(self.online)], user.as_bytes()].concat();
        let key = user.to_owned();
        let announced = Change { kind: Kind::Online, key, value: self.online.then(Vec::new) };
        [Change { value: Some(value), ..remove(self.position) }, announced]
    }

    fn from_row(key: &str, value: &[u8]) -> Option<Announcement> {
        let position = Position::from_bits(u64::from_str_radix(key, 16).ok()?);
        let (online, user) = value.split_first()?;
        let user = Name::new(std::str::from_utf8(user).ok()?).ok()?;
        Some(Announcement { position, user, online: *online == 1 })
    }
}

fn remove(position: Position) -> Change {
    // As long for all, so that the order of keys is theirs.
    let key = format!("{:016x}", position.to_bits());
    Change { kind: Kind::Announcement, key, value: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Stamp = Stamp(1_000);

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn outbox(pushed: &[(&str, bool)]) -> Outbox {
        let mut outbox = Outbox::read(Vec::new());
        for (user, online) in pushed {
            assert_eq!(outbox.push(name(user), *online, WALL), 0);
        }
        outbox
    }

    fn keep(outbox: &mut Outbox, most: usize) -> Vec<Change> {
        let keeping = outbox.keep(most);
        outbox.note_kept(&keeping);
        keeping.changes
    }

    fn told(outbox: &Outbox, most: usize) -> Vec<(String, bool)> {
        outbox.oldest(most).into_iter().map(|one| (one.user.to_string(), one.online)).collect()
    }

    /// The rows of a kind after these changes.
    fn rows(changes: Vec<Change>, kind: Kind) -> Vec<Row> {
        let mut rows = std::collections::BTreeMap::new();
        for change in changes.into_iter().filter(|change| change.kind == kind) {
            match change.value {
                Some(value) => drop(rows.insert(change.key, value)),
                None => drop(rows.remove(&change.key)),
            }
        }
        rows.into_iter().collect()
    }

    #[test]
    fn only_what_the_log_has_is_handed_out() {
        let mut outbox = outbox(&[("a", true), ("b", true), ("a", false)]);
        assert!(outbox.is_ahead_of_log() && told(&outbox, 9).is_empty());
        assert_eq!(keep(&mut outbox, 2).len(), 4);
        assert!(outbox.is_ahead_of_log());
        assert_eq!(told(&outbox, 9), [("a".into(), true), ("b".into(), true)]);
        keep(&mut outbox, 2);
        assert_eq!((outbox.is_ahead_of_log(), outbox.ready()), (false, 3));
        assert_eq!(told(&outbox, 1), [("a".into(), true)]);
        outbox.remove(outbox.oldest(2)[1].position);
        assert_eq!(told(&outbox, 9), [("a".into(), false)]);
        assert_eq!(keep(&mut outbox, 9).len(), 2, "the rows of the two are removed");
        assert!(!outbox.is_ahead_of_log());
    }

    #[test]
    fn a_restart_finds_what_waits_and_whoever_was_announced() {
        let mut before = outbox(&[("a", true), ("b", true), ("a", false)]);
        let mut changes = keep(&mut before, 9);
        before.remove(before.oldest(1)[0].position);
        changes.extend(keep(&mut before, 9));
        assert_eq!(rows(changes.clone(), Kind::Online), [("b".into(), Vec::new())]);
        let mut after = Outbox::read(rows(changes, Kind::Announcement));
        assert_eq!(told(&after, 9), [("b".into(), true), ("a".into(), false)]);
        assert_eq!(after.oldest(9), before.oldest(9));
        assert!(!after.is_ahead_of_log());
        after.push(name("c"), true, Stamp(0));
        keep(&mut after, 9);
        assert_eq!(told(&after, 9)[2], ("c".into(), true), "also when the clock was set back");
    }

    #[test]
    fn a_crowd_is_thinned_out_to_the_newest_of_each_user() {
        let mut outbox = outbox(&[("a", true), ("a", false)]);
        keep(&mut outbox, 9);
        let mut made_room = 0;
        for n in 0..MOST_WAITING - 2 {
            made_room += outbox.push(name(["a", "b", "c"][n % 3]), n % 2 == 0, WALL);
        }
        assert_eq!((made_room, outbox.len()), (MOST_WAITING - 3, 3));
        let changes = keep(&mut outbox, 9);
        let removed = changes.iter().filter(|change| change.kind == Kind::Announcement);
        assert_eq!(removed.filter(|change| change.value.is_none()).count(), 2);
        assert_eq!(outbox.ready(), 3);
    }

    #[test]
    fn what_is_removed_while_the_log_takes_it_is_removed_there_too() {
        let mut outbox = outbox(&[("a", true)]);
        let keeping = outbox.keep(9);
        outbox.push(name("a"), false, WALL);
        assert_eq!(outbox.thin_out(), 1);
        outbox.note_kept(&keeping);
        let mut changes = keeping.changes;
        changes.extend(keep(&mut outbox, 9));
        assert_eq!(rows(changes.clone(), Kind::Announcement).len(), 1);
        assert!(rows(changes, Kind::Online).is_empty());
    }
}
