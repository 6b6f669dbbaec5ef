//! A session that the members have not and the store has.

use std::sync::atomic::Ordering;
use std::time::Duration;

use muster_grid::Bytes;

use super::super::error::SessionError;
use super::super::manager::Sessions;
use super::super::plan;
use super::super::read::ReadSession;
use super::duties::{Done, Duty};
use super::keeper::keep;
use super::record::session;
use super::through::{not_done, text};
use crate::checkouts::Held;
use crate::engine::map::{MapError, Read};
use crate::wall;

/// Brings a session back to the members, under the checkout of the group in which nothing is: so one
/// request does it, and the others find it. None where the store has none.
///
/// # Errors
/// [`SessionError::NoStore`]: nobody knows whether there is one.
pub(in super::super) async fn activate(
    sessions: &Sessions,
    held: Held,
) -> Result<Option<Held>, SessionError> {
    let Some(keeper) = &sessions.inner.keeper else { return Ok(None) };
    let id = held.group().clone();
    let Some(record) = keeper.load(&text(&id)).await.map_err(|_| SessionError::NoStore)? else {
        return Ok(None);
    };
    let (mut metadata, attributes) = session(&record).map_err(SessionError::Unreadable)?;
    let Some(left) = left(record.ends_ms) else { return Ok(None) };
    metadata.is_stored = true;
    let granularity = sessions.inner.settings.granularity;
    let ops = plan::bring(&metadata, &attributes, granularity, left);
    let put = sessions.checkouts().keep(held, ops).await;
    let leaves = !keeper.writes_through();
    if leaves && matches!(put, Ok(_) | Err(MapError::Unknown)) {
        let taken = match put {
            Ok(_) => {
                keeper.take(&text(&id), metadata.version, keep(metadata.max_inactive)).await.is_ok()
            }
            Err(_) => false,
        };
        if !taken {
            keeper.duties.add(&id, Duty::Take { version: metadata.version });
        }
    }
    let held = put?;
    keeper.counted.loads.fetch_add(1, Ordering::Relaxed);
    if let Some(events) = &sessions.inner.events {
        events.activated(text(&id));
    }
    Ok(Some(held))
}

/// A session as it is in the store: a look that changes nothing.
pub(in super::super) async fn look(
    sessions: &Sessions,
    id: &[u8],
) -> Result<Option<ReadSession>, SessionError> {
    let Some(keeper) = &sessions.inner.keeper else { return Ok(None) };
    let id = text(id);
    let Some(record) = keeper.load(&id).await.map_err(|_| SessionError::NoStore)? else {
        return Ok(None);
    };
    let (metadata, attributes) = session(&record).map_err(SessionError::Unreadable)?;
    Ok(left(record.ends_ms).map(|_| ReadSession { id, metadata, attributes }))
}

/// What a session has left of its time; none when it has nothing left.
pub(super) fn left(ends_ms: Option<u64>) -> Option<Option<Duration>> {
    match ends_ms {
        None => Some(None),
        Some(ends) => {
            let left = ends.saturating_sub(wall::ms());
            (left > 0).then(|| Some(Duration::from_millis(left)))
        }
    }
}

/// The record of a session that came back leaves the store, when the members really have it.
/// It is of an earlier version than any that could go to the store by now.
pub(super) async fn take_again(sessions: &Sessions, id: &Bytes, version: u64) -> Done {
    let Some(keeper) = &sessions.inner.keeper else { return Done::Yes };
    let entries = match sessions.inner.map.get(id, Read::Confirmed).await {
        Ok(entries) => entries,
        Err(MapError::Closed) => return Done::Yes,
        Err(_) => return Done::NotYet,
    };
    let Ok(Some(parsed)) = plan::parse_group(&entries) else { return Done::Yes };
    match keeper.take(&text(id), version, keep(parsed.metadata.max_inactive)).await {
        Ok(()) => Done::Yes,
        Err(error) => not_done(&error),
    }
}
