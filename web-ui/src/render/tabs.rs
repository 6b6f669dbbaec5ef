//! The tabs of what clusters of back ends have, and what a change of a setting would do.

use askama::Template;

use super::rows::{Cut, Set};
use super::rows::{caches_of, deployments_of, jobs_of, queues_of, settings_of, singletons_of};
use super::{Frame, Theme, Viewer, written};
use crate::page::{Cache, Cluster, Deployment, Job, KnownSetting, Page, Queue, Setting, Singleton};
use crate::text;
use crate::view::{Look, View};

/// A change of a setting that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// In which cluster.
    pub cluster: String,
    /// Which setting.
    pub key: String,
    /// What it is to be; `None` is its default.
    pub value: Option<String>,
}

/// One of these tabs; `None` for what is not there, and for another view.
pub(super) fn view(frame: Frame<'_>) -> Option<String> {
    let (page, look) = (frame.page, frame.look);
    let cluster = |name: &String| page.clusters.iter().find(|known| known.name == *name);
    Some(match frame.view {
        View::Caches => {
            let (caches, cut) = caches_of(page, look);
            written(&CachesHtml { caches, cut, frame })
        }
        View::Cache { cluster: of, cache } => {
            let cluster = cluster(of)?;
            let cache = cluster.caches.iter().find(|known| known.name == *cache)?;
            written(&CacheHtml { cluster, cache, frame })
        }
        View::Sessions => {
            let (deployments, cut) = deployments_of(page, look);
            written(&SessionsHtml { deployments, cut, frame })
        }
        View::Deployment { cluster: of, deployment } => {
            let cluster = cluster(of)?;
            let deployment = cluster.deployments.iter().find(|known| known.key() == *deployment)?;
            written(&DeploymentHtml { cluster, deployment, frame })
        }
        View::Singletons => {
            let (singletons, cut) = singletons_of(page, look);
            written(&SingletonsHtml { singletons, cut, frame })
        }
        View::Singleton { cluster: of, singleton } => {
            let cluster = cluster(of)?;
            let singleton = cluster.singletons.iter().find(|known| known.name == *singleton)?;
            written(&SingletonHtml { cluster, singleton, frame })
        }
        View::Jobs => {
            let (jobs, cut) = jobs_of(page, look);
            written(&JobsHtml { jobs, cut, frame })
        }
        View::Job { cluster: of, job } => {
            let cluster = cluster(of)?;
            let job = cluster.jobs.iter().find(|known| known.name == *job)?;
            written(&JobHtml { cluster, job, frame })
        }
        View::Queues => {
            let (queues, cut) = queues_of(page, look);
            written(&QueuesHtml { queues, cut, frame })
        }
        View::Queue { cluster: of, queue } => {
            let cluster = cluster(of)?;
            let queue = cluster.queues.iter().find(|known| known.name == *queue)?;
            written(&QueueHtml { cluster, queue, frame })
        }
        View::Settings => {
            let (sets, cut) = settings_of(page, look);
            written(&SettingsHtml { sets, cut, frame })
        }
        View::Nodes
        | View::Node(_)
        | View::Contexts
        | View::Topology
        | View::Events
        | View::Config => return None,
    })
}

/// What another value would do, with the button that sets it; `None` where the cluster is not there
/// or tells nothing of its settings.
pub fn change(page: &Page, viewer: &Viewer<'_>, change: &Change) -> Option<String> {
    let cluster = page.clusters.iter().find(|known| known.name == change.cluster)?;
    let settings = cluster.settings.as_ref()?;
    let look = Look::default();
    Some(written(&ChangeHtml {
        change,
        cluster,
        version: settings.version,
        present: settings.of(&change.key),
        known: settings.known(&change.key),
        frame: Frame::new(page, viewer, &View::Settings, &look),
    }))
}

// === the templates ===

#[derive(Template)]
#[template(path = "caches.html", whitespace = "minimize")]
struct CachesHtml<'a> {
    frame: Frame<'a>,
    caches: Vec<(&'a Cluster, &'a Cache)>,
    cut: Cut,
}

#[derive(Template)]
#[template(path = "cache.html", whitespace = "minimize")]
struct CacheHtml<'a> {
    frame: Frame<'a>,
    cluster: &'a Cluster,
    cache: &'a Cache,
}

#[derive(Template)]
#[template(path = "sessions.html", whitespace = "minimize")]
struct SessionsHtml<'a> {
    frame: Frame<'a>,
    deployments: Vec<(&'a Cluster, &'a Deployment)>,
    cut: Cut,
}

#[derive(Template)]
#[template(path = "deployment.html", whitespace = "minimize")]
struct DeploymentHtml<'a> {
    frame: Frame<'a>,
    cluster: &'a Cluster,
    deployment: &'a Deployment,
}

#[derive(Template)]
#[template(path = "singletons.html", whitespace = "minimize")]
struct SingletonsHtml<'a> {
    frame: Frame<'a>,
    singletons: Vec<(&'a Cluster, &'a Singleton)>,
    cut: Cut,
}

#[derive(Template)]
#[template(path = "singleton.html", whitespace = "minimize")]
struct SingletonHtml<'a> {
    frame: Frame<'a>,
    cluster: &'a Cluster,
    singleton: &'a Singleton,
}

#[derive(Template)]
#[template(path = "jobs.html", whitespace = "minimize")]
struct JobsHtml<'a> {
    frame: Frame<'a>,
    jobs: Vec<(&'a Cluster, &'a Job)>,
    cut: Cut,
}

#[derive(Template)]
#[template(path = "job.html", whitespace = "minimize")]
struct JobHtml<'a> {
    frame: Frame<'a>,
    cluster: &'a Cluster,
    job: &'a Job,
}

#[derive(Template)]
#[template(path = "queues.html", whitespace = "minimize")]
struct QueuesHtml<'a> {
    frame: Frame<'a>,
    queues: Vec<(&'a Cluster, &'a Queue)>,
    cut: Cut,
}

#[derive(Template)]
#[template(path = "queue.html", whitespace = "minimize")]
struct QueueHtml<'a> {
    frame: Frame<'a>,
    cluster: &'a Cluster,
    queue: &'a Queue,
}

#[derive(Template)]
#[template(path = "settings.html", whitespace = "minimize")]
struct SettingsHtml<'a> {
    frame: Frame<'a>,
    sets: Vec<Set<'a>>,
    cut: Cut,
}

#[derive(Template)]
#[template(path = "change.html", whitespace = "minimize")]
struct ChangeHtml<'a> {
    frame: Frame<'a>,
    change: &'a Change,
    cluster: &'a Cluster,
    version: u64,
    present: Option<&'a Setting>,
    known: Option<&'a KnownSetting>,
}
