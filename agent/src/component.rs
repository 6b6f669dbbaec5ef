//! Stateful components: typed objects of which each has one client for a while (a shopping cart, a
//! wizard, a conversation), kept in the cluster, so that a call after the loss of a member finds the
//! object as the last call has left it (the seed's stateful session beans).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use muster_agent::{Cluster, Components};
//! #[derive(Default, serde::Serialize, serde::Deserialize)]
//! struct Cart(Vec<String>);
//! let cluster = Cluster::builder("node1").local(); // or .join().await?
//! let carts = Components::<Cart>::builder("cart").cluster(&cluster).start()?;
//! let cart = carts.create(Cart::default()).await?;
//! let count = carts.call(&cart, |cart| { cart.0.push("tea".to_owned()); cart.0.len() }).await?;
//! assert_eq!(count, 1);
//! assert!(carts.remove(&cart).await?);
//! # Ok(()) }
//! ```
//!
//! A component is a key group of the map `bean/NAME`, with one entry. A call checks the group out,
//! so that in the whole cluster one call at a time has the object, and writes it back in one commit
//! before it returns. The user's guide is docs/components.md.
//!
//! | file | idea |
//! |---|---|
//! | `settings` | what a kind of component may choose |
//! | `manager` | the components of one kind: create, call, read, remove |
//! | `checked_out` | one component in one caller's hands |
//! | `handle` | how a component is named; it may stand in a session |
//! | `state` | a component as bytes |
//! | `stats` | what has been done, in numbers |
//! | `error` | what can go wrong, in the user's words |

mod checked_out;
mod error;
mod handle;
mod manager;
mod settings;
mod state;
mod stats;
#[cfg(test)]
mod tests;

pub use checked_out::CheckedOut;
pub use error::ComponentError;
pub use handle::{BadHandle, Handle};
pub use manager::Components;
pub use settings::{ComponentsBuilder, CreateComponentsError};
pub use stats::ComponentStats;
pub(crate) use stats::Tally;
