//! Rill behind real nginx as `deploy/nginx` configures it, seen with real curl.

mod configuration;
mod down;
mod events;
mod kit;
mod limits;
mod logs;
mod requests;
mod restarts;
mod under_load;
