//! Clusters of real processes: what they are asked, what becomes of them, and what is judged.
//!
//! | file | idea |
//! |---|---|
//! | `bench` | what a write costs, beside others |
//! | `cpu` | what processes have used |
//! | `clock` | the one clock of a machine, for all of its processes |
//! | `history` | who asked what, when, and what came of it |
//! | `lincheck` | the judge of histories |

pub mod bench;
pub mod clock;
pub mod cpu;
pub mod history;
pub mod lincheck;

pub use clock::{Nanos, now};
pub use history::{Entry, History, Outcome};
pub use lincheck::{Judge, Model, Verdict};
