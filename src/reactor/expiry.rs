//! The end of a stream's credential: told before, and put off by a new one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::connection::{NEVER, Owed, Phase, Unsent};
use super::shard::Shard;
use super::socket::Socket;
use super::wheel::Tick;
use super::{Guard, Key, Moment, Renewal, span, ticks};
use crate::event::Payload;
use crate::frame::{Block, Chunk};
use crate::identity::Stamp;
use crate::rights::Reader;

/// The tick at which a credential ends. What has ended already does so now.
pub(super) fn tick_of(expires: Option<Stamp>, now: Moment) -> Tick {
    let Some(expires) = expires else { return NEVER };
    match expires.since(Stamp::of(now.wall)) {
        Duration::ZERO => now.tick,
        left => now.tick.saturating_add(ticks(left)),
    }
}

/// The inverse of [`tick_of`]. A tick is not exact; the times in tokens are whole seconds.
pub(super) fn time_of(expires: Tick, now: Moment) -> Option<SystemTime> {
    let expires = now.wall + span((expires != NEVER).then_some(expires)?.saturating_sub(now.tick));
    let since = expires.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(UNIX_EPOCH + Duration::from_secs((since + Duration::from_millis(500)).as_secs()))
}

impl<S: Socket, G: Guard> Shard<S, G> {
    /// Tells a live connection that its credential ends. If the peer takes none of it, it is told
    /// when it is level again.
    pub(super) fn announce_expiry(&mut self, slot: u32, now: Moment) {
        let connection = &mut self.connections[slot as usize];
        connection.knows_of_expiry = true;
        let Some(expires) = time_of(connection.expires, now) else { return };
        let chunk = notice(expires);
        let bytes = chunk.bytes(connection.framing);
        self.write_aside(slot, bytes, |sent| Unsent::new(Owed::Own(bytes.into()), sent), now);
        if let Some(connection) = self.connections.get_mut(slot as usize)
            && connection.phase != Phase::Live
            && connection.unsent.is_none()
        {
            connection.knows_of_expiry = false;
        }
        self.rearm(slot);
    }

    /// Puts a connection under a new credential of its user, with what that one may listen to. A right
    /// that it lacks ends the stream.
    pub fn renew(
        &mut self,
        key: Key,
        reader: Reader,
        expires: Option<Stamp>,
        now: Moment,
    ) -> Renewal {
        let Some(slot) = self.find(key) else { return Renewal::NoStream };
        let connection = &mut self.connections[slot as usize];
        let Some(stay) = &connection.stay else { return Renewal::NoStream };
        let reader = match &stay.reader {
            Some(old) => reader.in_place_of(old),
            None => reader,
        };
        connection.expires = tick_of(expires, now);
        connection.knows_of_expiry = false;
        self.rearm(slot);
        match self.listen_as(slot, Box::new(reader), now) {
            true => Renewal::Done,
            false => Renewal::Ended,
        }
    }
}

/// The `token-expiring` event.
fn notice(expires: SystemTime) -> Chunk {
    let data = Payload::object().time("expiresAt", expires).finish();
    Chunk::around(&Block::new("token-expiring").with_payload(&data, ""))
}
