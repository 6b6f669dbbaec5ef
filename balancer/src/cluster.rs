//! Clusters of back ends as this balancer sees them: it asks the management of their members, in the
//! background, and shows what was answered last. No request of a client ever waits for it.
//!
//! Whom to ask stands in the configuration, or the nodes say it with their messages; then it is an
//! address that the node itself may register, and the one that was checked (`mcmp::seat`).
//!
//! | module | idea |
//! |---|---|
//! | `call` | one question to one member, signed where there is a secret |
//! | `watch` | all clusters, again and again, within bounds |
//! | `wish` | what operators want of them |

pub(crate) mod call;
#[cfg(test)]
pub(crate) mod samples;
mod watch;
pub(crate) mod wish;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use muster_protocol::cluster::events::EventsReport;
use muster_protocol::cluster::jobs::JobsReport;
use muster_protocol::cluster::queues::QueuesReport;
use muster_protocol::cluster::report::{CachesReport, ClusterReport, DeploymentsReport};
use muster_protocol::cluster::settings::{SettingsHistory, SettingsReport};
use muster_protocol::cluster::singletons::SingletonsReport;
use muster_protocol::signature::Secrets;
use utoipa::ToSchema;

use crate::client::Papers;
use crate::config;
use crate::side::{Ground, Tasks};

/// Most clusters that are shown.
pub(crate) const MOST_CLUSTERS: usize = 64;

/// A cluster, as it answered last.
#[derive(Debug, Clone, Default, serde::Serialize, ToSchema)]
pub(crate) struct Cluster {
    /// Its name; where it has never answered and stands in the configuration, the member's URL.
    pub(crate) name: String,
    /// The management that was asked last.
    pub(crate) asked: String,
    /// When it answered last, in milliseconds since 1970.
    pub(crate) answered_ms: Option<u64>,
    /// Why nobody answered the last time.
    pub(crate) error: Option<String>,
    /// What it answered last.
    #[schema(value_type = Option<ClusterReport>)]
    pub(crate) report: Option<Arc<ClusterReport>>,
    /// Its caches.
    #[schema(value_type = Option<CachesReport>)]
    pub(crate) caches: Option<Arc<CachesReport>>,
    /// Its applications with sessions and its stateful components; none where its members' release
    /// does not tell.
    #[schema(value_type = Option<DeploymentsReport>)]
    pub(crate) deployments: Option<Arc<DeploymentsReport>>,
    /// Its singletons; none where its members' release does not tell.
    #[schema(value_type = Option<SingletonsReport>)]
    pub(crate) singletons: Option<Arc<SingletonsReport>>,
    /// Its jobs, likewise.
    #[schema(value_type = Option<JobsReport>)]
    pub(crate) jobs: Option<Arc<JobsReport>>,
    /// Its queues, likewise.
    #[schema(value_type = Option<QueuesReport>)]
    pub(crate) queues: Option<Arc<QueuesReport>>,
    /// What is set for all of its members, likewise.
    #[schema(value_type = Option<SettingsReport>)]
    pub(crate) settings: Option<Arc<SettingsReport>>,
    /// Who changed what of it, likewise.
    #[schema(value_type = Option<SettingsHistory>)]
    pub(crate) settings_history: Option<Arc<SettingsHistory>>,
    /// What has happened, likewise.
    #[schema(value_type = Option<EventsReport>)]
    pub(crate) events: Option<Arc<EventsReport>>,
    /// When all of it was told last, and not only what was new.
    #[serde(skip)]
    pub(crate) events_whole_ms: Option<u64>,
    /// The nodes of this balancer that are its members, by their routes.
    pub(crate) nodes: Vec<String>,
}

/// All clusters. Shared by who asks and by who shows.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    seen: Mutex<BTreeMap<String, Cluster>>,
    /// How members are asked, once they are.
    asking: Mutex<Option<Asking>>,
}

/// How members are asked.
#[derive(Debug, Clone)]
struct Asking {
    settings: config::Cluster,
    secrets: Option<Secrets>,
}

// === impl Clusters ===

impl Clusters {
    /// As they stand, by name.
    pub(crate) fn all(&self) -> Vec<Cluster> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Cluster>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secrets of the configuration; `None` where it has none.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn secrets(settings: &config::Cluster) -> Result<Option<Secrets>, String> {
    match (&settings.secret, &settings.secret_file) {
        (Some(secret), _) => Ok(Secrets::from_list(vec![secret.clone()])),
        (None, Some(file)) => {
            let secrets = call::read_secret(file).map_err(|why| format!("cluster.{why}"))?;
            Ok(Some(secrets))
        }
        (None, None) => Ok(None),
    }
}

/// What https members are shown, and whom of them this balancer believes.
fn papers(settings: &config::Cluster) -> Papers<'_> {
    Papers {
        ca: settings.ca.as_deref(),
        certificate: settings.certificate.as_deref(),
        key: settings.key.as_deref(),
    }
}

/// What can't be used of the configuration.
pub(crate) fn check(config: &config::Config) -> Result<(), String> {
    let settings = &config.cluster;
    let secrets = secrets(settings)?;
    for url in &settings.members {
        call::Member::new(url, papers(settings), settings.timeout, secrets.clone())
            .map_err(|error| format!("cluster.members: {error}"))?;
    }
    Ok(())
}

/// Starts to ask.
pub(crate) fn start(ground: &Ground, tasks: &mut Tasks) {
    let settings = ground.config.cluster.clone();
    let secrets = match secrets(&settings) {
        Ok(secrets) => secrets,
        Err(error) => return tracing::error!(error, "no cluster is asked"),
    };
    let clusters = ground.operators.clusters().clone();
    clusters.lock().clear();
    let asking = Asking { settings: settings.clone(), secrets: secrets.clone() };
    *clusters.asking.lock().unwrap_or_else(PoisonError::into_inner) = Some(asking);
    let watch = watch::Watch::new(settings, secrets, ground.published.clone(), clusters);
    tasks.spawn(|stop| async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = watch.run() => {}
        }
    });
}
