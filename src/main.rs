//! The process; it comes with the front.

fn main() {}
