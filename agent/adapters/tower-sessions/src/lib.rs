//! Sessions of `tower-sessions`, kept by the members of a Muster cluster: an application that uses
//! it survives the node that served it, and its handlers stay as they are.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use muster_agent::Sessions;
//! use muster_tower_sessions::{RouteLayer, Store};
//! let sessions = Sessions::builder("shop").start()?; // .cluster(&cluster).distributable(true)
//! let store = Store::new(&sessions);
//! let route = RouteLayer::new("id", Some("node1".parse()?));
//! // router.layer(SessionManagerLayer::new(store)).layer(route)
//! # let _ = (store, route);
//! # Ok(()) }
//! ```
//!
//! What it promises and what it does not stands in docs/session-adapters.md: such a store has no
//! lock, so two requests of one session at once are not queued. The later one's save is refused,
//! and nothing is overwritten.
//!
//! | file | idea |
//! |---|---|
//! | `store` | records of either version as Muster's |
//! | `route` | the layer around it: the route in the cookie |

mod route;
mod store;

pub use route::{ATTRIBUTES, Answering, RouteLayer, RouteService};
pub use store::Store;
