//! The balancer.

pub mod cli;
pub mod config;
