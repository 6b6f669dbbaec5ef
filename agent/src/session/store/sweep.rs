//! Sessions whose time is over in the store and that no member has: one member of the cluster ends
//! them, in pages, and tells of them.

use std::sync::Weak;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::super::events::End;
use super::super::manager::{Inner, Sessions};
use super::super::plan;
use super::super::plan::Parsed;
use super::keeper::{Keeper, keep};
use super::record::session;
use super::{Ending, SessionRecord};
use crate::engine::leases::Lease;
use crate::engine::map::Read;

/// Sessions of one page.
const PAGE: usize = 128;
/// Pages of one sweep at most: more are for the next.
const MOST_PAGES: usize = 256;

/// Sweeps now and then, where this member has the lease, until the sessions are dropped or stopped.
pub(in super::super) async fn follow(
    sessions: Weak<Inner>,
    every: Duration,
    closed: CancellationToken,
) {
    let mut held: Option<Lease> = None;
    loop {
        tokio::select! {
            () = closed.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let Some(sessions) = Sessions::upgrade(&sessions) else { return };
        if !held.as_ref().is_some_and(Lease::is_held) {
            let name = format!("web/{}/sweep", sessions.application());
            held = sessions.inner.engine.leases().campaign(&name, Duration::ZERO).await.ok();
        }
        if let Some(lease) = &held {
            sweep(&sessions, lease).await;
        }
    }
}

async fn sweep(sessions: &Sessions, lease: &Lease) {
    let Some(keeper) = &sessions.inner.keeper else { return };
    let mut kept = 0;
    for _ in 0..MOST_PAGES {
        let Ok(page) = keeper.over(kept, PAGE).await else { return };
        for (id, version) in &page {
            match end(sessions, keeper, id, *version).await {
                Some(true) => {}
                Some(false) => kept += 1,
                None => return,
            }
        }
        if page.len() < PAGE || !lease.is_held() {
            break;
        }
    }
    for _ in 0..MOST_PAGES {
        if !matches!(keeper.forget(PAGE).await, Ok(PAGE)) {
            return;
        }
    }
}

/// Ends a session in the store, unless the members have it: then the store has an old copy, and is
/// told. Whether it ended; none when nobody knows.
async fn end(sessions: &Sessions, keeper: &Keeper, id: &str, version: u64) -> Option<bool> {
    let there = sessions.inner.map.get(id.as_bytes(), Read::Confirmed).await.ok()?;
    if !there.entries.is_empty() {
        super::through::save_later(sessions, &id.as_bytes().into());
        return Some(false);
    }
    match keeper.end(id, version, keep(Some(Duration::ZERO))).await.ok()? {
        Ending::Now(record) => told(sessions, id, &record),
        Ending::Before | Ending::Absent | Ending::Later => {}
    }
    Some(true)
}

/// Tells listeners what it was.
fn told(sessions: &Sessions, id: &str, record: &SessionRecord) {
    match session(record) {
        Ok((metadata, attributes)) => {
            let was = Parsed { metadata, attributes, form: plan::Form::default() };
            sessions.inner.over(id.as_bytes(), was, End::Expired);
        }
        Err(error) => {
            let application = sessions.application();
            tracing::warn!(%error, application, "a session that has ended cannot be read");
        }
    }
}
