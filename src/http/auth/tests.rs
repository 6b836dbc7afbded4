//! Tokens of every kind, most of them from attackers.

mod algorithms;
mod any;
mod audience;
mod claims;
mod header;
pub(super) mod kit;
mod secrets;
mod signature;
mod time;
