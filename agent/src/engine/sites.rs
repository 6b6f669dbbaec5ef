//! Copies at other sites.

use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use super::map::Batch;

/// Whether a write waits for the other site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backup {
    /// It waits so long; then it is only logged, or it fails.
    Sync {
        /// How long.
        timeout: Duration,
        /// Whether the write fails when the other site did not answer.
        fails: bool,
    },
    /// It does not.
    Async,
}

/// Why the other site does not have it.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SiteError {
    /// No such site.
    #[error("there is no site {0:?}")]
    NoSite(String),
    /// It did not answer in time.
    #[error("site {0:?} did not answer in time")]
    Late(String),
}

/// How another site stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SiteStatus {
    /// Its name.
    pub site: String,
    /// Whether it answers.
    pub is_online: bool,
    /// Batches that wait for it.
    pub backlog: u64,
}

/// Other sites.
#[async_trait]
pub trait Sites: Send + Sync {
    /// Sends what a batch of a map did to another site.
    ///
    /// # Errors
    /// Only for [`Backup::Sync`]; see [`SiteError`].
    async fn backup(
        &self,
        site: &str,
        map: &str,
        batch: &Batch,
        backup: Backup,
    ) -> Result<(), SiteError>;

    /// Sends all of a map to another site.
    ///
    /// # Errors
    /// See [`SiteError`].
    async fn push_state(&self, site: &str, map: &str) -> Result<(), SiteError>;

    /// How the others stand.
    fn status(&self) -> Vec<SiteStatus>;
}
