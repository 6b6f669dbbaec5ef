//! Tells of messages that became dead letters: in the log, and as events of the cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use muster_protocol::cluster::events::EventKind;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::engine::Engine;
use crate::events::Events;

/// How often homes are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A queue is spoken of no more often: of many dead letters at once.
const PAUSE: Duration = Duration::from_secs(60);

/// What was told of a queue whose home this is.
#[derive(Debug, Clone, Copy)]
struct Known {
    buried: u64,
    told: Option<Instant>,
}

/// Tells until `closed`.
pub(crate) fn tell_dead(events: &Events, engine: &Arc<dyn Engine>, closed: CancellationToken) {
    let (events, engine) = (events.clone(), Arc::downgrade(engine));
    tokio::spawn(async move {
        let mut known = BTreeMap::new();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = closed.cancelled() => return,
                now = looks.tick() => {
                    let Some(buried) = buried(&engine) else { return };
                    for (queue, count) in news(&mut known, buried, now) {
                        warn!(queue, count, "messages were delivered too often: they are dead letters");
                        events.warn(EventKind::Queue, words(&queue, count));
                    }
                }
            }
        }
    });
}

/// Messages that became dead letters, by the queues whose home this is.
fn buried(engine: &Weak<dyn Engine>) -> Option<BTreeMap<String, u64>> {
    let queues = engine.upgrade()?.queues();
    let led = queues.iter().filter_map(|queue| Some((queue, queue.led()?)));
    Some(led.map(|(queue, stats)| (queue.spec().name.clone(), stats.buried)).collect())
}

/// What is to be told now, and is known from now on.
fn news(
    known: &mut BTreeMap<String, Known>,
    buried: BTreeMap<String, u64>,
    now: Instant,
) -> Vec<(String, u64)> {
    known.retain(|queue, _| buried.contains_key(queue));
    let mut news = Vec::new();
    for (queue, buried) in buried {
        let of = known.entry(queue.clone()).or_insert(Known { buried: 0, told: None });
        // A home that begins anew counts from nothing.
        of.buried = of.buried.min(buried);
        let may_tell = of.told.is_none_or(|told| now >= told + PAUSE);
        if buried > of.buried && may_tell {
            news.push((queue, buried - of.buried));
            *of = Known { buried, told: Some(now) };
        }
    }
    news
}

fn words(queue: &str, count: u64) -> String {
    match count {
        1 => format!("{queue} has a dead letter: a message that was delivered too often"),
        count => format!("{queue} has {count} more dead letters: messages delivered too often"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_are_told_once_and_many_of_them_together() {
        let (mut known, start) = (BTreeMap::new(), Instant::now());
        let mut told = |buried: u64, after: u64| {
            let all = BTreeMap::from([("/q".to_owned(), buried)]);
            let news = news(&mut known, all, start + Duration::from_secs(after));
            news.first().map(|(_, count)| *count)
        };
        assert_eq!([told(0, 0), told(1, 1), told(1, 2)], [None, Some(1), None]);
        assert_eq!([told(5, 3), told(9, 60), told(9, 61)], [None, None, Some(8)]);
        // Another home counts from nothing.
        assert_eq!([told(2, 100), told(3, 130)], [None, Some(1)]);
    }
}
