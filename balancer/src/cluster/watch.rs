//! Asks all clusters again and again: of each one member, and the next one where that does not
//! answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::cluster::report::ClusterReport;
use muster_protocol::mcmp::Scheme;
use muster_protocol::signature::Secrets;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until};

use super::call::{AskError, Member};
use super::{Cluster, Clusters, MOST_CLUSTERS};
use crate::config;
use crate::operate::wall_ms;
use crate::published::Published;

/// Members of one cluster that are tried before it is taken for silent.
const MOST_TRIES: usize = 3;

/// Who asks.
pub(super) struct Watch {
    settings: config::Cluster,
    secrets: Option<Secrets>,
    published: Arc<Published>,
    clusters: Arc<Clusters>,
}

/// A cluster that is to be asked.
struct Wanted {
    /// Where its members can be asked, whoever answered last first.
    urls: Vec<String>,
    /// Our nodes of it.
    nodes: Vec<String>,
}

// === impl Watch ===

impl Watch {
    pub(super) fn new(
        settings: config::Cluster,
        secrets: Option<Secrets>,
        published: Arc<Published>,
        clusters: Arc<Clusters>,
    ) -> Watch {
        Watch { settings, secrets, published, clusters }
    }

    pub(super) async fn run(self) {
        loop {
            let next = Instant::now() + self.settings.interval;
            self.look().await;
            sleep_until(next).await;
        }
    }

    async fn look(&self) {
        let mut seen = BTreeMap::new();
        let reported = self.reported();
        for url in &self.settings.members {
            let cluster = self.ask(url.clone(), std::slice::from_ref(url), Vec::new()).await;
            // Members of one cluster: whoever answers first answers for all.
            let known = seen.entry(cluster.name.clone()).or_insert_with(|| cluster.clone());
            if known.report.is_none() && cluster.report.is_some() {
                *known = cluster;
            }
        }
        for (name, Wanted { urls, nodes }) in reported.into_iter().take(MOST_CLUSTERS) {
            if let Some(known) = seen.get_mut(&name) {
                known.nodes = nodes;
                continue;
            }
            let cluster = self.ask(name.clone(), &urls, nodes).await;
            // What a node says of its cluster is not more than what the cluster says.
            seen.insert(name.clone(), Cluster { name, ..cluster });
        }
        self.log(&seen);
        *self.clusters.lock() = seen;
    }

    /// Clusters that nodes report.
    fn reported(&self) -> BTreeMap<String, Wanted> {
        let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
        let last: BTreeMap<String, String> = {
            let clusters = self.clusters.lock();
            clusters.iter().map(|(name, cluster)| (name.clone(), cluster.asked.clone())).collect()
        };
        for (route, seated) in self.published.seats() {
            let name = seated.seat.cluster.to_string();
            let of = wanted
                .entry(name)
                .or_insert_with(|| Wanted { urls: Vec::new(), nodes: Vec::new() });
            of.nodes.push(route.to_string());
            let management = seated.management.as_ref().filter(|_| self.settings.follow);
            // Over TLS it would need the name that its certificate has: the configuration says it.
            if let Some(management) = management.filter(|m| m.address.scheme == Scheme::Http) {
                of.urls.push(format!("http://{}", management.socket));
            }
        }
        for (name, wanted) in &mut wanted {
            let answered = last.get(name);
            wanted.urls.sort_by_key(|url| Some(url) != answered);
        }
        wanted
    }

    /// Asks one after the other.
    async fn ask(&self, name: String, urls: &[String], nodes: Vec<String>) -> Cluster {
        let before = self.before(&name, urls);
        let mut error = match urls.is_empty() {
            true => "no member says where its management is".to_owned(),
            false => String::new(),
        };
        let mut asked = String::new();
        for url in urls.iter().take(MOST_TRIES) {
            asked.clone_from(url);
            match self.ask_one(url).await {
                Ok(answered) => return Cluster { nodes, ..answered },
                Err(why) => error = why.to_string(),
            }
        }
        let error = Some(error);
        match before {
            // What it said last is shown on, with its age.
            Some(before) => Cluster { error, nodes, ..before },
            None => Cluster { name, asked, error, nodes, ..Cluster::default() },
        }
    }

    fn before(&self, name: &str, urls: &[String]) -> Option<Cluster> {
        let clusters = self.clusters.lock();
        let asked = || clusters.values().find(|cluster| urls.contains(&cluster.asked));
        clusters.get(name).or_else(asked).cloned()
    }

    async fn ask_one(&self, url: &str) -> Result<Cluster, AskError> {
        let (papers, timeout) = (super::papers(&self.settings), self.settings.timeout);
        let member =
            Member::new(url, papers, timeout.max(Duration::from_millis(1)), self.secrets.clone())?;
        let report: ClusterReport = member.get("/v1/cluster").await?;
        let caches = member.get("/v1/cluster/caches").await?;
        let (deployments, singletons, jobs, queues, settings, settings_history, events) = tokio::join!(
            told(&member, "/v1/cluster/deployments"),
            told(&member, "/v1/cluster/singletons"),
            told(&member, "/v1/cluster/jobs"),
            told(&member, "/v1/cluster/queues"),
            told(&member, "/v1/cluster/settings"),
            told(&member, "/v1/cluster/settings/history"),
            told(&member, "/v1/cluster/events"),
        );
        Ok(Cluster {
            name: report.name.clone(),
            asked: url.to_owned(),
            answered_ms: Some(wall_ms()),
            error: None,
            report: Some(Arc::new(report)),
            caches: Some(Arc::new(caches)),
            deployments,
            singletons,
            jobs,
            queues,
            settings,
            settings_history,
            events,
            nodes: Vec::new(),
        })
    }

    /// Logs what is new, once.
    fn log(&self, seen: &BTreeMap<String, Cluster>) {
        let before = self.clusters.lock();
        for (name, cluster) in seen {
            let was = before.get(name).and_then(|before| before.error.as_ref());
            match (&cluster.error, was) {
                (Some(error), None) => {
                    tracing::warn!(
                        cluster = name,
                        asked = cluster.asked,
                        error,
                        "a cluster cannot be asked"
                    );
                }
                (None, Some(_)) => tracing::info!(cluster = name, "a cluster answers again"),
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
    }
}

/// What a member tells; none where it is of an earlier release, and all else is shown all the same.
async fn told<T: DeserializeOwned>(member: &Member, path: &str) -> Option<Arc<T>> {
    let no_answer = |error: &AskError| tracing::debug!(%error, path, "not all is told");
    // Several are asked at once: each has its room beside the others' only while it is asked.
    Box::pin(member.get(path)).await.inspect_err(no_answer).ok().map(Arc::new)
}
