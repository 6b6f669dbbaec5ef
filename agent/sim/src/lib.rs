//! The cluster's core under a seeded, faulty world: networks that cut, delay, lose, double and
//! reorder, clocks that run at different rates, processes that freeze and die. Whatever members
//! promised is checked from outside.
//!
//! | file | idea |
//! |---|---|
//! | `case` | what a seed means: members, quorum, which faults |
//! | `happening` | what may happen next |
//! | `world` | machines, processes, clocks, and the one queue of what happens next |
//! | `network` | packets, weather, cuts, and a plain failure detector |
//! | `faults` | what goes wrong, and when it may |
//! | `client` | what is asked of the cluster, and the histories of that |
//! | `session` | browsers whose sessions the members keep, as a balancer would send them |
//! | `queue` | producers and consumers of a queue, and what they were promised |
//! | `shelf` | where members with little memory keep the rest; it fails now and then |
//! | `singleton` | services that run on one member, with a judge of their own |
//! | `linear` | whether a group's history can be put in one order |
//! | `judge` | leases, locks, expiry, convergence |
//! | `run` | one schedule, from its seed to its verdict |

pub mod case;
pub mod client;
pub mod faults;
pub mod happening;
pub mod judge;
pub mod linear;
pub mod network;
pub mod queue;
pub mod run;
pub mod session;
pub mod shelf;
pub mod singleton;
pub mod world;

pub use case::{Case, Kind, Mutation};
pub use run::{Verdict, run};
