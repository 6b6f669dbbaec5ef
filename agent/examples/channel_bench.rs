//! Two members in two processes on one machine: puts of 1 KiB that both have, beside an echo.
//!
//! `cargo run --release -p muster-agent --features bench --example channel_bench -- --workers 1`

/// As in the balancer: what members do for a write is short, so the allocator counts.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = muster_agent::bench::run(&args) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
