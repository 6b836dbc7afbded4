//! What the peers of a shard see, with scripted sockets and the clock in hand.

mod behind;
mod closing;
mod delivery;
mod ending;
mod expiry;
mod heartbeat;
mod kit;
mod line;
mod members;
mod narrowed;
mod pages;
mod replay;
mod reports;
mod scripts;
mod visitor;
mod words;
