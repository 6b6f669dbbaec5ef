//! Back ends to try and to read: [`counter`] is one, [`demo`] starts two of them and a balancer.

pub mod counter;
pub mod demo;
pub mod ending;
