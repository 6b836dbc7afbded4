//! Small numbers for values in use.
//!
//! A value keeps its number for as long as somebody holds it, and is stored once, however many do.

use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::HashTable;

/// Values, each with a number and a count of its holders.
pub struct Interner<T> {
    numbers: HashTable<u32>,
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    hasher: RandomState,
}

struct Entry<T> {
    /// `None` while the number is free.
    value: Option<T>,
    holders: u32,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        let hasher = RandomState::new();
        Interner { numbers: HashTable::new(), entries: Vec::new(), free: Vec::new(), hasher }
    }
}

impl<T> Interner<T> {
    /// An empty one that does not move its values until there are more than this.
    pub fn with_room_for(values: usize) -> Interner<T> {
        Interner { entries: Vec::with_capacity(values), ..Interner::default() }
    }
}

impl<T: Hash + Eq> Interner<T> {
    /// The number of a value that somebody holds.
    pub fn find(&self, value: &T) -> Option<u32> {
        let same = |id: &u32| self.entries[*id as usize].value.as_ref() == Some(value);
        self.numbers.find(self.hasher.hash_one(value), same).copied()
    }

    /// Holds a value and tells its number.
    pub fn hold(&mut self, value: &T) -> u32
    where
        T: Clone,
    {
        let id = self.find(value).unwrap_or_else(|| self.insert(value.clone()));
        self.entries[id as usize].holders += 1;
        id
    }

    /// The value of a number that somebody holds.
    pub fn get(&self, id: u32) -> Option<&T> {
        self.entries.get(id as usize)?.value.as_ref()
    }

    /// How many hold it.
    pub fn holders(&self, id: u32) -> u32 {
        self.entries[id as usize].holders
    }

    /// Gives a value back. With the last holder gone its number may mean another.
    pub fn release(&mut self, id: u32) {
        let entry = &mut self.entries[id as usize];
        entry.holders -= 1;
        if entry.holders > 0 {
            return;
        }
        let Some(value) = entry.value.take() else { return };
        let hash = self.hasher.hash_one(&value);
        if let Ok(found) = self.numbers.find_entry(hash, |other| *other == id) {
            found.remove();
        }
        self.free.push(id);
    }

    /// One more than the largest number given so far.
    pub fn capacity(&self) -> usize {
        self.entries.len()
    }

    fn insert(&mut self, value: T) -> u32 {
        let entry = Entry { value: Some(value), holders: 0 };
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id as usize] = entry;
                id
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        let Interner { numbers, entries, hasher, .. } = self;
        let hash = |id: &u32| {
            entries[*id as usize].value.as_ref().map_or(0, |value| hasher.hash_one(value))
        };
        numbers.insert_unique(hash(&id), id, hash);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_another_value_only_when_nobody_holds_it() {
        let mut interner = Interner::default();
        let a = interner.hold(&"a");
        assert_eq!(interner.hold(&"a"), a);
        interner.release(a);
        assert_ne!(interner.hold(&"b"), a);
        interner.release(a);
        assert_eq!(interner.find(&"a"), None);
        assert_eq!(interner.hold(&"c"), a);
        assert_eq!((interner.find(&"c"), interner.holders(a)), (Some(a), 1));
    }

    #[test]
    fn thousands_are_found_again_after_half_of_them_went() {
        let mut interner = Interner::default();
        let ids: Vec<u32> = (0..5_000).map(|n| interner.hold(&n)).collect();
        ids.iter().step_by(2).for_each(|id| interner.release(*id));
        for n in 0..5_000 {
            assert_eq!(interner.find(&n).is_some(), n % 2 == 1);
        }
    }
}
