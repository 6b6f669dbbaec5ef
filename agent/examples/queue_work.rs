//! Work that the members of a cluster give each other by a queue: each publishes and handles some.
//!
//! ```sh
//! cargo run --example queue_work -- one            # in one shell
//! cargo run --example queue_work -- two 100        # in another: the offset of its ports
//! ```
//! Both say what they have sent and what they got. Kill one: what was sent is got all the same, and what
//! it had comes again, marked by its try. The end of its input ends a process in order.
#![allow(clippy::print_stdout, reason = "an example speaks")]

use std::io::Write as _;
use std::time::Duration;

use muster_agent::queue::Received;
use muster_agent::{Cluster, ClusterBuilder, Queue};
use tokio_util::sync::CancellationToken;

/// Pause between two messages of a producer, in milliseconds, where the environment says nothing else.
const EVERY_MS: u64 = 1000;
/// Producers, likewise.
const PRODUCERS: u64 = 1;
/// Bytes that go with each message.
const BYTES: usize = 1024;

/// A message: its name, and as much as work usually is.
type Work = (String, Vec<u8>);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "one".to_owned());
    let cluster = builder(&name, arguments.next().as_deref())?.join().await?;
    let queue = cluster.queue::<Work>("/queue/work").start()?;
    let listener = queue.listener().concurrency(4).credits(16).start(handle);
    let (every, producers) = (of_environment("EVERY_MS", EVERY_MS)?, PRODUCERS);
    let (stop, mut producing) = (CancellationToken::new(), tokio::task::JoinSet::new());
    for number in 0..of_environment("PRODUCERS", producers)? {
        let (queue, stop) = (queue.clone(), stop.clone());
        let every = Duration::from_millis(every);
        producing.spawn(produce(queue, format!("{name}-{number}"), every, stop));
    }
    say(&format!("{name} is in the cluster"))?;
    ended().await;
    stop.cancel();
    producing.join_all().await;
    listener.stop().await;
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

fn of_environment(name: &str, default: u64) -> Result<u64, std::num::ParseIntError> {
    std::env::var(name).map_or(Ok(default), |text| text.parse())
}

/// Publishes one message after the other, and says which are there for certain.
async fn produce(queue: Queue<Work>, name: String, every: Duration, stop: CancellationToken) {
    let mut number = 0_u64;
    while !stop.is_cancelled() {
        let work = (format!("{name}-{number}"), vec![7; BYTES]);
        number += 1;
        let told = match queue.publish(&work).await {
            Ok(()) => say(&format!("sent {}", work.0)),
            Err(error) => say(&format!("perhaps {}: {error}", work.0)),
        };
        if told.is_err() {
            return;
        }
        tokio::time::sleep(every).await;
    }
}

async fn handle(work: Received<Work>) -> std::io::Result<()> {
    say(&format!("got {} {}", work.0, work.tries()))
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
