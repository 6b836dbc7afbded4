//! The store on disk: one redb file in the data directory, locked by a file beside it.
//!
//! A database that has seen a failed write serves nothing until it is opened again, so it lives in a
//! lock: readers share it, and the writer takes it out to reopen it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use redb::{
    Builder, Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable,
    TableDefinition, WriteTransaction,
};

use super::record::{self, Tally};
use super::writer::{Answered, Pending, Start, Store, StoreError, Trimmed};
use super::{Extent, OpenError, Retention};
use crate::cursor::{Epoch, Position};
use crate::event::Event;
use crate::frame::Frame;
use crate::topic::{TopicSet, Topics};

/// Position to record.
const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");
/// Numbers about the log itself.
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Digest of an idempotency key to the position of its event and the digest of its body.
const ONCE: TableDefinition<&[u8; 32], (u64, &[u8; 32])> = TableDefinition::new("once");
/// When a key was used (milliseconds) and the key, to find the old ones.
const ONCE_BY_AGE: TableDefinition<(u64, &[u8; 32]), ()> = TableDefinition::new("once_by_age");

const EPOCH: &str = "epoch";
/// Everything after this position is kept; what was trimmed, and where the log began.
const FLOOR: &str = "floor";
/// The tally up to the floor.
const TRIMMED_EVENTS: &str = "trimmed_events";
const TRIMMED_BYTES: &str = "trimmed_bytes";

/// redb's own cache. The recent events are in the ring, so this serves the tree's upper pages.
const CACHE_BYTES: usize = 8 << 20;
/// Deletions of one trim, about 10 ms of work, so that publishers never wait longer for retention.
const TRIM_STEP: usize = 5_000;

/// The database, shared by the writer and the readers.
pub(super) struct Embedded {
    path: PathBuf,
    /// `None` while it could not be opened again after a fault.
    database: RwLock<Option<Database>>,
    /// Keeps other processes out for as long as it is open.
    _lock: File,
}

/// A page of records: the events that match, and up to where the page was read.
pub(super) struct Matches {
    pub(super) events: Vec<(Position, Event)>,
    pub(super) upto: Position,
}

impl Embedded {
    /// Locks the directory, opens or makes the log in it, and tells where it stands.
    pub(super) fn open(directory: &Path) -> Result<(Journal, Start), OpenError> {
        let in_directory = |error| OpenError::Directory(directory.to_owned(), error);
        fs::create_dir_all(directory).map_err(in_directory)?;
        let lock = File::create(directory.join("lock")).map_err(in_directory)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse(directory.to_owned()),
            TryLockError::Error(error) => in_directory(error),
        })?;
        let path = directory.join("rill.redb");
        let in_database = |error| OpenError::Database(directory.to_owned(), Box::new(error));
        let database = open_database(&path).map_err(in_database)?;
        // Until the directory is on the disk too, the file may be lost with the power.
        File::open(directory).and_then(|files| files.sync_all()).map_err(in_directory)?;
        let (start, next) = prepare(&database).map_err(in_database)?;
        let shared = Embedded { path, database: RwLock::new(Some(database)), _lock: lock };
        Ok((Journal { shared: Arc::new(shared), next, head: start.extent.head }, start))
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        match self.database.read().as_ref() {
            Some(database) => read(&database.begin_read()?),
            None => Err(redb::Error::DatabaseClosed),
        }
    }

    /// Reads on from a position, until `enough` bytes of matching events are found or `most` records
    /// were looked at; `None` when events after it are no longer kept.
    pub(super) fn page(
        &self,
        after: Position,
        topics: &Topics,
        set: &TopicSet,
        enough: usize,
        most: usize,
    ) -> Result<Option<Matches>, redb::Error> {
        self.read(|transaction| {
            // Asked in the same transaction, or retention could take events between the two.
            let floor = transaction.open_table(META)?.get(FLOOR)?.map_or(0, |floor| floor.value());
            if after.to_bits() < floor {
                return Ok(None);
            }
            let table = transaction.open_table(EVENTS)?;
            let (mut events, mut bytes, mut upto) = (Vec::new(), 0, after);
            for entry in table.range(after.to_bits() + 1..)?.take(most) {
                let (key, value) = entry?;
                upto = Position::from_bits(key.value());
                let record = value.value();
                if topics.any_in(&record::topics(record).ok_or_else(corrupt)?, set) {
                    bytes += record.len();
                    events.push((upto, record::decode(record).ok_or_else(corrupt)?));
                }
                if bytes >= enough {
                    break;
                }
            }
            Ok(Some(Matches { events, upto }))
        })
    }

    /// The position after which at most `limit` events match.
    pub(super) fn newest(
        &self,
        after: Position,
        topics: &Topics,
        set: &TopicSet,
        limit: usize,
    ) -> Result<Position, redb::Error> {
        self.read(|transaction| {
            let table = transaction.open_table(EVENTS)?;
            let mut newer = table.range(after.to_bits() + 1..)?;
            let (Some(first), Some(last)) = (newer.next(), table.last()?) else { return Ok(after) };
            let tally = |record: &[u8]| record::tally(record).ok_or_else(corrupt);
            let since = tally(last.1.value())?.events - tally(first?.1.value())?.events + 1;
            if since <= limit as u64 {
                return Ok(after);
            }
            let mut matches = 0;
            for entry in table.range(after.to_bits() + 1..)?.rev() {
                let (key, value) = entry?;
                let names = record::topics(value.value()).ok_or_else(corrupt)?;
                matches += usize::from(topics.any_in(&names, set));
                if matches > limit {
                    return Ok(Position::from_bits(key.value()));
                }
            }
            Ok(after)
        })
    }
}

/// The newest events as frames, oldest first, and the position after which they are all.
pub(super) struct Recent {
    pub(super) frames: Vec<Arc<Frame>>,
    pub(super) floor: Position,
}

fn open_database(path: &Path) -> Result<Database, redb::Error> {
    Ok(Builder::new().set_cache_size(CACHE_BYTES).create(path)?)
}

/// Makes the tables of a new log, or finds where an old one ended.
fn prepare(database: &Database) -> Result<(Start, Tally), redb::Error> {
    let transaction = database.begin_write()?;
    let found = {
        let mut meta = transaction.open_table(META)?;
        let events = transaction.open_table(EVENTS)?;
        transaction.open_table(ONCE)?;
        transaction.open_table(ONCE_BY_AGE)?;
        if meta.get(EPOCH)?.is_none() {
            let began = Position::start(super::writer::now());
            meta.insert(EPOCH, u64::from(Epoch::fresh().to_bits()))?;
            meta.insert(FLOOR, began.to_bits())?;
        }
        let number = |name: &str| -> Result<u64, redb::Error> {
            Ok(meta.get(name)?.map_or(0, |value| value.value()))
        };
        let floor = Position::from_bits(number(FLOOR)?);
        let trimmed = Tally { events: number(TRIMMED_EVENTS)?, bytes: number(TRIMMED_BYTES)? };
        let (head, next) = end_of(&events)?.unwrap_or((floor, trimmed));
        // The epoch was written from 32 bits.
        let epoch = Epoch::from_bits(number(EPOCH)? as u32);
        (Start { epoch, extent: Extent { floor, head } }, next)
    };
    transaction.commit()?;
    Ok(found)
}

/// The last position in the log and the tally after it.
fn end_of(
    events: &impl ReadableTable<u64, &'static [u8]>,
) -> Result<Option<(Position, Tally)>, redb::Error> {
    let Some((key, value)) = events.last()? else { return Ok(None) };
    let before = record::tally(value.value()).ok_or_else(corrupt)?;
    let bytes = before.bytes + value.value().len() as u64;
    Ok(Some((Position::from_bits(key.value()), Tally { events: before.events + 1, bytes })))
}

fn corrupt() -> redb::Error {
    redb::Error::Corrupted("a record of the log cannot be read".to_owned())
}

/// The writer's half of the store.
pub(super) struct Journal {
    shared: Arc<Embedded>,
    next: Tally,
    head: Position,
}

impl Journal {
    /// The half that readers use.
    pub(super) fn shared(&self) -> &Arc<Embedded> {
        &self.shared
    }

    /// The newest events, as many as fit into `bytes`, for the ring to begin with: who comes back
    /// after a restart is then served from memory like anyone else.
    pub(super) fn recent(
        &self,
        start: Start,
        topics: &Arc<Topics>,
        bytes: usize,
    ) -> Result<Recent, redb::Error> {
        self.shared.read(|transaction| {
            let table = transaction.open_table(EVENTS)?;
            let (mut frames, mut taken) = (Vec::new(), 0);
            for entry in table.iter()?.rev() {
                let (key, value) = entry?;
                let position = Position::from_bits(key.value());
                let event = record::decode(value.value()).ok_or_else(corrupt)?;
                let frame =
                    Frame::encode(position, start.epoch, &event, topics.hold(&event.topics));
                taken += frame.footprint();
                if taken > bytes {
                    frames.reverse();
                    return Ok(Recent { frames, floor: position });
                }
                frames.push(Arc::new(frame));
            }
            frames.reverse();
            Ok(Recent { frames, floor: start.extent.floor })
        })
    }

    fn write<T>(
        &mut self,
        durability: Durability,
        write: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.reopen_if_closed()?;
        let written = match self.shared.database.read().as_ref() {
            Some(database) => write_into(database, durability, write),
            None => Err(redb::Error::DatabaseClosed),
        };
        written.map_err(|error| {
            // Whatever failed, the database may serve nothing from now on.
            *self.shared.database.write() = None;
            if let Err(error) = self.reopen_if_closed() {
                tracing::error!(%error, "the log cannot be opened again yet");
            }
            StoreError::from(error)
        })
    }

    fn reopen_if_closed(&mut self) -> Result<(), StoreError> {
        let mut database = self.shared.database.write();
        if database.is_none() {
            let opened = open_database(&self.shared.path)?;
            self.next = forget_after(&opened, self.head)?.unwrap_or(self.next);
            *database = Some(opened);
        }
        Ok(())
    }
}

fn write_into<T>(
    database: &Database,
    durability: Durability,
    write: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(durability)?;
    let value = write(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

/// Takes out what a failed commit may still have left behind: its publishers were told that it was
/// not published. Returns the tally at the head, if there is any event.
fn forget_after(database: &Database, head: Position) -> Result<Option<Tally>, redb::Error> {
    let transaction = database.begin_write()?;
    let end = {
        let mut events = transaction.open_table(EVENTS)?;
        if end_of(&events)?.is_some_and(|(last, _)| last > head) {
            events.retain_in(head.to_bits() + 1.., |_, _| false)?;
            let mut once = transaction.open_table(ONCE)?;
            once.retain(|_, (position, _)| position <= head.to_bits())?;
        }
        end_of(&events)?
    };
    transaction.commit()?;
    Ok(end.map(|(_, tally)| tally))
}

impl Store for Journal {
    fn answered(&self, key: &[u8; 32]) -> Result<Option<Answered>, StoreError> {
        Ok(self.shared.read(|transaction| {
            let found = transaction.open_table(ONCE)?.get(key)?;
            Ok(found.map(|value| {
                let (position, body) = value.value();
                Answered { position: Position::from_bits(position), body: *body }
            }))
        })?)
    }

    fn commit(&mut self, batch: &[Pending], now: u64, sync: bool) -> Result<(), StoreError> {
        let durability = if sync { Durability::Immediate } else { Durability::None };
        let mut next = self.next;
        self.write(durability, |transaction| {
            let mut events = transaction.open_table(EVENTS)?;
            for Pending { position, event, once } in batch {
                let record = record::encode(next, event);
                events.insert(position.to_bits(), record.as_slice())?;
                next.events += 1;
                next.bytes += record.len() as u64;
                if let Some(once) = once {
                    let answered = (position.to_bits(), &once.body);
                    transaction.open_table(ONCE)?.insert(&once.key, answered)?;
                    transaction.open_table(ONCE_BY_AGE)?.insert((now, &once.key), ())?;
                }
            }
            Ok(())
        })?;
        self.next = next;
        self.head = batch.last().map_or(self.head, |pending| pending.position);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.write(Durability::Immediate, |_| Ok(()))
    }

    fn trim(&mut self, retention: &Retention, now: u64) -> Result<Trimmed, StoreError> {
        let next = self.next;
        let Some(cut) = self.shared.read(|read| find_cut(read, retention, next, now))? else {
            return Ok(Trimmed::Nothing);
        };
        self.write(Durability::Immediate, |transaction| remove(transaction, &cut))?;
        Ok(match cut {
            Cut { events: None, .. } => Trimmed::Nothing,
            Cut { events: Some((upto, _)), more: true, .. } => Trimmed::Partly(upto),
            Cut { events: Some((upto, _)), more: false, .. } => Trimmed::Wholly(upto),
        })
    }
}

/// What retention takes away in one step.
struct Cut {
    /// Up to this position; the tally is the one after it.
    events: Option<(Position, Tally)>,
    /// There is more to take away.
    more: bool,
    /// Idempotency keys used before this time, in milliseconds.
    keys_before: u64,
}

fn find_cut(
    transaction: &ReadTransaction,
    retention: &Retention,
    next: Tally,
    now: u64,
) -> Result<Option<Cut>, redb::Error> {
    let oldest = Position::before(now.saturating_sub(retention.age.as_millis() as u64));
    let mut cut = Cut {
        events: None,
        more: false,
        keys_before: now.saturating_sub(super::writer::ONCE_KEPT.as_millis() as u64),
    };
    for (step, entry) in transaction.open_table(EVENTS)?.iter()?.enumerate() {
        let (key, value) = entry?;
        let position = Position::from_bits(key.value());
        let before = record::tally(value.value()).ok_or_else(corrupt)?;
        let beyond = position <= oldest
            || next.events - before.events > retention.count
            || next.bytes - before.bytes > retention.bytes;
        if !beyond {
            break;
        }
        if step == TRIM_STEP {
            cut.more = true;
            break;
        }
        let bytes = before.bytes + value.value().len() as u64;
        cut.events = Some((position, Tally { events: before.events + 1, bytes }));
    }
    let keys = transaction.open_table(ONCE_BY_AGE)?;
    let old_key = keys.first()?.is_some_and(|(key, _)| key.value().0 < cut.keys_before);
    Ok((cut.events.is_some() || old_key).then_some(cut))
}

fn remove(transaction: &WriteTransaction, cut: &Cut) -> Result<(), redb::Error> {
    if let Some((upto, trimmed)) = cut.events {
        transaction.open_table(EVENTS)?.retain_in(..=upto.to_bits(), |_, _| false)?;
        let mut meta = transaction.open_table(META)?;
        meta.insert(FLOOR, upto.to_bits())?;
        meta.insert(TRIMMED_EVENTS, trimmed.events)?;
        meta.insert(TRIMMED_BYTES, trimmed.bytes)?;
    }
    let mut old = Vec::new();
    let mut by_age = transaction.open_table(ONCE_BY_AGE)?;
    by_age.retain_in(..(cut.keys_before, &[0; 32]), |(_, key), ()| {
        old.push(*key);
        false
    })?;
    let mut once = transaction.open_table(ONCE)?;
    for key in &old {
        once.remove(key)?;
    }
    Ok(())
}
