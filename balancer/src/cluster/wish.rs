//! What operators want of a cluster: the member that answered last is asked.

use std::sync::PoisonError;
use std::time::Duration;

use muster_protocol::cluster::queues::DeadWish;
use muster_protocol::cluster::report::Done;
use muster_protocol::cluster::settings::{SettingWish, UnsetWish};
use muster_protocol::cluster::singletons::MoveWish;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::json;

use super::{Asking, Clusters, call, papers};

/// How long it may take: as long as a member's own bound for it.
const PATIENCE: Duration = Duration::from_secs(15);

/// What an operator wants of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobVerb {
    /// Once more, now.
    Run,
    /// No firing counts.
    Pause,
    /// Firings count again.
    Resume,
}

// === impl JobVerb ===

impl JobVerb {
    /// All of them.
    pub(crate) const ALL: [JobVerb; 3] = [JobVerb::Run, JobVerb::Pause, JobVerb::Resume];

    /// In a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            JobVerb::Run => "run",
            JobVerb::Pause => "pause",
            JobVerb::Resume => "resume",
        }
    }
}

// === impl Clusters ===

impl Clusters {
    /// Asks a cluster to move a singleton to a node, or with none to where its policy puts it.
    /// What was done, in words.
    ///
    /// # Errors
    /// Why not, in words.
    pub(crate) async fn move_singleton(
        &self,
        cluster: &str,
        singleton: &str,
        node: Option<String>,
    ) -> Result<String, String> {
        let path = format!("/v1/cluster/singletons/{}/move", encoded(singleton));
        self.ask(cluster, &path, &MoveWish { node }).await
    }

    /// Asks a cluster to run, pause or resume a job. What was done, in words.
    ///
    /// # Errors
    /// Why not, in words.
    pub(crate) async fn job(
        &self,
        cluster: &str,
        job: &str,
        verb: JobVerb,
    ) -> Result<String, String> {
        let path = format!("/v1/cluster/jobs/{}/{}", encoded(job), verb.word());
        self.ask(cluster, &path, &json!({})).await
    }

    /// Asks a cluster to have a queue's dead letters delivered again. What was done, in words.
    ///
    /// # Errors
    /// Why not, in words.
    pub(crate) async fn requeue(&self, cluster: &str, queue: &str) -> Result<String, String> {
        let path = format!("/v1/cluster/queues/{}/dead/requeue", encoded(queue));
        self.ask(cluster, &path, &DeadWish::default()).await
    }

    /// Asks a cluster to set something for all of its members. What was done, in words.
    ///
    /// # Errors
    /// Why not, in words.
    pub(crate) async fn set(
        &self,
        cluster: &str,
        key: &str,
        wish: &SettingWish,
    ) -> Result<String, String> {
        self.ask(cluster, &format!("/v1/cluster/settings/{}", encoded(key)), wish).await
    }

    /// Asks a cluster to bring a setting back to its default. What was done, in words.
    ///
    /// # Errors
    /// Why not, in words.
    pub(crate) async fn unset(
        &self,
        cluster: &str,
        key: &str,
        wish: &UnsetWish,
    ) -> Result<String, String> {
        self.ask(cluster, &format!("/v1/cluster/settings/{}/unset", encoded(key)), wish).await
    }

    async fn ask<B: Serialize>(
        &self,
        cluster: &str,
        path: &str,
        body: &B,
    ) -> Result<String, String> {
        let asked = self.lock().get(cluster).map(|cluster| cluster.asked.clone());
        let asked = asked.ok_or_else(|| format!("there is no cluster {cluster:?}"))?;
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Asking { settings, secrets } = asking.ok_or("no cluster is asked")?;
        let member = call::Member::new(&asked, papers(&settings), PATIENCE, secrets)
            .map_err(|error| error.to_string())?;
        let done = member.post::<_, Done>(path, body).await;
        done.map(|done| done.done).map_err(|error| error.to_string())
    }
}

fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}
