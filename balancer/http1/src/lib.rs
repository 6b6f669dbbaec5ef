//! The strict HTTP/1 codec of the balancer: bytes in, decisions and bytes out.
//!
//! This crate is pure: it owns no socket, clock or thread.
