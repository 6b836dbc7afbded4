//! The store on disk: one redb file in the data directory, locked by a file beside it.
//!
//! A database that has seen a failed write serves nothing until it is opened again, so the writer
//! can take it away from the readers and put it back.

use std::fs::{self, File, TryLockError};
use std::ops::RangeBounds;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use redb::{
    Builder, Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, Table,
    TableDefinition, TableError, WriteTransaction,
};

use super::by_topic::{self, POSITIONS_BY_TOPIC};
use super::kept::{self, KEPT};
use super::record::{self, Tally};
use super::trim::Cut;
use super::writer::{Answered, Pending, Start, Store, StoreError, Trimmed};
use super::{Change, Extent, Kind, Once, OpenError, Retention, Row as KeptRow};
use crate::cursor::{Epoch, Position};

/// Position to record.
pub(super) const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");
/// Numbers about the log itself.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Digest of an idempotency key to the position of its event and the digest of its body.
pub(super) const ONCE: TableDefinition<&[u8; 32], (u64, &[u8; 32])> = TableDefinition::new("once");
/// When a key was used (milliseconds) and the key, to find the old ones.
pub(super) const ONCE_BY_AGE: TableDefinition<(u64, &[u8; 32]), ()> =
    TableDefinition::new("once_by_age");

/// What the tables hold and how. Another one is refused, not read as if it were this one.
pub(super) const CURRENT_FORMAT: u64 = 1;

/// The number of the format.
pub(super) const FORMAT: &str = "format";
const EPOCH: &str = "epoch";
/// Everything after this position is kept; what was trimmed, and where the log began.
pub(super) const FLOOR: &str = "floor";
/// The tally up to the floor.
pub(super) const TRIMMED_EVENTS: &str = "trimmed_events";
pub(super) const TRIMMED_BYTES: &str = "trimmed_bytes";

/// redb's own cache. The recent events are in the ring, so this serves the tree's upper pages.
const CACHE_BYTES: usize = 8 << 20;

/// The database, shared by the writer and the readers.
pub(super) struct Embedded {
    path: PathBuf,
    /// `None` while it could not be opened again after a fault. Readers take a share and give the
    /// lock back at once: the writer never waits for the end of a scan.
    database: RwLock<Option<Arc<Database>>>,
    /// Keeps other processes out for as long as it is open.
    _lock: File,
}

impl Embedded {
    /// Locks the directory, opens or makes the log in it, and tells where it stands.
    pub(super) fn open(directory: &Path) -> Result<(Journal, Start), OpenError> {
        let in_directory = |error| OpenError::Directory(directory.to_owned(), error);
        // For its owner alone: events are in it, and what users may do.
        let mut maker = fs::DirBuilder::new();
        maker.recursive(true).mode(0o700).create(directory).map_err(in_directory)?;
        let lock = File::create(directory.join("lock")).map_err(in_directory)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse(directory.to_owned()),
            TryLockError::Error(error) => in_directory(error),
        })?;
        let path = directory.join("rill.redb");
        let in_database = |error| OpenError::Database(directory.to_owned(), Box::new(error));
        let database = builder().create(&path).map_err(|error| in_database(error.into()))?;
        // Until the directory is on the disk too, the file may be lost with the power.
        File::open(directory).and_then(|files| files.sync_all()).map_err(in_directory)?;
        match format_of(&database).map_err(in_database)? {
            None | Some(CURRENT_FORMAT) => {}
            Some(found) => {
                let expected = CURRENT_FORMAT;
                return Err(OpenError::Format { directory: directory.to_owned(), found, expected });
            }
        }
        let (start, next) = prepare(&database).map_err(in_database)?;
        let database = RwLock::new(Some(Arc::new(database)));
        let shared = Arc::new(Embedded { path, database, _lock: lock });
        let head = start.extent.head;
        Ok((Journal { shared, next, head, unsynced: Vec::new() }, start))
    }

    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        let database = self.database().ok_or(redb::Error::DatabaseClosed)?;
        read(&database.begin_read()?)
    }

    fn database(&self) -> Option<Arc<Database>> {
        self.database.read().clone()
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// The format of the log in a database; `None` when there is no log in it yet.
fn format_of(database: &Database) -> Result<Option<u64>, redb::Error> {
    let meta = match database.begin_read()?.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        meta => meta?,
    };
    // Logs had no number at first.
    Ok(Some(meta.get(FORMAT)?.map_or(0, |number| number.value())))
}

/// Makes the tables of a new log, or finds where an old one ended.
fn prepare(database: &Database) -> Result<(Start, Tally), redb::Error> {
    let transaction = database.begin_write()?;
    let found = {
        let mut meta = transaction.open_table(META)?;
        let events = transaction.open_table(EVENTS)?;
        transaction.open_table(POSITIONS_BY_TOPIC)?;
        transaction.open_table(ONCE)?;
        transaction.open_table(ONCE_BY_AGE)?;
        transaction.open_table(KEPT)?;
        if meta.get(EPOCH)?.is_none() {
            let began = Position::before(super::writer::now());
            meta.insert(FORMAT, CURRENT_FORMAT)?;
            meta.insert(EPOCH, u64::from(Epoch::fresh().to_bits()))?;
            meta.insert(FLOOR, began.to_bits())?;
        }
        let number = |name: &str| -> Result<u64, redb::Error> {
            Ok(meta.get(name)?.map_or(0, |value| value.value()))
        };
        let floor = Position::from_bits(number(FLOOR)?);
        let trimmed = Tally { events: number(TRIMMED_EVENTS)?, bytes: number(TRIMMED_BYTES)? };
        let (head, next) = end_of(&events)?.unwrap_or_else(|| match trimmed.events {
            // As for a log in memory: a stamp of the millisecond in which it began is not too old.
            0 => (Position::start(floor.milliseconds() + 1), trimmed),
            _ => (floor, trimmed),
        });
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

pub(super) fn corrupt() -> redb::Error {
    redb::Error::Corrupted("a record of the log cannot be read".to_owned())
}

/// The writer's half of the store.
pub(super) struct Journal {
    shared: Arc<Embedded>,
    next: Tally,
    head: Position,
    /// Committed and not yet brought to the disk. A database that is opened again after a fault has
    /// lost them, and their publishers were told that they are kept.
    unsynced: Vec<Row>,
}

/// An event as it stands in the tables.
struct Row {
    position: Position,
    record: Vec<u8>,
    once: Option<Once>,
    at: u64,
}

impl Journal {
    /// The half that readers use.
    pub(super) fn shared(&self) -> &Arc<Embedded> {
        &self.shared
    }

    /// The rows that are kept beside the events.
    pub(super) fn kept(&self) -> Result<Vec<(Kind, Vec<KeptRow>)>, redb::Error> {
        self.shared.read(kept::all)
    }

    /// Writes in a transaction of its own. A failure closes the database and opens it again.
    pub(super) fn write<T>(
        &mut self,
        durability: Durability,
        write: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let database = self.reopened()?;
        write_into(&database, durability, write).map_err(|error| {
            // Whatever failed, the database may serve nothing from now on.
            drop(database);
            *self.shared.database.write() = None;
            if let Err(error) = self.reopened() {
                tracing::error!(%error, "the log cannot be opened again yet");
            }
            StoreError::from(error)
        })
    }

    /// The database, opened again if a fault had closed it. Fails while the fault lasts, and while
    /// a reader still has its share of the old one.
    fn reopened(&mut self) -> Result<Arc<Database>, StoreError> {
        if let Some(database) = self.shared.database() {
            return Ok(database);
        }
        // Never made anew: a log that is gone must not be taken for an empty one.
        let database = builder().open(&self.shared.path)?;
        let restore = |transaction: &WriteTransaction| self.restore(transaction);
        write_into(&database, Durability::Immediate, restore)?;
        self.unsynced.clear();
        let database = Arc::new(database);
        *self.shared.database.write() = Some(Arc::clone(&database));
        tracing::info!("the log is open again");
        Ok(database)
    }

    /// Makes the tables what publishers were told: without what a failed commit may have left
    /// behind, and with what a lost one had taken.
    fn restore(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let last = {
            let mut events = transaction.open_table(EVENTS)?;
            if end_of(&events)?.is_some_and(|(last, _)| last > self.head) {
                remove_events(transaction, &mut events, self.head.to_bits() + 1..)?;
                let mut once = transaction.open_table(ONCE)?;
                once.retain(|_, (position, _)| position <= self.head.to_bits())?;
            }
            end_of(&events)?.map(|(last, _)| last)
        };
        let lost: Vec<&Row> =
            self.unsynced.iter().filter(|row| Some(row.position) > last).collect();
        insert(transaction, &lost)
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

fn insert(transaction: &WriteTransaction, rows: &[&Row]) -> Result<(), redb::Error> {
    let mut events = transaction.open_table(EVENTS)?;
    let mut topics = Vec::new();
    for Row { position, record, once, at } in rows {
        events.insert(position.to_bits(), record.as_slice())?;
        let of_event = record::topics(record).ok_or_else(corrupt)?;
        topics.extend(of_event.into_iter().map(|topic| (topic, position.to_bits())));
        if let Some(once) = once {
            let answered = (position.to_bits(), &once.body);
            transaction.open_table(ONCE)?.insert(&once.key, answered)?;
            transaction.open_table(ONCE_BY_AGE)?.insert((*at, &once.key), ())?;
        }
    }
    by_topic::insert(transaction, topics)
}

/// Takes events out, and their entries in the index.
pub(super) fn remove_events(
    transaction: &WriteTransaction,
    events: &mut Table<'_, u64, &'static [u8]>,
    positions: impl RangeBounds<u64>,
) -> Result<(), redb::Error> {
    let mut entries: Vec<(String, u64)> = Vec::new();
    events.retain_in::<u64, _>(positions, |position, record| {
        let topics = record::topics(record).unwrap_or_default();
        entries.extend(topics.into_iter().map(|topic| (topic.to_owned(), position)));
        false
    })?;
    let mut index = transaction.open_table(POSITIONS_BY_TOPIC)?;
    entries.iter().try_for_each(|(topic, position)| by_topic::remove(&mut index, topic, *position))
}

impl Store for Journal {
    fn answered(&mut self, key: &[u8; 32]) -> Result<Option<Answered>, StoreError> {
        self.reopened()?;
        Ok(self.shared.read(|transaction| {
            let found = transaction.open_table(ONCE)?.get(key)?;
            Ok(found.map(|value| {
                let (position, body) = value.value();
                Answered { position: Position::from_bits(position), body: *body }
            }))
        })?)
    }

    fn commit(&mut self, batch: &[Pending], now: u64, sync: bool) -> Result<(), StoreError> {
        let mut next = self.next;
        let row = |Pending { position, event, once }: &Pending| {
            let record = record::encode(next, event);
            next = Tally { events: next.events + 1, bytes: next.bytes + record.len() as u64 };
            Row { position: *position, record, once: once.clone(), at: now }
        };
        let rows: Vec<Row> = batch.iter().map(row).collect();
        let durability = if sync { Durability::Immediate } else { Durability::None };
        let all: Vec<&Row> = rows.iter().collect();
        self.write(durability, |transaction| insert(transaction, &all))?;
        if !sync {
            self.unsynced.extend(rows);
        }
        self.next = next;
        self.head = batch.last().map_or(self.head, |pending| pending.position);
        Ok(())
    }

    fn keep(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.write(Durability::Immediate, |transaction| kept::apply(transaction, changes))?;
        // What was committed before it is on the disk with it.
        self.unsynced.clear();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.write(Durability::Immediate, |_| Ok(()))?;
        self.unsynced.clear();
        Ok(())
    }

    fn trim(&mut self, retention: &Retention, now: u64) -> Result<Trimmed, StoreError> {
        self.reopened()?;
        let next = self.next;
        let cut = self.shared.read(|transaction| Cut::find(transaction, retention, next, now))?;
        let Some(cut) = cut else { return Ok(Trimmed::default()) };
        self.write(Durability::Immediate, |transaction| cut.remove(transaction))?;
        self.unsynced.clear();
        Ok(cut.trimmed())
    }
}
