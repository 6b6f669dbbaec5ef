//! MCMP, mod_cluster's wire protocol, both ways.
//!
//! [`command`] has the values, [`parse()`] reads a message, [`write()`] makes one; [`reply`] has
//! the answers, [`client`] reads them; [`info`] and [`dump`] are the two reports, and
//! [`mod@report`] has what they share.

pub mod client;
pub mod command;
pub mod dump;
pub mod info;
pub mod parse;
pub mod reply;
pub mod report;
pub mod write;

pub use client::{StatusReply, read_status, read_stop};
pub use command::{
    Address, App, BalancerSettings, Command, FlushPackets, Load, NodeConfig, Ping, Scheme, Scope,
    Status, Verb, VirtualHost,
};
pub use dump::{Dump, DumpBalancer, DumpContext, DumpHost, DumpNode};
pub use info::{Info, InfoContext, InfoNode, InfoVhost};
pub use parse::{MAX_BODY, METHODS, ParseError, method, parse, parse_within};
pub use reply::{Answer, Format, PROTOCOL, Refused, RefusedKind, Reply};
pub use report::{ContextStatus, ReportError};
pub use write::{Message, write};
