//! HTTP/2 as stories need it: a client, a node, and frames made by hand.

pub mod client;
pub mod frames;
pub mod node;

pub use client::{Call, H2Answer, H2Client};
pub use frames::Wire;
pub use node::{Arrived, H2Node, H2NodeOptions};
