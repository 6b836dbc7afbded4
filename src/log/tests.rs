//! The log, from what a publisher and a reader see of it.
