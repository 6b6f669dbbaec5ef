//! Who is in the cluster, and who owns which row of data: one agreed [`View`] after the other.
//!
//! [`Membership`] is a state machine. Frames, suspicions and time enter by
//! [`Membership::handle`]; what is to be done leaves by [`Membership::poll_action`], in the order
//! in which it must be done: a [`Action::Persist`] stands on disk before a later [`Action::Send`]
//! goes out. Nothing here owns a socket, a clock or a disk.
//!
//! | file | idea |
//! |---|---|
//! | `id` | nodes, their lives (incarnations), epochs |
//! | `view` | the agreed value: members oldest first, electorate, owners of every row |
//! | `rows` | a set of rows |
//! | `config` | names, bounds and waits |
//! | `message` | what members tell each other, what the shell says and what it must do |
//! | `bounds` | what none of them may exceed |
//! | `membership` | the state machine, and a file for each of its stories |
//! | `succeed` | the next view, as a function of the answers |

pub mod bounds;
pub mod config;
pub mod id;
pub mod membership;
pub mod message;
pub mod rows;
pub mod succeed;
pub mod view;

pub use config::Config;
pub use id::{Epoch, MemberId, Moment, NodeId};
pub use membership::Membership;
pub use message::{Action, Durable, Event, Joining, Message, Promise, Refusal, Summary};
pub use rows::{RowId, RowSet};
pub use succeed::Placement;
pub use view::{Copies, Doubt, Electorate, Member, Row, View, ViewId};
