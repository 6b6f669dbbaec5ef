//! Who reads the counters for the history, at each tick. It reads the table that requests read,
//! without the registry's lock: many nodes hold up nobody.

use std::sync::PoisonError;

use muster_protocol::names::Route;
use muster_routing::node::Node;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::history::{Counts, Shared, TICK};
use crate::metrics::Metrics;
use crate::published::Published;

/// Reads until it is told to stop.
pub(super) async fn run(
    published: std::sync::Arc<Published>,
    metrics: std::sync::Arc<Metrics>,
    history: Shared,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = stop.cancelled() => return,
            _ = ticks.tick() => read(&published, &metrics, &history),
        }
    }
}

pub(super) fn read(published: &Published, metrics: &Metrics, history: &Shared) {
    let table = published.table();
    let nodes = table.nodes().map(|node| (node.config.route.clone(), counts(node)));
    let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
    history.tick(metrics.traffic(), nodes.collect::<Vec<(Route, Counts)>>());
}

fn counts(node: &Node) -> Counts {
    // A context that has several host names is counted once.
    let mut slots: Vec<_> = node.contexts.iter().map(|(_, _, slot)| slot).collect();
    slots.sort_by_key(|slot| std::sync::Arc::as_ptr(slot));
    slots.dedup_by_key(|slot| std::sync::Arc::as_ptr(slot));
    let failed: u64 = slots.iter().map(|slot| slot.answers()).map(|a| a[0] + a[5]).sum();
    Counts {
        requests: node.live.elected(),
        errors: failed,
        bytes: node.live.read().saturating_add(node.live.transferred()),
        in_flight: node.live.in_flight(),
    }
}
