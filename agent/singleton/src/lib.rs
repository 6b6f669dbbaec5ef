//! A service that runs on one member of a cluster at a time: who shall run it, and how it gets there.
//!
//! [`Singleton`] is a state machine, one for each name on each member that offers the service. What
//! happens enters by [`Singleton::handle`], what is to be done leaves by [`Singleton::poll_action`].
//! The oldest of those who offer it elects, and tells the others; who is elected asks for the lease of
//! that name and starts only when it has it. Elections may disagree for a moment: the lease is what
//! there is one of. Nothing here owns a socket, a clock, a task or chance.
//!
//! | file | idea |
//! |---|---|
//! | `policy` | who is elected, as a function of the candidates |
//! | `office` | the elector: what it has told whom |
//! | `life` | one member's way from the lease to the end of the service's body |
//! | `singleton` | the three together |

pub mod life;
pub mod office;
pub mod policy;
pub mod singleton;

pub use life::{Bounds, Life, Outcome, State};
pub use office::Elected;
pub use policy::{Candidate, Election, NoProvider, Policy, Preference, elect};
pub use singleton::{Action, Event, Note, Singleton};
