//! Writes what a request has changed.

use muster_grid::Bytes;
use muster_grid::batch::Entries;

use super::error::SessionError;
use super::manager::Sessions;
use super::plan;
use super::request::{Finished, Open};

/// Ends a request.
pub(super) async fn commit(
    sessions: &Sessions,
    mut open: Open,
    was_asked: bool,
) -> Result<Finished, SessionError> {
    let granularity = sessions.inner.settings.granularity;
    let checkouts = sessions.checkouts();
    let commit = rand::random();
    open.metadata.commit = commit;
    let (found, id) = (open.found.take(), open.id.take());
    let (found, id) = match (found, id) {
        (Some(held), Some(id)) if *held.group() == id => {
            let ops = plan::write(&open.metadata, &open.attributes, granularity, false)?;
            checkouts.commit(held, ops, has_stood(Some(commit))).await?;
            return Ok(Finished::Same(text(&id)));
        }
        other => other,
    };
    if let Some(id) = &id {
        // First the new, then the old: what is in between is there twice, and never not at all.
        let ops = plan::write(&open.metadata, &open.attributes, granularity, true)?;
        checkouts.create(id, ops, has_stood(Some(commit))).await?;
    }
    let was_there = found.is_some();
    if let Some(held) = found {
        let ops = plan::remove(held.entries());
        checkouts.commit(held, ops, has_stood(None)).await?;
    }
    Ok(match id {
        Some(id) => Finished::New(text(&id)),
        _ if was_there => Finished::Ended,
        _ => Finished::None { was_asked },
    })
}

/// Whether what is there is what was to be written: by its commit, or nothing for a removal.
fn has_stood(commit: Option<u64>) -> impl Fn(&Entries) -> bool {
    move |entries| match commit {
        Some(commit) => plan::is_of(entries, commit),
        None => entries.entries.is_empty(),
    }
}

fn text(id: &Bytes) -> String {
    String::from_utf8_lossy(id).into_owned()
}
