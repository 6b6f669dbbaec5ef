//! Sessions whose time is over: the primary's engine ends them, and here it is counted and told.

use std::collections::HashMap;
use std::sync::Weak;

use muster_grid::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::events::End;
use super::manager::Inner;
use super::plan;
use crate::engine::map::{Change, Changes, Kind};

/// Sessions of which some entries were told and the last one not yet, at most. The engine tells all
/// of one in a row, so that there are few.
const MOST_BEGUN: usize = 1024;

/// Follows what expires until the sessions are dropped or stopped.
pub(super) async fn follow(sessions: Weak<Inner>, mut changes: Changes, closed: CancellationToken) {
    let mut begun: HashMap<Bytes, Vec<(Bytes, Bytes)>> = HashMap::new();
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = closed.cancelled() => return,
        };
        let Some(inner) = sessions.upgrade() else { return };
        match change {
            Ok(Change { group, key, kind: Kind::Expired(was), .. }) => {
                if begun.len() >= MOST_BEGUN {
                    begun.clear();
                }
                let is_last = &*key == plan::METADATA;
                begun.entry(group.clone()).or_default().push((key, was));
                if is_last && let Some(entries) = begun.remove(&group) {
                    let entries = entries.iter().map(|(key, was)| (key, was));
                    inner.ended(&group, entries, End::Expired);
                }
            }
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => {
                begun.clear();
                let application = &inner.application;
                tracing::warn!(missed, application, "ends of sessions were not told to listeners");
            }
            Err(RecvError::Closed) => return,
        }
    }
}
