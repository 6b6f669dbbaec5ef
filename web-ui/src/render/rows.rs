//! Which rows of the model a view shows: filtered, in pages, put together.

use std::cmp::Reverse;

use crate::page::{
    Balancer, Cache, Cluster, Coverage, Deployment, Event, Job, Level, Node, Page, Queue, Setting,
    SettingChange, Settings, Singleton,
};
use crate::view::{
    CACHES_PER_PAGE, CLUSTER_EVENTS_SHOWN, CONTEXTS_PER_PAGE, DEPLOYMENTS_PER_PAGE, JOBS_PER_PAGE,
    Look, NODES_PER_PAGE, Only, QUEUES_PER_PAGE, SETTINGS_PER_PAGE, SINGLETONS_PER_PAGE,
};

/// Rows by the name of their group; `None` for the nodes without one.
pub(super) type Groups<'p, R> = Vec<(Option<&'p str>, Vec<R>)>;

/// Which of all rows a page has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// Rows that were found.
    pub(super) found: usize,
    /// The page, from 0; one that exists.
    pub(super) page: usize,
    /// How many pages there are, at least one.
    pub(super) pages: usize,
}

/// A balancer name with its groups.
pub(super) struct Realm<'p> {
    pub(super) balancer: &'p Balancer,
    pub(super) groups: Groups<'p, (&'p Node, u64)>,
}

/// The settings of a cluster as a page shows them.
pub(super) struct Set<'p> {
    pub(super) cluster: &'p Cluster,
    pub(super) settings: &'p Settings,
    /// What is set and looked for.
    pub(super) rows: Vec<&'p Setting>,
    /// The changes of what is looked for.
    pub(super) changes: Vec<&'p SettingChange>,
}

/// The nodes of a page, by group.
pub(super) fn nodes_of<'p>(page: &'p Page, look: &Look) -> (Groups<'p, &'p Node>, Cut) {
    let found = page.nodes().filter(|node| look.shows(node)).count();
    let (cut, mut skip, mut left) = Cut::of(found, look.page, NODES_PER_PAGE);
    let mut groups = Vec::new();
    for group in &page.groups {
        let mut nodes: Vec<&Node> = group.nodes.iter().filter(|node| look.shows(node)).collect();
        let skipped = skip.min(nodes.len());
        nodes.drain(..skipped);
        nodes.truncate(left);
        skip -= skipped;
        left -= nodes.len();
        if !nodes.is_empty() {
            groups.push((group.domain.as_deref(), nodes));
        }
    }
    (groups, cut)
}

/// The contexts of a page.
pub(super) fn contexts_of<'p>(page: &'p Page, look: &Look) -> (Vec<Coverage<'p>>, Cut) {
    let shows = |context: &Coverage<'_>| {
        let wanted = look.only != Only::Trouble
            || context.take_new() == 0
            || (context.take_new() == 1 && context.places.len() > 1);
        let mut names = vec![context.path];
        names.extend(context.alias);
        wanted && names.into_iter().any(|name| look.is_in(name))
    };
    let mut all = Coverage::of(page);
    all.retain(shows);
    let (cut, skip, left) = Cut::of(all.len(), look.page, CONTEXTS_PER_PAGE);
    (all.into_iter().skip(skip).take(left).collect(), cut)
}

/// The caches of a page, with their clusters.
pub(super) fn caches_of<'p>(page: &'p Page, look: &Look) -> (Vec<(&'p Cluster, &'p Cache)>, Cut) {
    let of = |cluster: &'p Cluster| cluster.caches.iter().map(move |cache| (cluster, cache));
    let shows = |(cluster, cache): &(&Cluster, &Cache)| {
        [&cache.name, &cache.mode, &cluster.name].into_iter().any(|text| look.is_in(text))
    };
    let all: Vec<_> = page.clusters.iter().flat_map(of).filter(shows).collect();
    let (cut, skip, left) = Cut::of(all.len(), look.page, CACHES_PER_PAGE);
    (all.into_iter().skip(skip).take(left).collect(), cut)
}

/// The deployments of a page, with their clusters.
pub(super) fn deployments_of<'p>(
    page: &'p Page,
    look: &Look,
) -> (Vec<(&'p Cluster, &'p Deployment)>, Cut) {
    let of = |cluster: &'p Cluster| cluster.deployments.iter().map(move |one| (cluster, one));
    let shows = |(cluster, one): &(&Cluster, &Deployment)| {
        [&one.key(), &one.mode, &cluster.name].into_iter().any(|text| look.is_in(text))
    };
    let all: Vec<_> = page.clusters.iter().flat_map(of).filter(shows).collect();
    let (cut, skip, left) = Cut::of(all.len(), look.page, DEPLOYMENTS_PER_PAGE);
    (all.into_iter().skip(skip).take(left).collect(), cut)
}

/// The singletons of a page, with their clusters.
pub(super) fn singletons_of<'p>(
    page: &'p Page,
    look: &Look,
) -> (Vec<(&'p Cluster, &'p Singleton)>, Cut) {
    let of = |cluster: &'p Cluster| cluster.singletons.iter().map(move |one| (cluster, one));
    let shows = |(cluster, one): &(&Cluster, &Singleton)| {
        let provider = one.provider.as_deref().unwrap_or_default();
        [&*one.name, &*one.kind, &*one.policy, provider, &*cluster.name]
            .into_iter()
            .any(|text| look.is_in(text))
    };
    let all: Vec<_> = page.clusters.iter().flat_map(of).filter(shows).collect();
    let (cut, skip, left) = Cut::of(all.len(), look.page, SINGLETONS_PER_PAGE);
    (all.into_iter().skip(skip).take(left).collect(), cut)
}

/// The jobs of a page, with their clusters.
pub(super) fn jobs_of<'p>(page: &'p Page, look: &Look) -> (Vec<(&'p Cluster, &'p Job)>, Cut) {
    let of = |cluster: &'p Cluster| cluster.jobs.iter().map(move |job| (cluster, job));
    let shows = |(cluster, job): &(&Cluster, &Job)| {
        let last = job.last().map_or("", |firing| &*firing.outcome);
        let names = [&*job.name, &*job.schedule, last, &*cluster.name];
        names.into_iter().chain(job.running()).any(|text| look.is_in(text))
    };
    let all: Vec<_> = page.clusters.iter().flat_map(of).filter(shows).collect();
    let (cut, skip, left) = Cut::of(all.len(), look.page, JOBS_PER_PAGE);
    (all.into_iter().skip(skip).take(left).collect(), cut)
}

/// The queues of a page, with their clusters.
pub(super) fn queues_of<'p>(page: &'p Page, look: &Look) -> (Vec<(&'p Cluster, &'p Queue)>, Cut) {
    let of = |cluster: &'p Cluster| cluster.queues.iter().map(move |queue| (cluster, queue));
    let shows = |(cluster, queue): &(&Cluster, &Queue)| {
        let home = queue.home.as_deref().unwrap_or_default();
        let names = [&*queue.name, home, &*cluster.name];
        let consumers = queue.consumers.iter().map(|of| &*of.member);
        names.into_iter().chain(consumers).any(|text| look.is_in(text))
    };
    let all: Vec<_> = page.clusters.iter().flat_map(of).filter(shows).collect();
    let (cut, skip, left) = Cut::of(all.len(), look.page, QUEUES_PER_PAGE);
    (all.into_iter().skip(skip).take(left).collect(), cut)
}

/// What is set in each cluster that tells it, and its changes.
pub(super) fn settings_of<'p>(page: &'p Page, look: &Look) -> (Vec<Set<'p>>, Cut) {
    let shows = |setting: &&Setting| {
        [&setting.key, &setting.value, &setting.by].into_iter().any(|text| look.is_in(text))
    };
    let of = |cluster: &'p Cluster| {
        let settings = cluster.settings.as_ref()?;
        let changes = settings.history.iter();
        Some(Set {
            cluster,
            settings,
            rows: settings.set.iter().filter(shows).collect(),
            changes: changes.filter(|one| look.is_in(&one.key) || look.is_in(&one.by)).collect(),
        })
    };
    let mut sets: Vec<Set<'p>> = page.clusters.iter().filter_map(of).collect();
    let found = sets.iter().map(|set| set.rows.len()).sum();
    let (cut, mut skip, mut left) = Cut::of(found, look.page, SETTINGS_PER_PAGE);
    for set in &mut sets {
        let skipped = skip.min(set.rows.len());
        set.rows.drain(..skipped);
        set.rows.truncate(left);
        skip -= skipped;
        left -= set.rows.len();
    }
    (sets, cut)
}

/// The balancer's own events and the last of the clusters', the latest first.
pub(super) fn events_of<'p>(page: &'p Page, look: &Look, own: &'p [Event]) -> Vec<&'p Event> {
    let shows = |event: &&Event| {
        let who = event.who.as_deref().unwrap_or_default();
        let grave = look.only != Only::Trouble || event.level != Level::Info;
        let texts = [&*event.kind, &*event.subject, &*event.what, who];
        grave && texts.into_iter().any(|text| look.is_in(text))
    };
    let mut told: Vec<&Event> = page.clusters.iter().flat_map(|one| &one.events).collect();
    told.sort_by_key(|event| Reverse(event.at_ms));
    told.truncate(CLUSTER_EVENTS_SHOWN);
    let mut all: Vec<&Event> = own.iter().chain(told).filter(shows).collect();
    all.sort_by_key(|event| Reverse(event.at_ms));
    all
}

/// Balancer names with their groups, and what part of a name's requests each node gets, in
/// percent of the window's.
pub(super) fn realms(page: &Page) -> Vec<Realm<'_>> {
    let of = |balancer| Realm { balancer, groups: groups_of(page, balancer) };
    page.balancers.iter().map(of).collect()
}

fn groups_of<'p>(page: &'p Page, balancer: &Balancer) -> Groups<'p, (&'p Node, u64)> {
    let is_its = |node: &&Node| node.balancer == balancer.name;
    let all: u64 = page.nodes().filter(is_its).map(|node| node.pace.requests).sum();
    let share = |node: &Node| (node.pace.requests * 100).checked_div(all).unwrap_or(0);
    let mut groups = Vec::new();
    for group in &page.groups {
        let its = group.nodes.iter().filter(is_its).take(NODES_PER_PAGE);
        let nodes: Vec<_> = its.map(|node| (node, share(node))).collect();
        if !nodes.is_empty() {
            groups.push((group.domain.as_deref(), nodes));
        }
    }
    groups
}

// === impl Cut ===

impl Cut {
    /// With how many rows to leave out, and how many to take.
    fn of(found: usize, wanted: usize, per_page: usize) -> (Cut, usize, usize) {
        let pages = found.div_ceil(per_page).max(1);
        let page = wanted.min(pages - 1);
        (Cut { found, page, pages }, page * per_page, per_page)
    }

    pub(super) fn before(self) -> Option<usize> {
        self.page.checked_sub(1)
    }

    pub(super) fn after(self) -> Option<usize> {
        (self.page + 1 < self.pages).then_some(self.page + 1)
    }
}
