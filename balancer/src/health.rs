//! Lets the registry's time pass, and makes the probes that it orders.

use std::sync::Arc;
use std::time::Duration;

use muster_routing::registry::ProbeOrder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::published::Published;

/// Between two looks at the registry's clock.
const TICK: Duration = Duration::from_millis(250);

/// Between two looks for host names that no node has any more.
const FORGET_NAMES: Duration = Duration::from_secs(60);

/// Runs until it is told to stop. `probes` are those that are under way already.
pub(crate) async fn run(
    published: Arc<Published>,
    mut probes: JoinSet<()>,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut forgetting = tokio::time::interval(FORGET_NAMES);
    loop {
        tokio::select! {
            _ = stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = published.hurried() => {}
            _ = forgetting.tick() => published.forget_names(),
        }
        while probes.try_join_next().is_some() {}
        order(&published, &mut probes);
    }
}

/// Asks each node once, so that those of the configuration file are in use from the start. Waits
/// `within` at most: silent nodes may be many, and what they still have to say comes later, by the
/// probes that it gives.
pub(crate) async fn look_once(published: &Arc<Published>, within: Duration) -> JoinSet<()> {
    let mut probes = JoinSet::new();
    order(published, &mut probes);
    let all = async { while probes.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(within, all).await;
    probes
}

fn order(published: &Arc<Published>, probes: &mut JoinSet<()>) {
    for order in published.change(|registry, now| registry.tick(now)) {
        probes.spawn(probe(published.clone(), order));
    }
}

async fn probe(published: Arc<Published>, order: ProbeOrder) {
    let ProbeOrder { id, address, within } = order;
    let Some(probed) = published.prober().probe_in_turn(&address, within).await else {
        return published.change(|registry, now| registry.not_probed(id, now));
    };
    match published.change(|registry, now| registry.probed(id, probed, now)) {
        Some(true) => tracing::info!(%address, "node is up"),
        Some(false) => tracing::warn!(%address, ?probed, "node is down"),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use muster_protocol::mcmp::parse::parse_within;
    use muster_protocol::mcmp::{Command, Load};
    use muster_routing::health::Timing;
    use muster_routing::{Limits, Moment, Registry};
    use tokio::net::TcpListener;

    use super::*;
    use crate::probe::Prober;

    /// A static node that accepts and says nothing.
    async fn with_a_silent_node(prober: Prober) -> (Arc<Published>, TcpListener) {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let message = format!("JVMRoute=a&Host=127.0.0.1&Port={port}&Type=http");
        let parsed = parse_within("CONFIG", "/", message.as_bytes(), 1024).unwrap();
        let Command::Config(config) = parsed else { panic!("{parsed:?}") };
        let limits = Limits { nodes: 1, contexts: 1, gone: 1 };
        let mut registry = Registry::new(limits, Timing::default(), false);
        registry.add_static(*config, Load::from_number(50).unwrap(), Moment::ZERO).unwrap();
        (Arc::new(Published::new(registry, prober, 1)), silent)
    }

    #[tokio::test]
    async fn the_first_look_does_not_wait_for_silent_nodes_and_goes_on_behind() {
        // So long that only an answer ends the probe.
        let prober = Prober::new(Duration::from_secs(3600));
        let (published, silent) = with_a_silent_node(prober).await;
        let mut probes = look_once(&published, Duration::from_millis(50)).await;
        assert_eq!(probes.len(), 1);
        drop(silent);
        probes.join_next().await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_node_whose_probe_found_nothing_out_is_asked_again_and_stands_as_before() {
        let (published, _silent) = with_a_silent_node(Prober::default()).await;
        let later = Timing::default().revive_interval;
        published.change(|registry, _| {
            let orders = registry.tick(Moment::ZERO);
            let before = registry.rows(Moment::ZERO);
            assert_eq!(registry.tick(later), []);
            registry.not_probed(orders[0].id, Moment::ZERO);
            assert_eq!(registry.rows(Moment::ZERO).nodes[0].load, before.nodes[0].load);
            assert_eq!(registry.tick(later), orders);
        });
    }
}
