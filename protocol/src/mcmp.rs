//! MCMP, mod_cluster's wire protocol, both ways: [`command`] has the values, [`parse()`] reads a
//! message, [`write()`] makes one, `reply` has the answers,
//! `info` and `dump` the two reports.

pub mod command;
pub mod parse;
pub mod write;

pub use command::{
    Address, App, BalancerSettings, Command, FlushPackets, Load, NodeConfig, Ping, Scheme, Scope,
    Status, Verb, VirtualHost,
};
pub use parse::{MAX_BODY, ParseError, parse, parse_within};
pub use write::{Message, write};
