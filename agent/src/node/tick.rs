//! The node's own beat: time passes for the core and for the failure detector.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use muster_cluster::{Event as About, MemberId, NodeId};
use muster_grid::Event;
use tokio::time::{MissedTickBehavior, interval};
use tracing::info;

use super::FrameHandler;
use super::inner::Flush;
use super::shared::Shared;
use crate::channel::hello::Lane;
use crate::channel::service;
use crate::failure::Verdict;

/// The core wants to hear of the time at least that often.
const BEAT: Duration = Duration::from_millis(50);

/// Beats until the node stops.
pub(crate) async fn beat(shared: Arc<Shared>) {
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = beats.tick() => shared.beat(),
        }
    }
}

/// Takes the failure detector's datagrams.
pub(crate) struct Probed(pub(crate) Weak<Shared>);

impl FrameHandler for Probed {
    fn frame(&self, _from: MemberId, _id: u64, payload: Bytes) {
        let Some(shared) = self.0.upgrade() else { return };
        let datagrams = shared.detector.lock().heard(&payload);
        shared.send_probes(datagrams);
    }
}

impl Shared {
    fn beat(self: &Arc<Self>) {
        let watched = self.watched();
        let said = self.detector.lock().beat(self.now(), &watched);
        self.send_probes(said.datagrams);
        self.with(Flush::Now, |inner, now| {
            for verdict in &said.verdicts {
                let event = self.believe(*verdict);
                inner.core.handle(Event::Cluster(event), now);
            }
            inner.core.handle(Event::Cluster(About::Tick), now);
        });
        for verdict in said.verdicts {
            if let Verdict::Suspect(life) = verdict {
                self.links.give_up(life);
            }
        }
    }

    /// The lives that the failure detector watches, with how often something was read from each.
    fn watched(&self) -> BTreeMap<MemberId, u64> {
        let (nodes, view) = {
            let inner = self.inner.lock();
            let membership = inner.core.membership();
            (membership.watched(), membership.view().cloned())
        };
        let linked: BTreeMap<NodeId, (MemberId, u64)> = (self.links.heard().into_iter())
            .map(|heard| (heard.life.node, (heard.life, heard.reads)))
            .collect();
        let of_view = |node| view.as_ref().and_then(|view| view.member(node)).map(|m| (m.id, 0));
        let watched = |node: NodeId| linked.get(&node).copied().or_else(|| of_view(node));
        nodes.into_iter().filter_map(watched).collect()
    }

    fn believe(&self, verdict: Verdict) -> About {
        match verdict {
            Verdict::Suspect(life) => {
                self.numbers.suspicions.fetch_add(1, Ordering::Relaxed);
                info!(%life, "suspected: nothing is heard from it");
                About::Suspect(life)
            }
            Verdict::Alive(life) => {
                info!(%life, "heard again");
                About::Alive(life)
            }
        }
    }

    fn send_probes(&self, datagrams: Vec<(NodeId, Vec<u8>)>) {
        for (to, datagram) in datagrams {
            let write = |_: u8, buffer: &mut Vec<u8>| buffer.extend_from_slice(&datagram);
            // A probe that does not go out is one that is not answered.
            if let Ok(Some(conn)) = self.links.send(to, Lane::Calls, service::FAILURE, 0, write) {
                conn.out.flush();
            }
        }
    }
}
