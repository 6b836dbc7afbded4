//! What a scenario can have the streams of an engine do.

use std::ops::Range;
use std::sync::Arc;

use crate::ledger::Published;
use crate::opening::Pace;

/// What the scenario tells an engine.
pub(crate) enum Command {
    /// Open all streams that are shut.
    Open(Pace),
    /// Close all streams at once, then open them again with their cursors.
    CutAndOpen {
        /// With a reset instead of a FIN.
        abruptly: bool,
        /// How fast they come back.
        pace: Pace,
    },
    /// Close the streams of these users, all of them live, until they are opened again.
    Cut {
        /// Whose.
        users: Range<u32>,
        /// With a reset instead of a FIN.
        abruptly: bool,
    },
    /// From now on so many streams a second leave, and come back with their cursors; 0 ends that.
    Churn(f64),
    /// The slow streams read like all others from now on.
    EndDiet,
    /// Close the books against what was published, and end.
    Finish(Arc<Published>),
}
