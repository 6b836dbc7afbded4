//! One clock for this process and the send loop's: `CLOCK_MONOTONIC`, which is the same in every
//! process of the machine.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since an arbitrary point that all processes share.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the monotonic clock always answers");
    Duration::from(time).as_nanos() as u64
}

/// A duration in the clock's unit.
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
