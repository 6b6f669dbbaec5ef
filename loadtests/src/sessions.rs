//! People with sessions before real nodes, and what they may say afterwards.
//!
//! | file | idea |
//! |---|---|
//! | `bench` | what a session costs, beside a plain map and Redis |
//! | `crowd` | browsers, each with one session, each asking now and then |
//! | `judge` | what their counts say: lost, gone back, doubled; how long they had to wait |
//! | `nodes` | clustered counters behind one balancer, on loopback or in namespaces |
//! | `stored` | nodes whose sessions are on disk, and outlive all of them |
//! | `serve`, `redis` | the counter of the bench, its sessions kept in one of several ways |

pub mod bench;
pub mod crowd;
pub mod judge;
pub mod nodes;
#[cfg(feature = "redis-store")]
mod redis;
pub mod serve;
pub mod stored;

pub use crowd::{Crowd, Plan, Seen, Visit};
pub use judge::{Judge, Round};
pub use nodes::{Nodes, NodesPlan};
