//! What whole-system tests are made of: processes, nodes, clients, faults, waits.
//!
//! Nothing here panics and nothing waits for ever: what goes wrong comes back as an error that
//! says what was waited for. Whatever a test started ends when its value is dropped.

pub mod ajp;
pub mod binaries;
pub mod client;
#[cfg(feature = "system")]
pub mod databases;
pub mod farm;
pub mod faults;
pub mod h2;
pub mod mcmp;
pub mod netns;
pub mod node;
pub mod ports;
pub mod process;
pub mod raw;
pub mod tls;
#[cfg(feature = "system")]
pub mod tomcat;
pub mod wait;

pub use ajp::AjpNode;
pub use client::{Answer, Client, Failure};
pub use farm::{Balancer, Counter, CounterOptions, Farm};
pub use faults::Fault;
pub use h2::{H2Client, H2Node, H2NodeOptions};
pub use node::{Manner, Node, NodeOptions};
pub use raw::{Raw, RawNode};
pub use tls::{Authority, TlsNode};
pub use wait::eventually;
