//! The scenarios against a tiny server of our own, which can be told to do wrong.

mod fake;
mod plain_loop;
mod scenarios;
