//! Who comes in, and how.

use super::kit::{somebody, stamp};
use super::line::Take;
use crate::cursor::Position;
use crate::frame::Framing;
use crate::identity::{Identity, Stamp};
use crate::members::{Change, Group};

/// A stream as it comes to a shard.
pub(super) struct Visitor {
    pub(super) start: Option<Position>,
    pub(super) framing: Framing,
    pub(super) script: Vec<Take>,
    pub(super) otherwise: Take,
    pub(super) replaced: bool,
    pub(super) expires: Option<Stamp>,
    pub(super) on: On,
    pub(super) identity: Identity,
    pub(super) meanwhile: Option<(Group, Change)>,
}

/// What a stream is on.
pub(super) enum On {
    Rooms(&'static str),
    AllRooms,
    /// Its user's topic and his conversations.
    Conversations,
}

/// A stream of these rooms that begins at the head and takes everything.
pub(super) fn to(rooms: &'static str) -> Visitor {
    let (framing, script, otherwise) = (Framing::Chunked, Vec::new(), Take::All);
    Visitor {
        start: None,
        framing,
        script,
        otherwise,
        replaced: false,
        expires: None,
        on: On::Rooms(rooms),
        identity: somebody(),
        meanwhile: None,
    }
}

impl Visitor {
    pub(super) fn after(self, start: Position) -> Visitor {
        Visitor { start: Some(start), ..self }
    }

    pub(super) fn framed(self, framing: Framing) -> Visitor {
        Visitor { framing, ..self }
    }

    pub(super) fn scripted(self, script: &[Take]) -> Visitor {
        Visitor { script: script.to_vec(), ..self }
    }

    pub(super) fn blocked(self) -> Visitor {
        Visitor { otherwise: Take::Nothing, ..self }
    }

    /// With a credential that ends so many ticks from now.
    pub(super) fn expiring(self, ticks: u64) -> Visitor {
        Visitor { expires: Some(stamp(ticks)), ..self }
    }

    /// On every open room, as far as this identity may hear them.
    pub(super) fn on_all_rooms(self, identity: Identity) -> Visitor {
        Visitor { on: On::AllRooms, identity, ..self }
    }

    /// On whatever conversations its user is in.
    pub(super) fn on_conversations(self) -> Visitor {
        Visitor { on: On::Conversations, ..self }
    }

    /// A list changes while it is on its way to its shard.
    pub(super) fn while_changes(self, group: Group, change: Change) -> Visitor {
        Visitor { meanwhile: Some((group, change)), ..self }
    }

    pub(super) fn replaced(self) -> Visitor {
        Visitor { replaced: true, ..self }
    }
}
