//! How much room is set aside for streams before they come.
//!
//! A list that grows by moving leaves what it had before behind as holes, and the allocator keeps
//! them: with ten thousand streams a hundred bytes of each. Room that is set aside at once takes
//! addresses, and no memory until it is used.

/// Beyond this, lists grow by moving: nobody sets aside gigabytes for a limit that is out of reach.
const MOST: usize = 1 << 20;

/// Room for streams, in numbers of them.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Of all shards.
    pub of_all: usize,
    /// Of one of them, with somewhat more than its part: streams come to shards in turn, but leave as
    /// they like.
    pub of_shard: usize,
}

impl Room {
    /// For so many streams at most.
    pub fn new(most_streams: usize, shards: usize) -> Room {
        let of_all = most_streams.min(MOST);
        let part = of_all.div_ceil(shards);
        Room { of_all, of_shard: part + part / 4 }
    }
}
