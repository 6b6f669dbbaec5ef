//! Asks all clusters again and again: of each one member, and the next one where that does not
//! answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::cluster::events::{EventsReport, MOST_EVENTS};
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

/// Clocks of members are at most so far apart, and one tells at most so long after another what both
/// saw: events of that time are asked for again.
const APART_MS: u64 = 30_000;
/// All events are asked for so often, whatever is known: a clock may be wrong by more.
const WHOLE_MS: u64 = 60_000;
/// Events of a cluster that are kept, which may be of several members.
const MOST_KEPT: usize = 4 * MOST_EVENTS;

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
            match self.ask_one(url, before.as_ref()).await {
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

    async fn ask_one(&self, url: &str, before: Option<&Cluster>) -> Result<Cluster, AskError> {
        let (papers, timeout) = (super::papers(&self.settings), self.settings.timeout);
        let member =
            Member::new(url, papers, timeout.max(Duration::from_millis(1)), self.secrets.clone())?;
        let report: ClusterReport = member.get("/v1/cluster").await?;
        let caches = member.get("/v1/cluster/caches").await?;
        let now = wall_ms();
        let known = before.and_then(|before| known_events(before, &report, now));
        let events_path = match known.and_then(after) {
            Some(after) => format!("/v1/cluster/events?after={after}"),
            None => "/v1/cluster/events".to_owned(),
        };
        let (deployments, singletons, jobs, queues, settings, settings_history, events) = tokio::join!(
            told(&member, "/v1/cluster/deployments"),
            told(&member, "/v1/cluster/singletons"),
            told(&member, "/v1/cluster/jobs"),
            told(&member, "/v1/cluster/queues"),
            told(&member, "/v1/cluster/settings"),
            told(&member, "/v1/cluster/settings/history"),
            told(&member, &events_path),
        );
        let is_whole = |told: &Arc<EventsReport>| told.after_ms.is_none();
        let events_whole_ms = match &events {
            Some(told) if is_whole(told) => Some(now),
            _ => before.and_then(|before| before.events_whole_ms),
        };
        let events = events.map(|told| together(told, known));
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
            events_whole_ms,
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

/// The events that are known of a cluster, where hardly any before the last can be new: its members are
/// the same as they were, each of them has answered, and all were told not long ago.
fn known_events<'c>(
    before: &'c Cluster,
    report: &ClusterReport,
    now: u64,
) -> Option<&'c EventsReport> {
    let is_same = before.report.as_ref().is_some_and(|before| before.view == report.view);
    let is_new = before.events_whole_ms.is_some_and(|whole| now.saturating_sub(whole) < WHOLE_MS);
    before.events.as_deref().filter(|events| is_same && is_new && events.silent.is_empty())
}

/// From when on events are asked for, of which these are the latest.
fn after(known: &EventsReport) -> Option<u64> {
    known.events.first().map(|latest| latest.at_ms.saturating_sub(APART_MS))
}

/// What is told now, before what was known of the time that it leaves out.
fn together(told: Arc<EventsReport>, known: Option<&EventsReport>) -> Arc<EventsReport> {
    let (Some(after), Some(known)) = (told.after_ms, known) else { return told };
    let mut whole = Arc::unwrap_or_clone(told);
    let earlier = known.events.iter().filter(|event| event.at_ms <= after);
    whole.events.extend(earlier.cloned());
    whole.events.truncate(MOST_KEPT);
    whole.after_ms = None;
    Arc::new(whole)
}

/// What a member tells; none where it is of an earlier release, and all else is shown all the same.
async fn told<T: DeserializeOwned>(member: &Member, path: &str) -> Option<Arc<T>> {
    let no_answer = |error: &AskError| tracing::debug!(%error, path, "not all is told");
    // Several are asked at once: each has its room beside the others' only while it is asked.
    Box::pin(member.get(path)).await.inspect_err(no_answer).ok().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::samples;

    fn events(at: &[u64], after: Option<u64>) -> EventsReport {
        let event =
            |at_ms: &u64| json!({"at_ms": at_ms, "kind": "job", "text": "x", "members": ["one"]});
        let all: Vec<_> = at.iter().map(event).collect();
        let told = json!({"events": all, "silent": [], "after_ms": after});
        serde_json::from_value(told).unwrap()
    }

    fn instants(report: &EventsReport) -> Vec<u64> {
        report.events.iter().map(|event| event.at_ms).collect()
    }

    #[test]
    fn events_that_are_known_are_not_told_again_and_none_is_lost_or_twice() {
        let known = events(&[100_000, 80_000, 50_000, 20_000], None);
        assert_eq!(after(&known), Some(70_000));
        let told = events(&[110_000, 100_000, 90_000, 80_000], Some(70_000));
        let whole = together(Arc::new(told), Some(&known));
        assert_eq!(instants(&whole), [110_000, 100_000, 90_000, 80_000, 50_000, 20_000]);
        assert_eq!(whole.after_ms, None);
        // Who knows nothing of such a question tells all.
        let old = events(&[110_000, 100_000, 80_000], None);
        assert_eq!(instants(&together(Arc::new(old), Some(&known))), [110_000, 100_000, 80_000]);
    }

    #[test]
    fn all_events_are_asked_for_where_members_were_silent_or_are_others() {
        let before = Cluster { events_whole_ms: Some(1_000), ..samples::cluster() };
        let report = before.report.as_deref().unwrap().clone();
        assert!(known_events(&before, &report, 60_999).is_some());
        assert!(known_events(&before, &report, 61_000).is_none());
        let other = ClusterReport { view: "e9/other".to_owned(), ..report.clone() };
        assert!(known_events(&before, &other, 2_000).is_none());
        let silent = EventsReport { silent: vec!["two".to_owned()], ..events(&[1], None) };
        let before = Cluster { events: Some(Arc::new(silent)), ..before };
        assert!(known_events(&before, &report, 2_000).is_none());
    }
}
