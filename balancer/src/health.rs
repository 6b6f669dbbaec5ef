//! Lets the registry's time pass, and makes the probes that it orders.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use muster_routing::registry::ProbeOrder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::published::Published;

/// Between two looks at the registry's clock.
const TICK: Duration = Duration::from_millis(250);

/// Runs until it is told to stop.
pub(crate) async fn run(published: Arc<Published>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut probes = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        while probes.try_join_next().is_some() {}
        for order in published.change(|registry, now| registry.tick(now)) {
            probes.spawn(probe(published.clone(), order));
        }
    }
}

/// Asks each node once, so that those of the configuration file are in use from the start.
pub(crate) async fn look_once(published: &Arc<Published>) {
    let orders = published.change(|registry, now| registry.tick(now));
    join_all(orders.into_iter().map(|order| probe(published.clone(), order))).await;
}

async fn probe(published: Arc<Published>, order: ProbeOrder) {
    let probed = published.prober().probe(&order.address, order.within).await;
    let turned = published.change(|registry, now| registry.probed(order.id, probed, now));
    if let Some(is_up) = turned {
        let address = order.address;
        match is_up {
            true => tracing::info!(%address, "node is back"),
            false => tracing::warn!(%address, ?probed, "node is down"),
        }
    }
}
