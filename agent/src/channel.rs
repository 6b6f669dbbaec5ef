//! The channel: TCP connections between members, and frames on them. One port per node, two
//! connections per peer: one lane for calls, one for bulk.
//!
//! | file | idea |
//! |---|---|
//! | `service` | whose frame it is |
//! | `frame` | a frame's bytes |
//! | `incoming` | bytes that came, cut into frames |
//! | `outgoing` | frames that go out together |
//! | `hello`, `greet` | the first words, and their exchange |
//! | `secure` | TLS, and the proof that both sides know the secret |
//! | `stream` | a connection's bytes, plain or by TLS |
//! | `conn`, `links` | one connection; who is linked by which |
//! | `book` | addresses, and when each is dialled |
//! | `told`, `counts` | what was logged already; numbers |

pub(crate) mod book;
pub(crate) mod conn;
pub(crate) mod counts;
pub(crate) mod frame;
pub(crate) mod greet;
pub(crate) mod hello;
pub(crate) mod incoming;
pub(crate) mod links;
pub(crate) mod outgoing;
pub(crate) mod secure;
pub(crate) mod service;
pub(crate) mod stream;
pub(crate) mod told;

pub(crate) use counts::LaneStats;
pub(crate) use hello::Lane;
pub(crate) use outgoing::NotSent;
pub(crate) use secure::{MutualTls, Secret, SecureError, Security};
