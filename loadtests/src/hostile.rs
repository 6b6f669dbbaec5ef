//! Hostile suites against any proxy, from outside: what a client may send, what a node may answer.
//!
//! The proxy under test has one node, the [`backend::Backend`] of the suite, mounted at `/` for
//! every host. [`vectors::all`] are raw requests, each with what is right, and [`run::run_vectors`]
//! plays and judges them. [`answers::all`] are raw answers of a node, and
//! [`siege::run_answers`] gives them to a proxy and looks what its client gets, over HTTP/1 or
//! HTTP/2 ([`client::Front`]).
//! [`differential`] sends generated requests through two proxies and compares what arrives.
//!
//! What the proxy must be configured for: a node's silence ends after a second and an exchange
//! after three, a body has at most [`vectors::BODY_LIMIT`] bytes.

pub mod answer;
pub mod answers;
pub mod backend;
pub mod case;
mod chunks;
pub mod client;
pub mod differential;
pub mod generate;
mod heads;
pub mod judge;
mod probe;
pub mod reading;
pub mod report;
pub mod run;
pub mod siege;
pub mod vector;
pub mod vectors;
pub mod wire;
