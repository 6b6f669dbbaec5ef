//! Single sign-on: one identity for several applications of the cluster.
//!
//! A login in one application creates an identity (who it is, not how that was proven), named by a
//! cookie of its own. Other applications see it, and their sessions join it; a logout in one ends
//! the sessions of all, on whatever member they are. An identity is a key group of the map
//! `sso/NAME`, with one entry; whoever asks for it writes it in one commit. The user's guide is
//! docs/single-sign-on.md.
//!
//! ```
//! use muster_agent::{Identity, Principal, Sessions, Sso, SsoError};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! async fn login(identity: Identity) -> Result<&'static str, SsoError> {
//!     identity.login(Principal::new("ann", ["buyer"]), "FORM").await?;
//!     Ok("welcome")
//! }
//! let sso = Sso::builder("default").start()?; // on a cluster: .cluster(&cluster)
//! let sessions = Sessions::builder("shop").start()?;
//! let shop = sso.application(&sessions)?;
//! // The sessions' layer is the outer one: it commits what the identity's layer has changed.
//! let app: axum::Router = axum::Router::new()
//!     .route("/login", axum::routing::post(login))
//!     .layer(shop.layer())
//!     .layer(sessions.layer());
//! # Ok(()) }
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `settings` | what an identity manager may choose |
//! | `manager` | identities: created, used, ended; applications that share them |
//! | `record` | an identity as it is kept |
//! | `ending` | ends the sessions of an identity, wherever they are |
//! | `layer` | requests get their identity, and answers its cookie |
//! | `identity` | what a handler asks for |
//! | `stats` | what has been done, in numbers |
//! | `error` | what can go wrong, in the user's words |

mod ending;
mod error;
mod identity;
mod layer;
mod manager;
mod record;
mod settings;
mod stats;
#[cfg(test)]
mod tests;

pub use error::SsoError;
pub use identity::Identity;
pub use layer::{SsoLayer, SsoService};
pub use manager::{Sso, SsoApplication};
pub use record::Principal;
pub use settings::{CreateSsoError, SsoBuilder};
pub use stats::SsoStats;
