//! The failure detector: notices members that do not run or cannot be reached although their
//! connections stand. (A process that ends closes its connections, which is seen at once.)
//!
//! SWIM probes by foca find who does not answer. Its verdict alone is not enough, and neither is
//! silence, unless it lasts: a member is suspected when foca has it down **and** nothing at all came
//! from it for half the detection time, or when nothing came for the whole of it. Whatever comes
//! from a member, on any connection, shows that it lives. docs/decisions/0010-failure-detector.md
//! says why.
//!
//! | file | idea |
//! |---|---|
//! | `awake` | a clock that stands still while this process does not run |
//! | `identity` | a member as foca knows it |
//! | `probes` | foca, its timers and its datagrams |
//! | `silence` | who was heard when |
//! | `detector` | both together: whom to suspect |

mod awake;
mod detector;
mod identity;
mod probes;
mod silence;

pub(crate) use detector::{Detector, Verdict};
