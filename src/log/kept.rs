//! What is kept beside the events, and as safely: withdrawn credentials, tickets, lists of
//! members, who was announced.
//!
//! A row has a kind, a key and a value, and stays until it is removed. Whoever keeps rows reads them
//! once, when the log is opened, and holds in memory what he needs of them.

use redb::{ReadTransaction, TableDefinition, WriteTransaction};

/// Kind and key to value.
pub(super) const KEPT: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("kept");

/// What rows are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Credentials that count no more.
    Revoked,
    /// Tickets that may still be used.
    Ticket,
    /// Members of rooms and conversations.
    Member,
    /// Users who were announced as online.
    Online,
    /// What is yet to be announced of users.
    Announcement,
}

impl Kind {
    const ALL: [Kind; 5] =
        [Kind::Revoked, Kind::Ticket, Kind::Member, Kind::Online, Kind::Announcement];

    fn as_str(self) -> &'static str {
        match self {
            Kind::Revoked => "revoked",
            Kind::Ticket => "ticket",
            Kind::Member => "member",
            Kind::Online => "online",
            Kind::Announcement => "announcement",
        }
    }
}

/// A row as it shall be from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is about.
    pub kind: Kind,
    /// Which one.
    pub key: String,
    /// What is kept of it; `None` removes the row.
    pub value: Option<Vec<u8>>,
}

impl Change {
    /// About what it takes in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Change>() + self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// A row as it was read.
pub type Row = (String, Vec<u8>);

/// All rows, by kind.
pub(super) fn all(transaction: &ReadTransaction) -> Result<Vec<(Kind, Vec<Row>)>, redb::Error> {
    Kind::ALL.into_iter().map(|kind| Ok((kind, rows(transaction, kind)?))).collect()
}

fn rows(transaction: &ReadTransaction, kind: Kind) -> Result<Vec<Row>, redb::Error> {
    let table = transaction.open_table(KEPT)?;
    let mut rows = Vec::new();
    for entry in table.range((kind.as_str(), "")..)? {
        let (key, value) = entry?;
        let (found, key) = key.value();
        if found != kind.as_str() {
            break;
        }
        rows.push((key.to_owned(), value.value().to_owned()));
    }
    Ok(rows)
}

/// Makes the table what the changes say.
pub(super) fn apply(transaction: &WriteTransaction, changes: &[Change]) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(KEPT)?;
    for Change { kind, key, value } in changes {
        let key = (kind.as_str(), key.as_str());
        match value {
            Some(value) => table.insert(key, value.as_slice())?,
            None => table.remove(key)?,
        };
    }
    Ok(())
}
