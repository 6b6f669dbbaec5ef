//! Sessions of `actix-session`, kept by the members of a Muster cluster: an application that uses
//! it survives the node that served it, and its handlers stay as they are.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # actix_web::rt::System::new().block_on(async {
//! use actix_session::SessionMiddleware;
//! use actix_web::{App, cookie::Key};
//! use muster_actix_session::{RouteCookie, Store};
//! use muster_agent::Sessions;
//! let sessions = Sessions::builder("shop").start()?; // .cluster(&cluster).distributable(true)
//! let (store, key) = (Store::new(&sessions), Key::generate()); // the same key on every node
//! let route = RouteCookie::new("id", Some("node1".parse()?));
//! // The last one is the outermost.
//! let app = App::new().wrap(SessionMiddleware::new(store, key)).wrap(route);
//! # let _ = app;
//! # Ok(()) })}
//! ```
//!
//! What it promises and what it does not stands in docs/session-adapters.md: such a store has no
//! lock, so two requests of one session at once are not queued. The later one's save is refused,
//! and nothing is overwritten.
//!
//! | file | idea |
//! |---|---|
//! | `store` | a session's state as Muster's records |
//! | `route` | the middleware around it: the route in the cookie |

mod route;
mod store;

pub use route::{ATTRIBUTES, RouteCookie, RouteService};
pub use store::Store;
