//! Back ends to try and to read: [`counter`] is one, [`demo`] starts two of them and a balancer,
//! [`cluster`] is what the examples of the cluster share, and [`clustered`] their arguments.

pub mod cluster;
pub mod clustered;
pub mod counter;
pub mod demo;
pub mod ending;
