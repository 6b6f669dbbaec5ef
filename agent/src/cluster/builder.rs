//! Settings of a member, as the user says them.

use std::sync::Arc;

use super::Cluster;
use crate::engine::Local;

/// Settings of a cluster's member.
#[derive(Debug)]
#[must_use]
pub struct ClusterBuilder {
    name: String,
}

// === impl ClusterBuilder ===

impl ClusterBuilder {
    pub(super) fn new(name: String) -> Self {
        Self { name }
    }

    /// One process without a network: its caches of every mode are its own, and gone with it. It
    /// must be called within a tokio runtime.
    #[must_use]
    pub fn local(self) -> Cluster {
        tracing::info!(
            node = self.name,
            "not clustered: caches of every mode are kept in this process alone"
        );
        Cluster::over(Arc::new(Local::new(&self.name)))
    }
}
