//! Stories of handshakes, in memory: authorities and certificates are made for each.

mod front;
mod node;
mod world;
