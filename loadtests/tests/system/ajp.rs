//! Nodes that speak AJP: real Tomcats, and nodes of our own that play what no Tomcat would.

mod ask;
mod frames;
mod h2;
mod pair;
mod tls;
#[cfg(feature = "system")]
mod tomcat;
