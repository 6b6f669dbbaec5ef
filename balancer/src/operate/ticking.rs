//! Lets time pass for drains, and writes down what nobody asked for: drains that end, nodes that
//! are forgotten.

use std::sync::Arc;
use std::time::Duration;

use muster_routing::drain::{Drain, Phase};
use tokio_util::sync::CancellationToken;

use super::{Operators, wall_ms, words};
use crate::audit::{Entry, Kind};

/// Between two looks at drains.
const TICK: Duration = Duration::from_millis(250);

/// Runs until it is told to stop.
pub(crate) async fn run(operators: Arc<Operators>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.cancelled() => return,
            _ = ticks.tick() => operators.tick(),
        }
    }
}

impl Operators {
    /// Time has passed.
    pub(crate) fn tick(&self) {
        let (wall, quiet) = (wall_ms(), self.quiet_ms());
        let (drains, forgotten) = self.published().change(|registry, now| {
            (registry.tick_drains(quiet, wall, now), registry.take_forgotten())
        });
        for drain in drains {
            self.audit().record(told(&drain));
        }
        for route in forgotten {
            let entry = Entry::new(Kind::Balancer, "health", "forget", &format!("node {route}"));
            self.audit().record(entry.why("it was down, or silent since it came, for too long"));
        }
    }
}

fn told(drain: &Drain) -> Entry {
    let target = words::target(&drain.subject);
    let left = match drain.left.sessions {
        Some(sessions) => format!("{} requests and {sessions} sessions", drain.left.requests),
        None => format!("{} requests", drain.left.requests),
    };
    let (verb, why) = match drain.phase {
        Phase::Draining => ("drain", left),
        Phase::Stopping(end) => ("drain_stops", format!("{}: {left} left", end.word())),
        Phase::Ended(end) => {
            ("drain_ended", format!("{}: {left} left, {} lost", end.word(), drain.lost))
        }
    };
    tracing::info!(%target, by = %drain.by, verb, %why, "a drain");
    Entry::new(Kind::Balancer, "drain", verb, &target).why(why)
}
