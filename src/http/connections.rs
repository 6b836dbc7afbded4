//! The list of streams: which part of it is asked for, and how it is shown.

use super::problem::Problem;
use super::query::Query;
use super::router::Stream;
use crate::event::{Name, ObjectWriter, Payload};
use crate::hub::{Connection, Connections};
use crate::reactor::ConnectionId;

/// Streams of a page, unless another number is asked for.
const PAGE: usize = 100;
/// The most streams of a page: each shard is held up by its part of one.
const MOST: usize = 1_000;

/// Which streams are asked for.
pub(super) struct Listing {
    /// Of one user.
    pub(super) of: Option<Name>,
    /// What the page before said to go on after.
    pub(super) after: Option<ConnectionId>,
    pub(super) limit: usize,
}

impl Listing {
    pub(super) fn read(query: &Query) -> Result<Listing, Problem> {
        let bad = || Problem::bad_request("after: must be the next of the page before");
        let after = query.one("after")?;
        let after = after.map(|text| ConnectionId::parse(text).ok_or_else(bad)).transpose()?;
        let limit = query.number("limit", 1..=MOST)?.unwrap_or(PAGE);
        Ok(Listing { of: query.name("userId")?, after, limit })
    }
}

/// A page.
pub(super) fn page(Connections { page, next }: Connections) -> Payload {
    let next = next.map(|id| id.to_string());
    Payload::object()
        .truth("success", true)
        .list(
            "connections",
            page.iter().map(|connection| shown(Payload::object(), connection).finish()),
        )
        .text("next", next.as_deref())
        .finish()
}

/// One stream.
pub(super) fn one(connection: &Connection) -> Payload {
    shown(Payload::object().truth("success", true), connection).finish()
}

fn shown(object: ObjectWriter, connection: &Connection) -> ObjectWriter {
    let Connection { id, user, address, path, report } = connection;
    let address = address.map(|address| address.to_string());
    object
        .text("connectionId", Some(&id.to_string()))
        .text("userId", user.as_ref().map(Name::as_str))
        .text("address", address.as_deref())
        .text("path", Stream::of_number(*path).map(Stream::path))
        .number("age", report.age.as_secs())
        .text("cursor", Some(&report.cursor.to_string()))
        .number("lag", report.lag.as_millis() as u64)
        .text("phase", Some(report.progress.as_str()))
        .optional_time("expiresAt", report.expires)
}
