//! AJP13 against a node's side of it that is written for these tests alone: what one side writes
//! the other reads alike, in whatever pieces it comes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod answers;
mod fuzz;
mod hostile;
mod requests;
mod server;
mod uploads;
