//! What holds for all heads and bodies, good ones, bad ones and noise.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a property that does not hold ends")]

mod properties {
    mod agree;
    mod bodies;
    mod heads;
    mod make;
    mod naive;
    mod rewriting;
}
