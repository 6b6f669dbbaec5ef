//! What members do in a calm world, one story each.

mod calm;
mod groups;
mod leases;
mod members;
mod transfers;
