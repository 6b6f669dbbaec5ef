//! A session's end reaches the store, so that nobody finds the session there.
//!
//! The members agree first: a mark takes the session's place in the map, and from then on the session
//! is nobody's. The mark goes when the store knows of the end; so neither a store that is away for a
//! while nor a member that dies in between brings a session back.

use std::time::Duration;

use muster_grid::batch::Entries;
use muster_grid::{Bytes, Op};

use super::super::events::End;
use super::super::manager::{Inner, Sessions};
use super::super::metadata::Metadata;
use super::super::plan::{self, Parsed};
use super::Ending;
use super::duties::{Done, Duty};
use super::keeper::keep;
use super::through::{not_done, text};
use crate::engine::map::Batch;

/// Greater than every version.
const ANY_VERSION: u64 = (1 << 53) - 1;

/// The operations that end a session under this number, and how long its mark stays where one is left.
pub(in super::super) fn last_ops(
    inner: &Inner,
    commit: u64,
    there: &Entries,
) -> (Vec<Op>, Option<Duration>) {
    let metadata = plan::metadata_of(there).filter(|metadata| metadata.is_stored);
    let (Some(metadata), Some(_)) = (metadata, &inner.keeper) else {
        return (plan::remove(there), None);
    };
    let keep = keep(metadata.max_inactive);
    let metadata = Metadata { commit, version: metadata.version + 1, ..metadata };
    (plan::mark(there, &metadata, keep), Some(keep))
}

/// A mark stands in the map: the store is told. Where it does not answer it is told later, and the
/// mark stays meanwhile.
pub(in super::super) async fn ended(sessions: &Sessions, id: &Bytes, mark: Option<Duration>) {
    let (Some(keep), Some(keeper)) = (mark, &sessions.inner.keeper) else { return };
    if !matches!(tell(sessions, id, keep).await, Done::Yes)
        && !keeper.duties.add(id, Duty::End { keep })
    {
        let application = sessions.application();
        tracing::error!(application, "the end of a session is known to the members alone");
    }
}

/// Tells the store of an end, and takes the mark away.
pub(super) async fn tell(sessions: &Sessions, id: &Bytes, keep: Duration) -> Done {
    let Some(keeper) = &sessions.inner.keeper else { return Done::Yes };
    if let Err(error) = keeper.end(&text(id), ANY_VERSION, keep).await {
        return not_done(&error);
    }
    let gone = vec![plan::gone(plan::METADATA)];
    if let Err(error) = sessions.inner.map.write(Batch::new(id, gone)).await {
        tracing::debug!(%error, "the mark of a session's end goes by itself");
    }
    Done::Yes
}

/// A session's time is over among the members. Where the store may have it, it says whether somebody
/// else has ended it: then that is told there. Whether the store is asked.
pub(in super::super) fn expired(inner: &Inner, id: &Bytes, was: &[(Bytes, Bytes)]) -> bool {
    let Some(keeper) = &inner.keeper else { return false };
    let parsed = plan::parse(was.iter().map(|(key, value)| (key, value)));
    let Ok(Some(Parsed { metadata, .. })) = parsed else { return false };
    if !metadata.is_stored {
        return false;
    }
    let Metadata { version, max_inactive, .. } = metadata;
    let duty = Duty::Expire { was: was.to_vec(), version, keep: keep(max_inactive) };
    if !keeper.duties.add(id, duty) {
        let application = &inner.application;
        tracing::warn!(application, "the end of a session is told when it is found in the store");
    }
    true
}

/// Tells the store that a session's time is over, and listeners where nobody else does.
pub(super) async fn tell_expired(
    sessions: &Sessions,
    id: &Bytes,
    was: &[(Bytes, Bytes)],
    version: u64,
    keep: Duration,
) -> Done {
    let Some(keeper) = &sessions.inner.keeper else { return Done::Yes };
    match keeper.end(&text(id), version, keep).await {
        Ok(Ending::Now(_) | Ending::Absent) => {
            let was = was.iter().map(|(key, value)| (key, value));
            sessions.inner.ended(id, was, End::Expired);
            Done::Yes
        }
        Ok(Ending::Before | Ending::Later) => Done::Yes,
        Err(error) => not_done(&error),
    }
}
