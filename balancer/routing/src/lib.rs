//! The balancer's rules, as functions of values.
//!
//! A [`Registry`] has one writer: every MCMP command, operator's verb and health event enters
//! there and changes it together with its [`RoutingTable`]. A request reads one snapshot of the
//! table and asks [`decide()`] for its node. Nothing here owns a socket, a clock or a thread:
//! time comes in as a [`Moment`], answers of probes as [`registry::Heard`].
//!
//! | file | idea |
//! |---|---|
//! | `registry` | who is registered: `apply(Command, now)`, health events, `tick` |
//! | `node`, `context` | what is known of one node and of one of its contexts |
//! | `table` | what a request needs: contexts, routes, pools |
//! | `decide` | owner, then domain, then anyone, then standby |
//! | `elect` | exact shares at a cost that does not grow with the number of nodes |
//! | `load` | slow start |
//! | `health` | checking, up, suspect, down |
//! | `word` | what operators said, and which of two words holds |
//! | `drain` | no new sessions until nothing is left or a deadline is over |
//! | `overrides` | what an operator says of a property instead of its node |
//! | `cluster` | which node is a member of which cluster |
//! | `owner` | whose a route is, and who else may speak for it |
//! | `retry` | which failures may be tried again, and the budget |
//! | `session` | where a request carries its session id |
//! | `rows` | one set of rows for page, INFO and DUMP |

pub mod cluster;
pub mod context;
pub mod decide;
pub mod drain;
pub mod elect;
pub mod health;
pub mod load;
pub mod node;
pub mod overrides;
pub mod owner;
pub mod registry;
pub mod retry;
pub mod rows;
pub mod session;
pub mod table;
pub mod word;

pub use decide::{Decision, How, Refusal, Request, decide};
pub use node::{InFlight, NodeId};
pub use owner::{Owner, Sender};
pub use registry::{Limits, Registry};
pub use table::RoutingTable;

/// Time since the balancer's start. Only differences count.
pub type Moment = std::time::Duration;
