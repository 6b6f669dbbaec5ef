//! What of the page somebody looks at: the tab, and the query of its address.
//!
//! Each view has an address of its own that can be sent to a colleague; what the query does not
//! understand is ignored, for an address may come from another version.

use percent_encoding::percent_decode_str;

use crate::page::{Node, NodeState, Window};
use crate::text::{self, Is};

/// Nodes of one page.
pub const NODES_PER_PAGE: usize = 100;

/// Contexts of one page.
pub const CONTEXTS_PER_PAGE: usize = 100;

/// Caches of one page.
pub const CACHES_PER_PAGE: usize = 100;

/// Deployments of one page.
pub const DEPLOYMENTS_PER_PAGE: usize = 100;

/// Singletons of one page.
pub const SINGLETONS_PER_PAGE: usize = 100;

/// Jobs of one page.
pub const JOBS_PER_PAGE: usize = 100;

/// Queues of one page.
pub const QUEUES_PER_PAGE: usize = 100;

/// Settings of one page.
pub const SETTINGS_PER_PAGE: usize = 100;

/// Events of clusters that are shown beside the balancer's own.
pub const CLUSTER_EVENTS_SHOWN: usize = 200;

/// Most bytes of a search.
pub const MAX_SEARCH: usize = 200;

/// A value as a part of an address, every byte that could mean something else encoded.
pub fn encoded(value: &str) -> String {
    text::encoded(value)
}

/// One of the views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// All nodes, by group.
    Nodes,
    /// One node.
    Node(String),
    /// All contexts, across nodes.
    Contexts,
    /// Balancer names, groups, nodes and peers.
    Topology,
    /// The caches of all clusters.
    Caches,
    /// One of them.
    Cache {
        /// Its cluster.
        cluster: String,
        /// Its name.
        cache: String,
    },
    /// Sessions and stateful components of all clusters, in counts.
    Sessions,
    /// Those of one deployment.
    Deployment {
        /// Its cluster.
        cluster: String,
        /// Its kind and name: `web/shop`.
        deployment: String,
    },
    /// The singletons of all clusters.
    Singletons,
    /// One of them.
    Singleton {
        /// Its cluster.
        cluster: String,
        /// Its name.
        singleton: String,
    },
    /// The jobs of all clusters.
    Jobs,
    /// One of them.
    Job {
        /// Its cluster.
        cluster: String,
        /// Its name.
        job: String,
    },
    /// The queues of all clusters.
    Queues,
    /// One of them.
    Queue {
        /// Its cluster.
        cluster: String,
        /// Its name.
        queue: String,
    },
    /// What is set for all members of a cluster, of all clusters.
    Settings,
    /// What happened.
    Events,
    /// The configuration in effect.
    Config,
}

/// How it is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// How far back the charts go.
    pub window: Window,
    /// What names must have in them; empty for all.
    pub search: String,
    /// Which nodes or contexts only.
    pub only: Only,
    /// Which page, from 0.
    pub page: usize,
}

/// Which nodes or contexts only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Only {
    /// All.
    #[default]
    All,
    /// Those that need attention.
    Trouble,
    /// Nodes in one state.
    State(NodeState),
}

// === impl View ===

impl View {
    /// The tabs.
    pub const TABS: [View; 11] = [
        View::Nodes,
        View::Contexts,
        View::Topology,
        View::Caches,
        View::Sessions,
        View::Singletons,
        View::Jobs,
        View::Queues,
        View::Settings,
        View::Events,
        View::Config,
    ];

    /// Its path.
    pub fn path(&self) -> String {
        match self {
            View::Nodes => "/".to_owned(),
            View::Node(route) => format!("/nodes/{}", text::encoded(route)),
            View::Contexts => "/contexts".to_owned(),
            View::Topology => "/topology".to_owned(),
            View::Caches => "/caches".to_owned(),
            View::Cache { cluster, cache } => {
                format!("/caches/{}/{}", text::encoded(cluster), text::encoded(cache))
            }
            View::Sessions => "/sessions".to_owned(),
            View::Deployment { cluster, deployment } => {
                format!("/sessions/{}/{}", text::encoded(cluster), text::encoded(deployment))
            }
            View::Singletons => "/singletons".to_owned(),
            View::Singleton { cluster, singleton } => {
                format!("/singletons/{}/{}", text::encoded(cluster), text::encoded(singleton))
            }
            View::Jobs => "/jobs".to_owned(),
            View::Job { cluster, job } => {
                format!("/jobs/{}/{}", text::encoded(cluster), text::encoded(job))
            }
            View::Queues => "/queues".to_owned(),
            View::Queue { cluster, queue } => {
                format!("/queues/{}/{}", text::encoded(cluster), text::encoded(queue))
            }
            View::Settings => "/settings".to_owned(),
            View::Events => "/events".to_owned(),
            View::Config => "/config".to_owned(),
        }
    }

    /// The view of a path, if there is one.
    pub fn from_path(path: &str) -> Option<View> {
        if let Some(route) = path.strip_prefix("/nodes/") {
            let route = percent_decode_str(route).decode_utf8().ok()?;
            return (!route.is_empty()).then(|| View::Node(route.into_owned()));
        }
        if let Some(of) = path.strip_prefix("/caches/") {
            return of_cluster(of).map(|(cluster, cache)| View::Cache { cluster, cache });
        }
        if let Some(of) = path.strip_prefix("/sessions/") {
            let one = |(cluster, deployment)| View::Deployment { cluster, deployment };
            return of_cluster(of).map(one);
        }
        if let Some(of) = path.strip_prefix("/singletons/") {
            return of_cluster(of)
                .map(|(cluster, singleton)| View::Singleton { cluster, singleton });
        }
        if let Some(of) = path.strip_prefix("/jobs/") {
            return of_cluster(of).map(|(cluster, job)| View::Job { cluster, job });
        }
        if let Some(of) = path.strip_prefix("/queues/") {
            return of_cluster(of).map(|(cluster, queue)| View::Queue { cluster, queue });
        }
        View::TABS.into_iter().find(|view| view.path() == path)
    }

    /// The word on its tab.
    pub fn label(&self) -> &'static str {
        match self {
            View::Nodes => "Nodes",
            View::Node(_) => "Node",
            View::Contexts => "Contexts",
            View::Topology => "Topology",
            View::Caches => "Caches",
            View::Cache { .. } => "Cache",
            View::Sessions => "Sessions",
            View::Deployment { .. } => "Sessions",
            View::Singletons => "Singletons",
            View::Singleton { .. } => "Singleton",
            View::Jobs => "Jobs",
            View::Job { .. } => "Job",
            View::Queues => "Queues",
            View::Queue { .. } => "Queue",
            View::Settings => "Settings",
            View::Events => "Events",
            View::Config => "Config",
        }
    }

    /// Whether it is another one a moment later.
    pub fn is_live(&self) -> bool {
        *self != View::Config
    }

    /// The tab that it stands under.
    pub(crate) fn is_under(&self, tab: &View) -> bool {
        self == tab
            || matches!(
                (self, tab),
                (View::Node(_), View::Nodes)
                    | (View::Cache { .. }, View::Caches)
                    | (View::Deployment { .. }, View::Sessions)
                    | (View::Singleton { .. }, View::Singletons)
                    | (View::Job { .. }, View::Jobs)
                    | (View::Queue { .. }, View::Queues)
            )
    }
}

/// A cluster and what is in it: two encoded parts of a path, neither of them empty.
fn of_cluster(path: &str) -> Option<(String, String)> {
    let (cluster, one) = path.split_once('/')?;
    let read = |part: &str| Some(percent_decode_str(part).decode_utf8().ok()?.into_owned());
    let (cluster, one) = (read(cluster)?, read(one)?);
    (!cluster.is_empty() && !one.is_empty()).then_some((cluster, one))
}

// === impl Look ===

impl Look {
    /// Reads the query of an address; never panics.
    ///
    /// ```
    /// use muster_web_ui::view::{Look, Only};
    /// let look = Look::from_query("window=1h&q=shop&only=trouble&page=2&x=%ff");
    /// assert_eq!((look.search.as_str(), look.only, look.page), ("shop", Only::Trouble, 1));
    /// ```
    pub fn from_query(query: &str) -> Look {
        let mut look = Look::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let spaced = value.replace('+', " ");
            let Ok(value) = percent_decode_str(&spaced).decode_utf8() else { continue };
            match name {
                "window" => look.window = Window::from_word(&value),
                "q" if value.len() <= MAX_SEARCH => look.search = value.trim().to_owned(),
                "only" => look.only = Only::from_word(&value),
                "page" => look.page = value.parse::<usize>().unwrap_or(1).max(1) - 1,
                _ => {}
            }
        }
        look
    }

    /// The query that reads so, without what is usual; with its `?` where there is any.
    pub fn query(&self) -> String {
        let mut pairs = Vec::new();
        if self.window != Window::default() {
            pairs.push(format!("window={}", self.window.word()));
        }
        if !self.search.is_empty() {
            pairs.push(format!("q={}", text::encoded(&self.search)));
        }
        if self.only != Only::All {
            pairs.push(format!("only={}", self.only.word()));
        }
        if self.page > 0 {
            pairs.push(format!("page={}", self.page + 1));
        }
        match pairs.is_empty() {
            true => String::new(),
            false => format!("?{}", pairs.join("&")),
        }
    }

    pub(crate) fn with_window(&self, window: impl Is<Window>) -> Look {
        Look { window: window.it(), ..self.clone() }
    }

    pub(crate) fn with_only(&self, only: impl Is<Only>) -> Look {
        Look { only: only.it(), page: 0, ..self.clone() }
    }

    pub(crate) fn with_page(&self, page: impl Is<usize>) -> Look {
        Look { page: page.it(), ..self.clone() }
    }

    /// Whether a node is one of those that are looked at.
    pub fn shows(&self, node: &Node) -> bool {
        self.only.shows(node) && (self.search.is_empty() || self.finds(node))
    }

    fn finds(&self, node: &Node) -> bool {
        let has = |text: &str| self.is_in(text);
        let hosts = || node.virtual_hosts.iter();
        has(&node.route)
            || has(&node.address)
            || has(&node.balancer)
            || node.domain.as_deref().is_some_and(has)
            || has(node.state.word())
            || hosts().any(|host| host.aliases.iter().any(|alias| has(alias)))
            || hosts().any(|host| host.contexts.iter().any(|context| has(&context.path)))
    }

    /// Whether the search is in a text; upper and lower case are one.
    pub fn is_in(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.search.to_lowercase())
    }
}

// === impl Only ===

impl Only {
    /// The word of the query.
    pub fn word(self) -> &'static str {
        match self {
            Only::All => "all",
            Only::Trouble => "trouble",
            Only::State(state) => state.word(),
        }
    }

    /// The choice of a word; any other word is all.
    pub fn from_word(word: &str) -> Only {
        let states = NodeState::ALL.into_iter().map(Only::State);
        let known = states.chain([Only::Trouble]).find(|only| only.word() == word);
        known.unwrap_or_default()
    }

    fn shows(self, node: &Node) -> bool {
        match self {
            Only::All => true,
            Only::Trouble => node.state.is_trouble(),
            Only::State(state) => node.state == state,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::page::samples::node;

    #[test]
    fn every_view_has_an_address_of_its_own() {
        let cache = View::Cache { cluster: "a/b".to_owned(), cache: "c d".to_owned() };
        let sessions =
            View::Deployment { cluster: "a/b".to_owned(), deployment: "web/c d".to_owned() };
        let singleton = View::Singleton { cluster: "a/b".to_owned(), singleton: "c d".to_owned() };
        let job = View::Job { cluster: "a/b".to_owned(), job: "c d@e".to_owned() };
        let queue = View::Queue { cluster: "a/b".to_owned(), queue: "/queue/c d".to_owned() };
        let ones = [View::Node("a/b c".to_owned()), cache, sessions, singleton, job, queue];
        for view in View::TABS.into_iter().chain(ones) {
            assert_eq!(View::from_path(&view.path()), Some(view));
        }
        assert_eq!(View::from_path("/nodes/"), None);
        assert_eq!(View::from_path("/nodes/%ff"), None);
        for bad in ["/caches/", "/caches/a", "/caches//b", "/caches/a/", "/caches/a/%ff"] {
            assert_eq!(View::from_path(bad), None, "{bad}");
        }
        assert_eq!(View::from_path("/session"), None);
    }

    #[test]
    fn a_search_finds_names_and_states() {
        let node = node("node1", Some("left"), 2);
        for (query, found) in [
            ("", true),
            ("q=NODE1", true),
            ("q=%2Fapp1", true),
            ("q=left", true),
            ("q=8080", true),
            ("q=localhost", true),
            ("q=node2", false),
            ("only=trouble", false),
            ("only=up&q=node", true),
            ("only=down", false),
        ] {
            assert_eq!(Look::from_query(query).shows(&node), found, "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_read_without_a_panic(query: String) {
            let look = Look::from_query(&query);
            prop_assert_eq!(Look::from_query(look.query().trim_start_matches('?')), look);
        }
    }
}
