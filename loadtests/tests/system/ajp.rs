//! Nodes that speak AJP: real Tomcats, and nodes of our own that play what no Tomcat would.

mod ask;
mod frames;
mod pair;
#[cfg(feature = "system")]
mod tomcat;
