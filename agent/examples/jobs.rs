//! A job that one member of the cluster does every so often, whichever of them lives.
//!
//! ```sh
//! cargo run --example jobs -- one            # in one shell
//! cargo run --example jobs -- two 100        # in another: the offset of its ports
//! ```
//! Both say who they are; one of them says each second what it has done. Kill it: the other goes on,
//! and no second is left out or done twice. The end of its input ends a process in order.
#![allow(clippy::print_stdout, reason = "an example speaks")]

use std::io::Write as _;
use std::time::Duration;

use muster_agent::job::{Missed, Overlap, Run};
use muster_agent::{Cluster, ClusterBuilder, Job};

/// How often, in milliseconds, where the environment says nothing else.
const EVERY_MS: u64 = 1000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "one".to_owned());
    let cluster = builder(&name, arguments.next().as_deref())?.join().await?;
    let tick = tick(&cluster)?;
    println!("{name} is in the cluster");
    ended().await;
    tick.stop().await;
    cluster.leave().await;
    Ok(())
}

/// Finds the others by multicast on this machine; `host:port` in the place of an offset is one of
/// them.
fn builder(name: &str, place: Option<&str>) -> Result<ClusterBuilder, std::num::ParseIntError> {
    let builder = Cluster::builder(name);
    Ok(match place {
        None => builder,
        Some(address) if address.contains(':') => {
            builder.port(0).no_management().members([address]).detection(Duration::from_secs(1))
        }
        Some(offset) => builder.offset(offset.parse()?),
    })
}

/// Firings that nobody could do are made up for, and those that come too early wait.
fn tick(cluster: &Cluster) -> Result<Job, Box<dyn std::error::Error>> {
    let every = std::env::var("EVERY_MS").ok().map(|text| text.parse()).transpose()?;
    let job = cluster
        .job("tick")
        .every(Duration::from_millis(every.unwrap_or(EVERY_MS)))
        .missed(Missed::RunAll(100))
        .overlap(Overlap::Queue(100));
    Ok(job.start(|run: Run| async move {
        let (at, token, attempt) = (run.scheduled(), run.token(), run.attempt());
        say(&format!("begin {at} {token} {attempt}"))?;
        tokio::time::sleep(Duration::from_millis(10)).await;
        say(&format!("end {at} {token} {attempt}"))
    })?)
}

/// A line that has left this process when this returns.
fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    out.flush()
}

/// Returns when nobody gives this process input any more.
async fn ended() {
    let (told, hears) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = told.send(());
    });
    let _ = hears.await;
}
