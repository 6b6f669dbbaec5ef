//! The codec's rules as stories: heads and bodies in, verdicts and bytes out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a story that goes wrong ends")]

mod stories {
    mod answers;
    mod bodies;
    mod refused;
    mod requests;
    mod words;
    mod written;
}
