//! Clusters of real processes: what they are asked, what becomes of them, and what is judged.
//!
//! The member process `muster-member` does what a test asks it (`serve`), a test holds such processes
//! and hurts them (`member`), lets clients work with them (`worker`) and gives what these have seen
//! to the judge.
//!
//! | file | idea |
//! |---|---|
//! | `words` | what a test asks a member, and the answers |
//! | `asker` | one client of a member |
//! | `entries`, `bulk`, `singleton`, `single`, `queue`, `job`, `serve` | the member's side |
//! | `member`, `herd` | a member, and several, as a test has them |
//! | `worker` | clients that work through all members |
//! | `clock` | the one clock of a machine, for all of its processes |
//! | `history` | who asked what, when, and what came of it |
//! | `lincheck` | the judge of histories |
//! | `cpu` | what processes have used |
//! | `bench` | what a write costs, beside others |

pub mod asker;
pub mod bench;
pub mod bulk;
pub mod clock;
pub mod cpu;
pub mod entries;
pub mod herd;
pub mod history;
pub mod job;
pub mod lincheck;
pub mod member;
pub mod queue;
pub mod serve;
pub mod single;
pub mod singleton;
pub mod words;
pub mod worker;

pub use asker::Asker;
pub use clock::{Nanos, now};
pub use herd::{Herd, Meeting, PATIENCE, Plan};
pub use history::{Entry, History, Outcome};
pub use job::JobWork;
pub use lincheck::{Judge, Model, Verdict};
pub use member::{Member, MemberOptions};
pub use queue::QueueWork;
pub use single::Single;
pub use words::{Answer, Ask, ViewTold};
