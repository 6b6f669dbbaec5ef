//! The data that members share: placed by a function of the view, written at one primary, and
//! acknowledged when every owner has it.
//!
//! [`Core`] is what a shell drives: a [`muster_cluster::Membership`] and a [`Grid`] in one state
//! machine, with one queue of actions whose order counts. Nothing here owns a socket, a clock, a
//! disk or chance.
//!
//! | file | idea |
//! |---|---|
//! | `bytes` | keys and values |
//! | `segment` | groups, keys, and the fixed hash that says in which row they are |
//! | `placement` | weighted rendezvous with a cap: which members own a row |
//! | `topology` | where a group lives, by the view |
//! | `mode` | where the entries of a cache are kept |
//! | `batch` | what may be asked, and the answers |
//! | `store` | the entries of one row, their digest and their deadlines |
//! | `rules` | the two rules on which all rests, as values, so that a simulation can break them |
//! | `message` | what members tell each other about rows |
//! | `grid` | the state machine, and a file for each of its stories |
//! | `life` | when a row began empty, and what becomes of records of an earlier life |
//! | `lock`, `lease` | who may write a group now; who is the one for a name |
//! | `merge` | what becomes of two values of one key when two sides of a split meet |
//! | `shelf`, `shelves`, `stamps` | where values go that are not kept in memory: the port, and who goes when |
//! | `queue` | messages that are delivered at least once, kept as groups of a row |
//! | `watch` | changes as they are told to listeners |
//! | `core` | membership and grid together |
//! | `wire`, `bounds` | messages and what stands on disk, as bytes, and what those may not exceed |

pub mod batch;
mod bounds;
pub mod bytes;
pub mod core;
pub mod grid;
pub mod lease;
pub mod life;
pub mod lock;
pub mod merge;
pub mod message;
pub mod mode;
pub mod placement;
pub mod queue;
pub mod rules;
pub mod segment;
pub mod shelf;
pub mod shelves;
mod stamps;
pub mod store;
pub mod topology;
pub mod watch;
pub mod wire;

pub use batch::{Batch, Expect, Fence, LeaseWish, Op, Put, Reply, Request, Rev};
pub use bounds::{MOST_KEY, MOST_OPS};
pub use core::{Action, Core, Event, Wire};
pub use grid::{Grid, Limits, Stats};
pub use life::{Fate, Lives, Stamp};
pub use merge::{Policy, Resolve};
pub use mode::{Kept, Mode};
pub use placement::Rendezvous;
pub use rules::Rules;
pub use segment::{Bytes, Group, Place, Space};
pub use shelf::{Left, Memory, Shelf, ShelfError, ShelfStats, Shelved};
pub use topology::Topology;
pub use watch::{Changes, Kind, Watched};
