//! The node's own beat.

use std::sync::Arc;
use std::time::Duration;

use muster_cluster::Event;
use tokio::time::{MissedTickBehavior, interval};

use super::shared::Shared;

/// The core wants to hear of the time at least that often.
const BEAT: Duration = Duration::from_millis(50);

/// Beats until the node stops.
pub(crate) async fn beat(shared: Arc<Shared>) {
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = beats.tick() => shared.tell(Event::Tick),
        }
    }
}
