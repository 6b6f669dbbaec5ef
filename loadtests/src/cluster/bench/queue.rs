//! Messages through a queue of three processes: ours, and NATS JetStream with three replicas.
//!
//! Two producers publish with some publications under way each, four consumers acknowledge each
//! message. The rate is that of all messages from the first publication to the last one handled; the
//! latency is that of a publication until it is acknowledged.

use std::time::{Duration, Instant};

use super::figure::{Figure, Table};
use crate::cluster::words::Ask;
use crate::cluster::{Herd, Plan, QueueWork, cpu};
use crate::testkit::eventually;

/// Publications under way at a time, of each of the two producers.
pub const CALLERS: usize = 32;
/// More than a turn takes.
const PATIENCE: Duration = Duration::from_secs(300);
/// Members, and consumers of each.
const CONSUMERS: [usize; 3] = [1, 1, 2];
const NAME: &str = "/queue/bench";

/// A turn's figure: of so many messages that took so long, with the latencies of publications and
/// the processor time of all.
pub(super) fn figure(published: Figure, count: u64, took: Duration, used: Duration) -> Figure {
    Figure {
        per_second: count as f64 / took.as_secs_f64().max(1e-9),
        cpu_us: used.as_secs_f64() * 1e6 / count.max(1) as f64,
        count,
        ..published
    }
}

/// Measures ours, so many turns of so many messages.
///
/// # Errors
/// When something does not start or does not answer.
pub async fn run(table: &mut Table, messages: u64, size: usize, turns: u32) -> anyhow::Result<()> {
    let queue = CONSUMERS.map(|consumers| QueueWork {
        name: NAME.into(),
        consumers,
        ..QueueWork::default()
    });
    let herd = Herd::gather(Plan { count: 3, queue: queue.to_vec(), ..Plan::default() }).await?;
    // What has just come together is warm after some messages.
    turn(&herd, messages / 10, size).await?;
    for _ in 0..turns {
        let figure = turn(&herd, messages, size).await?;
        table.note("ours, 2 owners", figure);
    }
    Ok(())
}

async fn turn(herd: &Herd, messages: u64, size: usize) -> anyhow::Result<Figure> {
    let pids = herd.pids();
    let (before, used, began) = (handled(herd).await?, cpu::used(&pids), Instant::now());
    let ask =
        Ask::Publish { queue: NAME.to_owned(), count: messages / 2, callers: CALLERS, bytes: size };
    let publish = |at: usize| herd.members[at].value(&ask, PATIENCE);
    let (first, second) = tokio::try_join!(publish(0), publish(1)).map_err(anyhow::Error::msg)?;
    let wanted = before + messages / 2 * 2;
    eventually("all messages are handled", PATIENCE, || async {
        let handled = handled(herd).await.map_err(|error| error.to_string())?;
        if handled >= wanted { Ok(()) } else { Err(format!("{handled} of {wanted}")) }
    })
    .await?;
    let (took, used) = (began.elapsed(), cpu::used(&pids).saturating_sub(used));
    let (first, second): (Figure, Figure) =
        (serde_json::from_value(first)?, serde_json::from_value(second)?);
    let slower = if first.p50_us > second.p50_us { first } else { second };
    Ok(figure(slower, wanted - before, took, used))
}

/// How many messages all members have handled.
async fn handled(herd: &Herd) -> anyhow::Result<u64> {
    let mut sum = 0;
    for member in &herd.members {
        let value = member.value(&Ask::Handled, PATIENCE).await.map_err(anyhow::Error::msg)?;
        sum += value.as_u64().unwrap_or_default();
    }
    Ok(sum)
}
