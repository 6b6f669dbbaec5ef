//! Writes what a request has changed, and finds out what became of a write whose answer was lost.

use muster_grid::batch::Entries;
use muster_grid::{Bytes, Op};

use super::error::SessionError;
use super::manager::Sessions;
use super::plan;
use super::request::{Finished, Held, Open};
use crate::engine::map::{Batch, Checkout, Ending, MapError};

/// How often a commit that was cut off by a view change is tried again.
const TRIES: u32 = 3;

/// Ends a request.
pub(super) async fn commit(
    sessions: &Sessions,
    mut open: Open,
    was_asked: bool,
) -> Result<Finished, SessionError> {
    let granularity = sessions.inner.settings.granularity;
    open.metadata.commit = rand::random();
    let (found, id) = (open.found.take(), open.id.take());
    let stays = matches!((&found, &id), (Some(held), Some(id)) if held.checkout.group == *id);
    if let (true, Some(held)) = (stays, found.as_ref()) {
        let ops = plan::write(&open.metadata, &open.attributes, granularity, false)?;
        let checkout = held.checkout.clone();
        write_under(sessions, checkout, ops, Some(open.metadata.commit)).await?;
        return Ok(Finished::Same(text(&held.checkout.group)));
    }
    let is_new = id.is_some();
    if let Some(id) = &id {
        // First the new, then the old: what is in between is there twice, and never not at all.
        let ops = plan::write(&open.metadata, &open.attributes, granularity, true)?;
        create(sessions, id, ops, open.metadata.commit).await?;
    }
    let was_there = found.is_some();
    if let Some(Held { checkout }) = found {
        let ops = plan::remove(&checkout.entries);
        write_under(sessions, checkout, ops, None).await?;
    }
    Ok(match id {
        Some(id) if is_new => Finished::New(text(&id)),
        _ if was_there => Finished::Ended,
        _ => Finished::None { was_asked },
    })
}

/// Writes a session under an id that nobody knows yet.
async fn create(
    sessions: &Sessions,
    id: &Bytes,
    ops: Vec<Op>,
    commit: u64,
) -> Result<(), SessionError> {
    let map = &sessions.inner.map;
    for _ in 0..TRIES {
        match map.write(Batch::new(id, ops.clone())).await {
            Ok(_) => return Ok(()),
            Err(MapError::Unknown) => {}
            // An earlier try has stood after all.
            Err(MapError::Conflict { .. }) => {
                let there = map.get(id, Default::default()).await?;
                return if plan::is_of(&there, commit) { Ok(()) } else { Err(SessionError::Lost) };
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(SessionError::Unknown)
}

/// Writes under a checkout and ends it. When the owner died meanwhile, the checkout died with it:
/// then it is taken again, and the write goes on only where nobody has written in between, and
/// this member has been in the view all the while. A member that was frozen or cut off is not: its
/// clients were served elsewhere.
async fn write_under(
    sessions: &Sessions,
    mut checkout: Checkout,
    ops: Vec<Op>,
    commit: Option<u64>,
) -> Result<(), SessionError> {
    let inner = &sessions.inner;
    let life = inner.engine.group().local().id;
    for _ in 0..TRIES {
        let seen = checkout.entries.clone();
        let error = match inner.map.commit(&mut checkout, ops.clone(), Ending::Release).await {
            Ok(_) => return Ok(()),
            Err(error @ (MapError::Fenced | MapError::Unknown)) => error,
            Err(error) => return Err(error.into()),
        };
        if inner.engine.group().local().id != life {
            return Err(error.into());
        }
        let group = checkout.group.clone();
        let (wait, hold) = (inner.settings.lock_wait, inner.settings.longest_request);
        checkout = inner.map.checkout(&group, wait, hold).await?;
        if has_stood(&checkout.entries, commit) {
            sessions.give_back(checkout);
            return Ok(());
        }
        if values(&checkout.entries) != values(&seen) {
            sessions.give_back(checkout);
            return Err(SessionError::Lost);
        }
    }
    sessions.give_back(checkout);
    Err(SessionError::Unknown)
}

/// Whether what is there is what was to be written: by its commit, or nothing for a removal.
fn has_stood(entries: &Entries, commit: Option<u64>) -> bool {
    match commit {
        Some(commit) => plan::is_of(entries, commit),
        None => entries.entries.is_empty(),
    }
}

/// Entries by their values: revisions may differ after a merge.
fn values(entries: &Entries) -> Vec<(&Bytes, &Bytes)> {
    entries.entries.iter().map(|(key, (value, _))| (key, value)).collect()
}

fn text(id: &Bytes) -> String {
    String::from_utf8_lossy(id).into_owned()
}
