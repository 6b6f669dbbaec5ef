//! HTTP sessions that survive the node that served them: a facade over the entries of one map of
//! the engine seam, without a second copy.
//!
//! A session is a key group of its application's map, named by its id. One entry holds its
//! metadata and carries its time; its attributes stand beside it, as one entry or one each. A
//! request checks the group out at the first touch and writes everything that it changed in one
//! batch, before the head of its answer leaves.
//!
//! | file | idea |
//! |---|---|
//! | `settings` | what an application may choose |
//! | `manager` | the sessions of one application |
//! | `request` | one request's session: touched, committed |
//! | `handle` | what a handler reads and writes |
//! | `attributes` | attributes as entries: what is there, what has changed |
//! | `metadata` | what is known of a session beside its attributes |
//! | `plan` | what a request's end writes |
//! | `commit` | writes it |
//! | `records` | sessions without a lock, compared and set, for adapters |
//! | `routed` | a session cookie of another library, with our route |
//! | `to_the_end` | what goes on when nobody waits for it any more |
//! | `read` | a session as it stands, without its lock; readers keep it alive |
//! | `follow` | what the engine tells of them |
//! | `expiry` | sessions whose time is over |
//! | `passivation` | sessions that go to the store and come back |
//! | `store` | a store beside the cluster, shared by clusters: PostgreSQL, Redis |
//! | `events` | listeners |
//! | `stats` | what has happened, in numbers |
//! | `immutable` | which values a shared reference cannot change |
//! | `layer` | requests get their session, and answers wait for its commit |
//! | `place` | where the sessions are deployed |
//! | `error` | what can go wrong, in the user's words |

mod attributes;
mod commit;
mod error;
mod events;
mod expiry;
mod follow;
mod handle;
mod immutable;
pub(crate) mod layer;
mod manager;
mod metadata;
mod passivation;
mod place;
mod plan;
mod read;
mod records;
mod request;
mod routed;
mod settings;
mod stats;
pub mod store;
#[cfg(test)]
mod tests;
mod to_the_end;

pub use error::SessionError;
pub use events::{Attribute, End, SessionListener};
pub use handle::{AttributeMut, Session};
pub use immutable::Immutable;
pub use layer::{SameSite, Secure, SessionLayer, SessionService};
pub use manager::Sessions;
pub(crate) use manager::{Inner, Turn};
pub use muster_agent_derive::Immutable;
pub(crate) use place::Place;
pub use read::ReadSession;
pub use records::{BadRevision, Record, Records, Revision, Values};
pub(crate) use request::is_possible;
pub use request::{Finished, SessionRequest};
pub use routed::{RoutedCookie, Shown};
pub use settings::{CreateSessionsError, Granularity, SessionsBuilder, Wait};
pub use stats::SessionStats;
pub use store::{MemoryStore, SessionStore, Storing};
