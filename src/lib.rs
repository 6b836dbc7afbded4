//! Rill is a Server-Sent Events hub built for connection density.

pub mod cursor;
pub mod event;
pub mod frame;
pub mod http;
pub mod hub;
mod interner;
pub mod json;
pub mod log;
pub mod reactor;
pub mod topic;
