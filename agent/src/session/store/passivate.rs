//! The least recently used sessions that this member leads go to the store when it keeps too many.

use std::collections::{BTreeMap, HashMap};
use std::sync::Weak;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use muster_grid::Bytes;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::manager::{Inner, Sessions};
use super::super::plan::{self, Parsed};
use super::Saving;
use super::activate::left;
use super::duties::Duty;
use super::keeper::{Keeper, one};
use super::record::record;
use super::through::text;
use crate::checkouts::Checkouts;
use crate::engine::map::{Change, Changes, Cursor, Kind};

/// Sessions that go at the same time.
const AT_ONCE: usize = 8;
/// Sessions that go before the count is taken anew.
const ROUND: usize = 64;
/// The count is taken so often at most, while sessions change: it looks at all that is there.
const PACE: Duration = Duration::from_millis(50);
/// Sessions that this member came to lead without a change are looked for so often at most.
const SCAN_EVERY: Duration = Duration::from_secs(30);

/// Sessions in the order of their last change.
#[derive(Default)]
struct Recent {
    order: BTreeMap<u64, Bytes>,
    places: HashMap<Bytes, u64>,
    next: u64,
}

/// What became of one.
enum Went {
    Yes,
    /// It is in use, or another's by now.
    Not,
    /// The store does not take it.
    NoStore,
}

// === impl Recent ===

impl Recent {
    /// It is the last one used.
    fn used(&mut self, id: Bytes) {
        self.gone(&id);
        self.next += 1;
        self.places.insert(id.clone(), self.next);
        self.order.insert(self.next, id);
    }

    fn gone(&mut self, id: &Bytes) {
        if let Some(place) = self.places.remove(id) {
            self.order.remove(&place);
        }
    }

    fn oldest(&self, most: usize) -> Vec<Bytes> {
        self.order.values().take(most).cloned().collect()
    }

    fn follow(&mut self, change: Change) {
        if &*change.key != plan::METADATA {
            return;
        }
        match change.kind {
            Kind::Created(_) | Kind::Changed(_) => self.used(change.group),
            Kind::Removed(_) | Kind::Expired(_) => self.gone(&change.group),
        }
    }
}

/// Keeps no more in memory than `most`, until the sessions are dropped or stopped.
pub(in super::super) async fn follow(
    sessions: Weak<Inner>,
    most: usize,
    mut changes: Changes,
    closed: CancellationToken,
) {
    let (mut recent, mut scanned) = (Recent::default(), None::<Instant>);
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = closed.cancelled() => return,
            // The store may take by now what it did not.
            () = tokio::time::sleep(SCAN_EVERY) => Err(RecvError::Lagged(0)),
        };
        match change {
            Ok(change) => recent.follow(change),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(PACE) => {}
            () = closed.cancelled() => return,
        }
        loop {
            match changes.try_recv() {
                Ok(change) => recent.follow(change),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let Some(sessions) = Sessions::upgrade(&sessions) else { return };
        shrink(&sessions, most, &mut recent, &mut scanned).await;
    }
}

/// Lets sessions go until there are no more than `most`, none is left that could go, or the store
/// takes none.
async fn shrink(
    sessions: &Sessions,
    most: usize,
    recent: &mut Recent,
    scanned: &mut Option<Instant>,
) {
    let Some(keeper) = &sessions.inner.keeper else { return };
    loop {
        let there = usize::try_from(sessions.inner.map.stats().groups).unwrap_or(usize::MAX);
        let Some(excess) = there.checked_sub(most).filter(|excess| *excess > 0) else { return };
        let victims = recent.oldest(excess.min(ROUND));
        if victims.is_empty() {
            if scanned.is_some_and(|at| at.elapsed() < SCAN_EVERY) {
                return;
            }
            *scanned = Some(Instant::now());
            scan(sessions, recent).await;
            if recent.order.is_empty() {
                return;
            }
            continue;
        }
        let (mut gone, mut takes) = (0, true);
        let mut all = stream::iter(victims)
            .map(|id| async move {
                let went = passivate(sessions, keeper, &id).await;
                (id, went)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((id, went)) = all.next().await {
            match went {
                Went::Yes => {
                    recent.gone(&id);
                    gone += 1;
                }
                Went::Not if sessions.inner.leads(&id) => recent.used(id),
                Went::Not => {
                    recent.gone(&id);
                    gone += 1;
                }
                Went::NoStore => takes = false,
            }
        }
        if gone == 0 || !takes {
            return;
        }
    }
}

/// Finds what this member leads and has seen no change of.
async fn scan(sessions: &Sessions, recent: &mut Recent) {
    let mut cursor = Some(Cursor::default());
    while let Some(place) = cursor {
        let Ok(page) = sessions.inner.map.scan(place).await else { return };
        for (id, _) in page.groups {
            if sessions.inner.leads(&id) && !recent.places.contains_key(&id) {
                recent.used(id);
            }
        }
        cursor = page.next;
    }
}

/// One session goes to the store, and out of memory. Where anything is not as it should be it stays.
async fn passivate(sessions: &Sessions, keeper: &Keeper, id: &Bytes) -> Went {
    // Whoever waits for it is about to use it.
    let checkouts = Checkouts { wait: Duration::ZERO, ..sessions.checkouts() };
    if !sessions.inner.leads(id) {
        return Went::Not;
    }
    let Ok(held) = checkouts.check_out(id).await else { return Went::Not };
    let Ok(Some(Parsed { mut metadata, attributes, .. })) = plan::parse_group(held.entries())
    else {
        return Went::Not;
    };
    let Some(left) = left(metadata.ends_ms()) else { return Went::Not };
    // Before the store has it: whoever ends the session must know that it may be there. Under a
    // version of its own, so that what the store is told of this try is never meant of the next.
    metadata.is_stored = true;
    metadata.version += 1;
    let marked = checkouts.keep(held, vec![plan::alive_for(&metadata, left)]).await;
    let Ok(held) = marked else { return Went::Not };
    match keeper.save(&text(id), &record(&metadata, &attributes, metadata.ends_ms())).await {
        Ok(Saving::Saved) => {}
        // Another cluster has it: the next commit finds out, or its time is over.
        Ok(Saving::Behind { .. } | Saving::Ended | Saving::Late) => return Went::Not,
        Err(_) if keeper.writes_through() => return Went::NoStore,
        Err(_) => {
            // It may have been saved all the same: an old copy, as soon as the session goes on.
            keeper.duties.add(id, Duty::Take { version: metadata.version });
            return Went::NoStore;
        }
    }
    let ops = plan::remove(held.entries());
    let removed = checkouts.commit(held, ops, |now| now.entries.is_empty());
    if removed.await.is_err() {
        return Went::Not;
    }
    one(&keeper.counted.passivated);
    if let Some(events) = &sessions.inner.events {
        events.passivated(text(id));
    }
    Went::Yes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_goes_last() {
        let mut recent = Recent::default();
        let id = |name: &str| Bytes::from(name.as_bytes());
        for name in ["a", "b", "c", "a", "d"] {
            recent.used(id(name));
        }
        recent.gone(&id("d"));
        assert_eq!(recent.oldest(9), [id("b"), id("c"), id("a")]);
        assert_eq!(recent.oldest(1), [id("b")]);
    }
}
