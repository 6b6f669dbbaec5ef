//! Writes what a request has changed.

use std::sync::atomic::{AtomicU64, Ordering};

use muster_grid::Bytes;
use muster_grid::batch::Entries;

use super::error::SessionError;
use super::events::{End, Written};
use super::manager::{Sessions, Turn};
use super::metadata::Metadata;
use super::read::ReadSession;
use super::request::{Finished, Found, Open};
use super::settings::Wait;
use super::{plan, store};
use crate::checkouts::Stood;
use crate::engine::map::{Batch, MapError};

/// Ends a request. On an error the session is given back.
pub(super) async fn commit(
    sessions: &Sessions,
    mut open: Box<Open>,
    was_asked: bool,
) -> Result<Finished, SessionError> {
    if let Some(name) = open.attributes.borrowed() {
        return Err(SessionError::Borrowed(name.to_owned()));
    }
    open.metadata.commit = rand::random();
    open.metadata.version += 1;
    open.metadata.is_stored |= sessions.writes_through();
    match (open.found.take(), open.id.take()) {
        (Some(found), Some(id)) if *found.held.group() == id => {
            same(sessions, open, found, &id).await
        }
        (Some(found), id) => replace(sessions, open, found, id).await,
        (None, Some(id)) => {
            create(sessions, &open, &id).await?;
            sessions.inner.counted.created();
            store::save(sessions, &id, &open.metadata, &open.attributes).await?;
            told(sessions, open, &id, Written::Created);
            Ok(Finished::New(text(&id)))
        }
        (None, None) => Ok(Finished::None { was_asked }),
    }
}

/// Writes a session that is there.
async fn same(
    sessions: &Sessions,
    open: Box<Open>,
    found: Found,
    id: &Bytes,
) -> Result<Finished, SessionError> {
    let finished = Finished::Same(text(id));
    let permit = match sessions.inner.settings.wait {
        Wait::Not { .. } => sessions.inner.window.clone().try_acquire_owned().ok(),
        Wait::ForOwners => None,
    };
    let Some(permit) = permit else {
        write(sessions, open, found).await?;
        return Ok(finished);
    };
    let of = sessions.clone();
    sessions.inner.tasks.spawn(async move {
        let _permit = permit;
        if let Err(error) = write(&of, open, found).await {
            of.inner.counted.lost_after_answer();
            let application = of.application();
            tracing::error!(%error, application, "a session was not written after its answer");
        }
    });
    Ok(finished)
}

async fn write(sessions: &Sessions, mut open: Box<Open>, found: Found) -> Result<(), SessionError> {
    let Found { held, commit: seen, form } = found;
    let (granularity, commit) = (sessions.inner.settings.granularity, open.metadata.commit);
    let id = held.group().clone();
    // A reader may have written since, when the checkout was lost and taken again.
    let version = AtomicU64::new(open.metadata.version);
    let ops = |there: &Entries| {
        let next = open.metadata.version.max(plan::version_of(there) + 1);
        version.store(next, Ordering::Relaxed);
        let metadata = Metadata { version: next, ..open.metadata.clone() };
        plan::write(&metadata, &open.attributes, granularity, form)
    };
    let is_by = |commit| move |entries: &Entries| plan::commit_of(entries) == Some(commit);
    let is_same = |now: &Entries, _: &Entries| is_by(seen)(now);
    let stood = sessions.checkouts().commit_if(held, ops, is_by(commit), is_same).await;
    sessions.inner.counted.stood(&stood);
    stood?;
    open.metadata.version = version.into_inner();
    store::save(sessions, &id, &open.metadata, &open.attributes).await?;
    if open.attributes.has_changed() {
        told(sessions, open, &id, Written::Changed);
    }
    Ok(())
}

/// Removes a session that was there, and writes the one that takes its place, if any: first the
/// new, then the old, so that what is in between is there twice, and never not at all.
async fn replace(
    sessions: &Sessions,
    open: Box<Open>,
    found: Found,
    id: Option<Bytes>,
) -> Result<Finished, SessionError> {
    if let Some(id) = &id {
        create(sessions, &open, id).await?;
    }
    let Found { held, commit: seen, .. } = found;
    let (old, was) = (held.group().clone(), held.entries().clone());
    let mark: u64 = rand::random();
    let has_stood =
        |there: &Entries| there.entries.is_empty() || plan::commit_of(there) == Some(mark);
    let is_same = |now: &Entries, _: &Entries| plan::commit_of(now) == Some(seen);
    let last_ops = |there: &Entries| store::last_ops(&sessions.inner, mark, there);
    let keep = last_ops(held.entries()).1;
    let ops = |there: &Entries| last_ops(there).0;
    let removed = sessions.checkouts().commit_if(held, ops, has_stood, is_same).await;
    sessions.inner.counted.stood(&removed);
    if let Err(error) = removed {
        if let Some(id) = &id {
            take_back(sessions, &open, id).await;
        }
        return Err(error.into());
    }
    store::ended(sessions, &old, keep).await;
    let is_moved = open.ended == 0;
    if !is_moved {
        let was = was.entries.iter().map(|(key, (value, _))| (key, value));
        sessions.inner.ended(&old, was, End::Invalidated);
    }
    let Some(id) = id else { return Ok(Finished::Ended) };
    store::save(sessions, &id, &open.metadata, &open.attributes).await?;
    if is_moved {
        told(sessions, open, &id, Written::Moved { old: text(&old) });
    } else {
        sessions.inner.counted.created();
        told(sessions, open, &id, Written::Created);
    }
    Ok(Finished::New(text(&id)))
}

/// Writes a session under an id that nobody knows yet.
async fn create(sessions: &Sessions, open: &Open, id: &Bytes) -> Result<(), SessionError> {
    let granularity = sessions.inner.settings.granularity;
    let ops = plan::create(&open.metadata, &open.attributes, granularity);
    let has_stood = |entries: &Entries| plan::commit_of(entries) == Some(open.metadata.commit);
    let created = sessions.checkouts().create(id, ops, has_stood).await;
    if created == Err(MapError::Unknown) {
        take_back(sessions, open, id).await;
    }
    sessions.inner.counted.stood(&created.clone().map(|()| Stood::Written));
    Ok(created?)
}

/// Nobody will learn of an id that was not told: it does not stay until its time is over.
async fn take_back(sessions: &Sessions, open: &Open, id: &Bytes) {
    let ops = plan::create(&open.metadata, &open.attributes, sessions.inner.settings.granularity);
    let gone = ops.into_iter().map(|op| plan::gone(&op.key)).collect();
    if let Err(error) = sessions.inner.map.write(Batch::new(id, gone)).await {
        tracing::warn!(%error, "a session that nobody knows stays until its time is over");
    }
}

/// Tells listeners what stands now, and ours what has begun.
fn told(sessions: &Sessions, open: Box<Open>, id: &Bytes, written: Written) {
    let events = sessions.inner.events.as_ref();
    let begun = match &written {
        Written::Created => Some(Turn::Begun { old: None }),
        Written::Moved { old } => Some(Turn::Begun { old: Some(old.clone()) }),
        Written::Changed => None,
    };
    let begun = begun.and_then(|begun| Some((sessions.inner.on_turn()?, begun)));
    if events.is_none() && begun.is_none() {
        return;
    }
    let Open { metadata, attributes, .. } = *open;
    let session = ReadSession { id: text(id), metadata, attributes };
    if let Some((on_turn, begun)) = begun {
        on_turn(&session, begun);
    }
    if let Some(events) = events {
        events.written(session, written);
    }
}

fn text(id: &[u8]) -> String {
    String::from_utf8_lossy(id).into_owned()
}
