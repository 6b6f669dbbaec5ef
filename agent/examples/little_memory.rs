//! Two members of one process fill a map of key groups of 4 KiB, of which each keeps 1,000 in memory,
//! and print what the process takes: `cargo run --release -p muster-agent --example little_memory 100000`.
#![allow(clippy::print_stdout, reason = "it is a program that says what it measured")]

use std::sync::Arc;

use muster_agent::engine::map::{Batch, Map, MapSpec, Memory, Read};
use muster_agent::{Cluster, FileShelf, Mode};
use muster_grid::{Expect, Op, Put};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let groups: usize = std::env::args().nth(1).map_or(Ok(100_000), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let one = Cluster::builder("one").port(0).find_nobody().join().await?;
    let address = one.me().address.to_string();
    let two = Cluster::builder("two").port(0).members([&address]).join().await?;
    let mut maps: Vec<Arc<dyn Map>> = Vec::new();
    for (name, cluster) in [("one", &one), ("two", &two)] {
        let shelf = Arc::new(FileShelf::open(&dir.path().join(name))?);
        let memory = Some(Memory { most_groups: 1_000, shelf, write_through: false });
        let spec = MapSpec { memory, ..MapSpec::new("groups", Mode::Distributed) };
        maps.push(cluster.engine().map(spec)?);
    }
    while !one.engine().is_balanced() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    println!("empty: {} MB", resident_mb()?);
    let name = |number: usize| format!("{number:036}");
    for number in 0..groups {
        let op = Op { key: b"u".into(), expect: Expect::Any, put: Some(Put::new(&[7; 4096])) };
        maps[number % 2].write(Batch::new(name(number).as_bytes(), vec![op])).await?;
    }
    let stats = maps[0].stats();
    println!(
        "{groups} groups: {} MB, {} in memory, {} on the shelf of each member",
        resident_mb()?,
        stats.groups_in_memory,
        stats.groups_on_shelf
    );
    let mut found = 0;
    for number in 0..groups {
        let entries = maps[1].get(name(number).as_bytes(), Read::Confirmed).await?;
        found += usize::from(entries.entries.len() == 1);
    }
    println!(
        "{found} of them were read, {} errors; then {} MB",
        stats.shelf_errors,
        resident_mb()?
    );
    Ok(())
}

/// What is resident, of `/proc`.
fn resident_mb() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb: u64 = line.and_then(|line| line.split_whitespace().next()).unwrap_or("0").parse()?;
    Ok(kb / 1_024)
}
