//! The application of docs/tutorial.md: a queue, a listener, a distributed cache and a daemon.

use std::convert::Infallible;
use std::time::Duration;

use clap::Parser;
use muster_agent::queue::{Received, Sending};
use muster_agent::singleton::{Failure, Term, daemonize};
use muster_agent::{Cache, CacheError, Queue};
use muster_examples::clustered::Node;
use muster_examples::ending::Ending;
use tokio::sync::watch;

/// The key of our counter value.
const VALUE: &str = "value";

/// A daemon that counts on one node of a cluster, and listeners on all of them
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    node: Node,
    /// How long the daemon waits between two messages, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Options { node, every } = Options::parse();
    let mut ending = Ending::new(false)?;
    let cluster = node.join().await?;
    println!("member {} at {}", cluster.me().name, cluster.me().address);

    // Create a message queue
    let queue = cluster.queue("/queue/msg").start()?;

    // Define a consumer for our queue
    let _listener = queue.listen(received);

    // Create a distributed cache to hold our counter value
    let cache = cluster.cache("counters").lookup_or_create()?;

    // Controls the state of our daemon
    let done = watch::Sender::new(false);

    // Our daemon's start function
    let (is_done, every) = (done.clone(), Duration::from_millis(every));
    let start = move |term: Term| {
        // A node that was frozen while another one took over changes nothing any more
        let cache = cache.fenced_by(term.token());
        count(queue.clone(), cache, is_done.clone(), every)
    };

    // Our daemon's stop function
    let stop = move || {
        done.send_replace(true);
        async {}
    };

    // Register the daemon
    daemonize(&cluster, "counter", start, stop)?;

    ending.asked().await;
    cluster.leave().await;
    Ok(())
}

async fn received(number: Received<u64>) -> Result<(), Infallible> {
    let again = if number.is_redelivered() { ", once more" } else { "" };
    println!("received: {}{again}", *number);
    Ok(())
}

async fn count(
    queue: Queue<u64>,
    cache: Cache<String, u64>,
    done: watch::Sender<bool>,
    every: Duration,
) -> Result<(), Failure> {
    done.send_replace(false);
    let mut is_done = done.subscribe();
    while !*is_done.borrow() {
        let i = cache.get(&VALUE.to_owned()).await?.unwrap_or(1);
        println!("sending: {i}");
        // It may be sent again, by whoever comes after us: it counts once
        queue.publish_with(&i, Sending::new().id(i.to_string())).await?;
        match cache.put(&VALUE.to_owned(), &(i + 1)).await {
            // Nobody can say whether it counted: read it again
            Err(CacheError::Unknown) => continue,
            put => put?,
        };
        // Sleep, unless it is done
        let _ = tokio::time::timeout(every, is_done.wait_for(|is_done| *is_done)).await;
    }
    Ok(())
}
