//! Back ends to try and to read: [`counter`] is one, [`demo`] starts two of them and a balancer, and
//! [`cluster`] is what the examples of the cluster share.

pub mod cluster;
pub mod counter;
pub mod demo;
pub mod ending;
