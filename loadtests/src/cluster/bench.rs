//! What a cluster takes: processor time, memory, and time until it goes on.
//!
//! What is compared with others is measured in turns in one run; each figure is the median of the
//! turns, and the processor time of every process that takes part counts.
//!
//! | file | idea |
//! |---|---|
//! | `figure` | a figure, and tables of medians |
//! | `echo` | the floor: a TCP echo |
//! | `redis` | Redis with one replica |
//! | `puts` | writes to two processes: ours beside both |
//! | `failover` | until the rest goes on when one dies or freezes |
//! | `join` | until a newcomer has its share, and what memory data takes |
//! | `queue`, `nats` | messages through a queue, beside NATS JetStream |
//! | `calm` | nobody is taken for dead on a busy machine |

pub mod calm;
pub mod echo;
pub mod failover;
pub mod figure;
pub mod join;
#[cfg(feature = "nats")]
pub mod nats;
pub mod puts;
pub mod queue;
pub mod redis;

pub use figure::{Figure, Table};

/// The bytes of a value.
pub const VALUE: usize = 1024;
/// How many keys values are written to.
pub const KEYS: u32 = 10_000;
