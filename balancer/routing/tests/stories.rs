//! The balancer's rules as stories: MCMP lines and requests in, routes out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a story that goes wrong ends")]

mod stories {
    mod choosing;
    mod cost;
    mod election;
    mod health;
    mod owning;
    mod registering;
    mod succession;
    mod words;
    mod world;
}
