//! Whole-system stories: real processes, real sockets, real faults.
//!
//! They need the built `muster` and `counter`, which `cargo test --workspace` builds first.
#![allow(clippy::unwrap_used, reason = "a story that goes wrong says so by a panic")]

mod system {
    mod advertise;
    mod ajp;
    mod bridge;
    mod clients;
    #[cfg(feature = "system")]
    mod cluster;
    mod clusters;
    mod differential;
    mod drain;
    mod drains;
    mod edge;
    mod engine;
    mod floods;
    mod frozen;
    mod grpc;
    mod hostile_nodes;
    mod http2;
    mod https_nodes;
    mod kill9;
    mod lock;
    mod manages;
    mod mcmp_port;
    mod meets;
    mod newcomer;
    mod observed;
    mod peers;
    mod proxy;
    mod refusals;
    mod reload;
    mod restart;
    mod services;
    mod sessions;
    mod shares;
    mod slow_clients;
    mod soak;
    mod sticky;
    mod stores;
    mod succession;
    mod support;
    #[cfg(feature = "system")]
    mod tabs;
    mod tls_front;
    mod vectors;
    #[cfg(feature = "system")]
    mod workers;
}
