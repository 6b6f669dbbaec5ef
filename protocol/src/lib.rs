//! What the balancer and its nodes agree on: checked [`names`], [session ids](session_id),
//! the [`form`] codec, [`mcmp`], its [signatures](signature), [`ajp`], [`advertise`], and how members of
//! a [`cluster`] find each other.
//!
//! This crate is pure: bytes and text in, values out. It owns no socket, clock or thread.

pub mod advertise;
pub mod ajp;
pub mod cluster;
pub mod form;
pub mod mcmp;
pub mod names;
pub mod session_id;
pub mod signature;
