//! The manager's API from the outside: for the command line, and for balancers that speak to each
//! other.

mod ask;
mod call;
mod cluster;
mod command;
mod papers;
mod show;

pub(crate) use ask::{Ended, run};
pub(crate) use call::{CallError, Caller};
pub(crate) use command::Ask;
pub(crate) use papers::Papers;
