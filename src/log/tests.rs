//! The log, as publishers and readers see it.

mod fault;
mod gate;
mod kept;
mod kit;
mod once;
mod order;
mod pages;
mod reopen;
mod retention;
