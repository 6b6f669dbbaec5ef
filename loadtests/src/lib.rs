//! Whole-system tests, their testkit, and the load generator.
//!
//! [`testkit`] starts real processes on free ports, hurts them, and talks to them. The generator
//! is four values in a row: a [`scenario`] says what to send, the [`generator`] sends it, a
//! [`record`] holds what came back, and the [`report`] tells it to people and programs.

pub mod cluster;
pub mod generator;
pub mod hostile;
pub mod record;
pub mod report;
pub mod scenario;
pub mod sessions;
pub mod testkit;
