//! A commit goes to the store, before the answer leaves.

use muster_grid::Bytes;

use super::super::attributes::Attributes;
use super::super::error::SessionError;
use super::super::manager::Sessions;
use super::super::metadata::Metadata;
use super::super::plan::{self, Parsed};
use super::duties::{Done, Duty};
use super::keeper::one;
use super::record::record;
use super::{Saving, StoreError};
use crate::engine::map::{MapError, Read};
use crate::wall;

/// Saves what a commit has written, where every commit is saved. A store that does not take it now
/// is told later: the members have it.
///
/// # Errors
/// [`SessionError::Lost`] when another cluster has written or ended the session: this one's copy is
/// dropped.
pub(in super::super) async fn save(
    sessions: &Sessions,
    id: &Bytes,
    metadata: &Metadata,
    attributes: &Attributes,
) -> Result<(), SessionError> {
    let Some(keeper) = sessions.inner.keeper.as_ref().filter(|keeper| keeper.writes_through())
    else {
        return Ok(());
    };
    // The commit has renewed its time.
    let ends_ms = metadata.ends_from(wall::ms());
    match keeper.save(&text(id), &record(metadata, attributes, ends_ms)).await {
        Ok(saving) => match is_overtaken(sessions, id, saving).await {
            Ok(true) => Err(SessionError::Lost),
            Ok(false) => Ok(()),
            Err(error) => Err(error.into()),
        },
        Err(_) => {
            save_later(sessions, id);
            Ok(())
        }
    }
}

/// The store has not got it: it is told later.
pub(super) fn save_later(sessions: &Sessions, id: &Bytes) {
    let Some(keeper) = &sessions.inner.keeper else { return };
    if !keeper.duties.add(id, Duty::Save) {
        let application = sessions.application();
        tracing::error!(application, "a session is in no store before its next commit");
    }
}

/// Saves what the members have by now.
pub(super) async fn save_again(sessions: &Sessions, id: &Bytes) -> Done {
    let Some(keeper) = &sessions.inner.keeper else { return Done::Yes };
    let entries = match sessions.inner.map.get(id, Read::Confirmed).await {
        Ok(entries) => entries,
        Err(MapError::Closed) => return Done::Yes,
        Err(_) => return Done::NotYet,
    };
    // What has ended was told, or will be.
    let Ok(Some(Parsed { metadata, attributes, .. })) = plan::parse_group(&entries) else {
        return Done::Yes;
    };
    match keeper.save(&text(id), &record(&metadata, &attributes, metadata.ends_ms())).await {
        Ok(saving) => match is_overtaken(sessions, id, saving).await {
            Ok(_) => Done::Yes,
            Err(_) => Done::NotYet,
        },
        Err(error) => not_done(&error),
    }
}

/// What an error says of a duty.
pub(super) fn not_done(error: &StoreError) -> Done {
    match error {
        StoreError::Refused(_) => Done::NotYet,
        StoreError::Unreachable(_) | StoreError::Late(_) | StoreError::Resting => Done::NoStore,
    }
}

/// Whether the store has what these members do not know: another cluster has written or ended the
/// session. Then their copy goes, so that the next request finds the later one. Within one cluster
/// the store is never ahead: a commit that was quicker on its way to it stands in the map already.
async fn is_overtaken(sessions: &Sessions, id: &Bytes, saving: Saving) -> Result<bool, MapError> {
    let is_ahead = |mine: &Metadata| match saving {
        Saving::Saved | Saving::Late => false,
        Saving::Behind { version, commit } => {
            mine.version < version || (mine.version == version && mine.commit != commit)
        }
        Saving::Ended => true,
    };
    if matches!(saving, Saving::Saved | Saving::Late) {
        return Ok(false);
    }
    let checkouts = sessions.checkouts();
    let held = checkouts.check_out(id).await?;
    let Ok(Some(Parsed { metadata, .. })) = plan::parse_group(held.entries()) else {
        return Ok(false);
    };
    if !is_ahead(&metadata) {
        return Ok(false);
    }
    let ops = plan::remove(held.entries());
    checkouts.commit(held, ops, |now| now.entries.is_empty()).await?;
    if let Some(keeper) = &sessions.inner.keeper {
        one(&keeper.counted.conflicts);
    }
    let application = sessions.application();
    tracing::error!(application, "another cluster has written a session: its copy here is dropped");
    Ok(true)
}

pub(super) fn text(id: &[u8]) -> String {
    String::from_utf8_lossy(id).into_owned()
}
