//! Follows the settings in the cluster's map: what others change is taken up at once. What this
//! member knows and the cluster has not (it was wholly down, or lost all copies at once) is written
//! back. One rule for all of it: the greater version counts.

use std::sync::Arc;
use std::time::Duration;

use muster_grid::Bytes;
use muster_protocol::cluster::events::EventKind;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::document::Document;
use super::{Found, Inner, SettingsError, batch, found};
use crate::engine::View;
use crate::engine::map::{Changes, MapError, Read, Watch};

/// When the settings could not be read it is tried again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// Of two documents the greater one: what stays when two sides of a split meet.
pub(super) fn greater(_key: &[u8], ours: &Bytes, theirs: &Bytes) -> Bytes {
    let (Ok(our), Ok(their)) = (Document::parse(ours), Document::parse(theirs)) else {
        // Bytes of a later release: both sides must come to the same, whichever asks.
        return ours.max(theirs).clone();
    };
    if their.order(&our).is_gt() { theirs.clone() } else { ours.clone() }
}

/// Follows until `closed`.
pub(super) fn start(
    inner: &Arc<Inner>,
    mut views: watch::Receiver<Arc<View>>,
    closed: CancellationToken,
) {
    let Ok(map) = &inner.map else { return };
    // Before the first read, so that no change falls between.
    let mut changes = map.watch(Watch::Copies);
    let mut keeper = Keeper { inner: inner.clone(), said: None, written: None };
    tokio::spawn(async move {
        let following = async {
            loop {
                views.mark_unchanged();
                let wait = keeper.follow().await;
                if !keeper.something(&mut changes, &mut views, wait).await {
                    return;
                }
            }
        };
        tokio::select! {
            () = closed.cancelled() => {}
            () = following => {}
        }
    });
}

struct Keeper {
    inner: Arc<Inner>,
    /// What was said last of what does not work.
    said: Option<String>,
    /// The version that stands on disk.
    written: Option<u64>,
}

/// How long to wait where nothing changes.
type Wait = Option<Duration>;

// === impl Keeper ===

impl Keeper {
    /// Brings this member and the map together.
    async fn follow(&mut self) -> Wait {
        let met = self.inner.meet().await;
        let is_read = &self.inner.is_read;
        is_read.send_if_modified(|is_read| met.is_ok() && !std::mem::replace(is_read, true));
        self.write().await;
        let wait = match &met {
            // It stays so until somebody changes it.
            Ok(()) | Err(SettingsError::Unreadable(_)) => None,
            Err(_) => Some(AGAIN),
        };
        self.say(met.err().as_ref());
        wait
    }

    /// Once for each error.
    fn say(&mut self, error: Option<&SettingsError>) {
        let text = error.map(ToString::to_string);
        if let Some(error) = &text
            && self.said != text
        {
            tracing::warn!(error, "the cluster's settings are not followed");
        }
        self.said = text;
    }

    async fn write(&mut self) {
        let (Some(kept), document) = (&self.inner.kept, self.inner.document()) else { return };
        let version = document.version;
        if version == 0 || self.written == Some(version) {
            return;
        }
        let kept = kept.clone();
        let written = tokio::task::spawn_blocking(move || kept.write(&document)).await;
        match written {
            Ok(Ok(())) => self.written = Some(version),
            Ok(Err(error)) => tracing::warn!(%error, version, "the settings are not kept on disk"),
            Err(_) => {}
        }
    }

    /// Waits for anything that may have changed the settings; false when the engine is gone.
    async fn something(
        &self,
        changes: &mut Changes,
        views: &mut watch::Receiver<Arc<View>>,
        wait: Wait,
    ) -> bool {
        let again = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = changes.recv() => {
                !matches!(changed, Err(tokio::sync::broadcast::error::RecvError::Closed))
            }
            changed = views.changed() => changed.is_ok(),
            () = self.inner.changed.notified() => true,
            () = again => true,
        }
    }
}

// === impl Inner ===

impl Inner {
    /// Takes up what the cluster has, or gives it what it has not.
    async fn meet(&self) -> Result<(), SettingsError> {
        let map = self.map()?;
        let there = found(&**map, Read::Near).await?.document;
        if there.order(&self.document()).is_lt() {
            // A copy that is being filled may be old: what all owners say counts.
            return self.bring_back().await;
        }
        self.take(there);
        Ok(())
    }

    async fn bring_back(&self) -> Result<(), SettingsError> {
        let map = self.map()?;
        let Found { document: there, rev } = found(&**map, Read::Confirmed).await?;
        let known = self.document();
        if !there.order(&known).is_lt() {
            self.take(there);
            return Ok(());
        }
        match map.write(batch(&known, rev)).await {
            Ok(_) => {
                let (version, instead) = (known.version, there.version);
                tracing::warn!(version, instead, "settings were brought back to the cluster");
                self.events.warn(
                    EventKind::Settings,
                    format!("version {version} was brought back in the place of {instead}"),
                );
                Ok(())
            }
            // Somebody was faster: the change is told.
            Err(MapError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn take(&self, there: Document) {
        let known = self.document();
        for change in there.overrides(&known) {
            let (key, by, version) = (&change.key, &change.by, change.version);
            tracing::warn!(key, by, version, "a change of a setting gave way to another side's");
            let text = format!("the change of {key} by {by:?} gave way to another side's");
            self.events.warn(EventKind::Settings, text);
        }
        self.adopt(there);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sides_of_a_split_come_to_the_same_document() {
        let document = |version| Document { version, ..Document::default() };
        let bytes = |version| Bytes::from(document(version).bytes());
        let (less, more) = (bytes(3), bytes(4));
        assert_eq!(greater(b"", &less, &more), more);
        assert_eq!(greater(b"", &more, &less), more);
        let other = Bytes::from(b"of a later release".to_vec());
        assert_eq!(greater(b"", &less, &other), greater(b"", &other, &less));
    }
}
