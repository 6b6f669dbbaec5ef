//! The registry behind its one writer, and the table that requests read.
//!
//! There is one `ArcSwap`, so that a request sees one world. Nobody who reads it waits for the
//! writer; the writer holds its lock for the length of one change and never across an await.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use futures_util::future::join_all;
use muster_protocol::cluster::PeerAddress;
use muster_protocol::mcmp::{App, Command, Dump, Info, Scope};
use muster_protocol::names::Route;
use muster_routing::cluster::Seated;
use muster_routing::registry::{ApplyError, Heard, Outcome, Standing};
use muster_routing::rows::Rows;
use muster_routing::{Moment, Registry, RoutingTable, Sender};
use tokio::sync::{Notify, watch};

use crate::audit::{Audit, Entry, Kind};
use crate::probe::Prober;

/// The nodes as they stand, shared by everything in the balancer.
#[derive(Debug)]
pub struct Published {
    registry: Mutex<Registry>,
    table: ArcSwap<RoutingTable>,
    version: watch::Sender<u64>,
    left_out: AtomicU64,
    haste: Notify,
    prober: Prober,
    /// When this process began, and what the registry's clock showed then.
    started: (Instant, Moment),
    id: u64,
    audit: OnceLock<Arc<Audit>>,
}

impl Published {
    /// A registry to publish. `id` tells this start of the balancer from others: nodes register
    /// again when it changes.
    pub fn new(registry: Registry, prober: Prober, id: u64) -> Published {
        Published::from(registry, prober, id, Moment::ZERO)
    }

    /// The same for a registry of an earlier process, whose clock goes on.
    pub fn from(registry: Registry, prober: Prober, id: u64, clock: Moment) -> Published {
        Published {
            table: ArcSwap::from_pointee(registry.table().clone()),
            version: watch::Sender::new(registry.version()),
            left_out: AtomicU64::new(registry.left_out()),
            haste: Notify::new(),
            registry: Mutex::new(registry),
            prober,
            started: (Instant::now(), clock),
            id,
            audit: OnceLock::new(),
        }
    }

    /// Says where changes by nodes are written down. The first to say so counts.
    pub fn audited_by(&self, audit: Arc<Audit>) {
        let _ = self.audit.set(audit);
    }

    /// Where changes by nodes are written down, if anywhere.
    pub fn audit(&self) -> Option<&Arc<Audit>> {
        self.audit.get()
    }

    /// The registry's clock: time since the start of the first process that had it.
    pub fn now(&self) -> Moment {
        let (started, clock) = self.started;
        clock + started.elapsed()
    }

    /// What MCMP answers as `id`.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Who asks nodes whether they are there.
    pub fn prober(&self) -> &Prober {
        &self.prober
    }

    /// Counts tables: it is another one after each change.
    pub(crate) fn version(&self) -> u64 {
        *self.version.borrow()
    }

    /// The table as it stands. Load it once per attempt.
    pub fn table(&self) -> Guard<Arc<RoutingTable>> {
        self.table.load()
    }

    /// Whether this is still the table. Asked after a request was counted: either the request sees
    /// a stop that came before, or whoever stopped sees the request ([`Published::tell`]).
    pub fn is_current(&self, table: &Arc<RoutingTable>) -> bool {
        fence(Ordering::SeqCst);
        Arc::ptr_eq(table, &self.table())
    }

    /// Wakes with each new table.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Rises when nodes are left out: who waits for one looks again then.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Wakes when a probe is due that should not wait for its turn.
    pub(crate) async fn hurried(&self) {
        self.haste.notified().await;
    }

    /// A node's place in its cluster, as it said last.
    pub fn seat_of(&self, route: &Route) -> Option<Arc<Seated>> {
        self.lock().seat_of(route).cloned()
    }

    /// Where others of a node's cluster are.
    pub fn cluster_peers(&self, route: &Route) -> Vec<PeerAddress> {
        self.lock().cluster_peers(route)
    }

    /// All nodes with a place in a cluster.
    pub fn seats(&self) -> Vec<(Route, Arc<Seated>)> {
        self.lock().seats()
    }

    /// Everything that is registered.
    pub fn rows(&self) -> Rows {
        let now = self.now();
        self.lock().rows(now)
    }

    /// The nodes with their counters.
    pub fn info(&self) -> Info {
        self.rows().info()
    }

    /// The configuration of balancers, nodes, hosts and contexts.
    pub fn dump(&self) -> Dump {
        self.rows().dump()
    }

    /// Asks the nodes that an operator's command depends on, then applies it.
    ///
    /// Takes as long as the slowest of them, which is at most their `ping`, and for a node that
    /// comes as long as the look-up of its name; a probe's bound holds for both. Other commands go
    /// on meanwhile.
    ///
    /// # Errors
    /// An [`ApplyError`]; nothing has changed then.
    pub async fn tell(&self, command: &Command) -> Result<Outcome, ApplyError> {
        self.tell_of(None, command, None).await
    }

    /// The same for a node, which may change its own routes only; what it changes, and what is
    /// refused to it, is written down. `checked` is where its host name was found to lead, and will
    /// lead as long as it is registered.
    ///
    /// # Errors
    /// An [`ApplyError`]; nothing has changed then.
    pub async fn tell_from(
        &self,
        sender: &Sender,
        command: &Command,
        checked: Option<SocketAddr>,
    ) -> Result<Outcome, ApplyError> {
        self.tell_of(Some(sender), command, checked).await
    }

    async fn tell_of(
        &self,
        by: Option<&Sender>,
        command: &Command,
        checked: Option<SocketAddr>,
    ) -> Result<Outcome, ApplyError> {
        let questions = match by {
            Some(sender) => {
                let mut registry = self.lock();
                registry.seat(sender, command);
                registry.questions_from(sender, command)
            }
            None => self.lock().questions(command),
        };
        let answers = questions.iter().map(async |question| {
            let probed = self.prober.probe(&question.address, question.within).await?;
            Some((question.id, probed))
        });
        let heard = Heard(join_all(answers).await.into_iter().flatten().collect());
        let outcome = self.change(|registry, now| {
            let before = registry.standing(command);
            let outcome = match by {
                Some(sender) => registry.apply_from(sender, command, &heard, now),
                None => registry.apply(command, &heard, now),
            };
            // Under the lock, so that nobody meets the node under an address not checked.
            if let (Ok(_), Command::Config(config), Some(socket)) = (&outcome, command, checked) {
                self.prober.pin(&config.address, socket);
            }
            let from = by.map(|sender| sender.from);
            self.write_down(command, from, before, registry.standing(command), &outcome);
            outcome
        });
        let mut outcome = outcome?;
        if let (Command::App(app), Outcome::Stopped { requests }) = (command, &mut outcome) {
            // Counted once more, now that nobody decides on the old table unseen: a request that
            // was not counted yet will find the new one ([`Published::is_current`]).
            fence(Ordering::SeqCst);
            *requests = self.lock().requests_at(app);
        }
        if let Command::Config(config) = command {
            self.prober.learn(&config.address).await;
        }
        Ok(outcome)
    }

    /// Most messages change nothing, for nodes say the same again and again.
    fn write_down(
        &self,
        command: &Command,
        from: Option<IpAddr>,
        before: Option<Standing>,
        after: Option<Standing>,
        outcome: &Result<Outcome, ApplyError>,
    ) {
        let (Some(audit), Some((route, verb, target))) = (self.audit.get(), named(command)) else {
            return;
        };
        let from = from.map(|from| from.to_string().into());
        let entry = Entry::new(Kind::Node, route.as_str(), verb, &target).from(from);
        match (outcome, before, after) {
            (Err(error), ..) => audit.record(entry.refused(error)),
            (Ok(_), Some(before), Some(after)) if before != after => {
                audit.record(entry.change(before, after));
            }
            (Ok(_), ..) => {}
        }
    }

    /// Looks up where the host names of all nodes lead, each within the bound of a probe.
    pub(crate) async fn learn_names(&self) {
        let nodes = self.rows().nodes;
        join_all(nodes.iter().map(|node| self.prober.learn(&node.config.address))).await;
    }

    /// Forgets where the host names of nodes lead that are gone.
    pub fn forget_names(&self) {
        let now = self.now();
        // Under the lock to the end: a node that comes now brings its name.
        let registry = self.lock();
        let nodes = registry.rows(now).nodes;
        let addresses = nodes.iter().map(|node| &node.config.address);
        let used: HashSet<_> = addresses.map(|address| (&address.host, address.port)).collect();
        self.prober.keep_names(|host, port| used.contains(&(host, port)));
    }

    /// Applies a command without asking anybody: an operator's verb.
    ///
    /// # Errors
    /// An [`ApplyError`]; nothing has changed then.
    pub fn apply(&self, command: &Command) -> Result<Outcome, ApplyError> {
        self.change(|registry, now| registry.apply(command, &Heard::default(), now))
    }

    /// Changes the registry and publishes what follows.
    pub fn change<T>(&self, change: impl FnOnce(&mut Registry, Moment) -> T) -> T {
        let now = self.now();
        let mut registry = self.lock();
        let before = registry.version();
        let changed = change(&mut registry, now);
        if registry.version() != before {
            // Published under the lock, so that tables appear in the order of their commands.
            self.table.store(Arc::new(registry.table().clone()));
            self.version.send_replace(registry.version());
        }
        self.left_out.store(registry.left_out(), Ordering::Relaxed);
        for route in registry.take_left_out_by_word() {
            tracing::warn!(%route, "node is left out: its cluster goes on without it");
        }
        if registry.take_haste() {
            self.haste.notify_one();
        }
        changed
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // A panic under the lock is a defect, but a registry that answers is better than none.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who says what of whom, for commands that change something.
fn named(command: &Command) -> Option<(&Route, &'static str, String)> {
    match command {
        Command::Config(config) => {
            Some((&config.route, "CONFIG", format!("node {}", config.route)))
        }
        Command::App(App { verb, route, scope: Scope::Node }) => {
            Some((route, verb.method(), format!("node {route}")))
        }
        Command::App(App { verb, route, scope: Scope::Contexts(host) }) => {
            let paths: Vec<&str> = host.contexts.iter().map(|path| path.as_str()).collect();
            let alias = host.aliases.first().map(|alias| alias.as_str()).unwrap_or_default();
            let target = format!("context {} on {alias} of node {route}", paths.join(","));
            Some((route, verb.method(), target))
        }
        Command::Status(_)
        | Command::Ping(_)
        | Command::Info
        | Command::Dump
        | Command::Version => None,
    }
}

#[cfg(test)]
mod tests {
    use muster_protocol::mcmp::parse::parse_within;
    use muster_routing::Limits;
    use muster_routing::health::Timing;

    use super::*;

    fn command(method: &str, uri: &str, body: &str) -> Command {
        parse_within(method, uri, body.as_bytes(), 1024).unwrap()
    }

    #[tokio::test]
    async fn names_are_looked_up_for_nodes_that_are_accepted_and_forgotten_with_them() {
        let registry =
            Registry::new(Limits { nodes: 1, contexts: 1, gone: 1 }, Timing::default(), false);
        let published = Published::new(registry, Prober::default(), 1);
        let mut knows = Vec::new();
        for (route, port) in [("a", 1), ("b", 2)] {
            let body = format!("JVMRoute={route}&Host=localhost&Port={port}&Type=http");
            let Command::Config(config) = command("CONFIG", "/", &body) else { panic!("{body}") };
            let told = published.tell(&Command::Config(config.clone())).await;
            knows.push((told.is_ok(), published.prober().socket(&config.address).is_some()));
        }
        // There is room for one.
        assert_eq!(knows, [(true, true), (false, false)]);

        let address = published.rows().nodes[0].config.address.clone();
        published.forget_names();
        assert!(published.prober().socket(&address).is_some());
        published.tell(&command("REMOVE-APP", "/*", "JVMRoute=a")).await.unwrap();
        published.forget_names();
        assert!(published.prober().socket(&address).is_none());
    }
}
