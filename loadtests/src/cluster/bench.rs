//! What a write costs, beside a raw TCP echo as the floor and Redis with one replica.
//!
//! A measurement counts the processor time of every process that takes part. What is compared is
//! measured in turns in one run; each figure is the median of the turns.

pub mod echo;
pub mod figure;
pub mod redis;

pub use figure::{Figure, Table};

/// The bytes of a value.
pub const VALUE: usize = 1024;
/// How many keys values are written to.
pub const KEYS: u32 = 10_000;
