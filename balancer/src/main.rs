//! The binary `muster`.

use std::process::ExitCode;

/// Pingora allocates for each header, channel and hook of a request; this is the quickest for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    muster_balancer::cli::run(std::env::args_os(), muster_balancer::serve)
}
