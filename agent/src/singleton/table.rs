//! All singletons of a process.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_protocol::cluster::singletons::{SingletonChange, SingletonKind, SingletonMember};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::builder::StartError;
use super::driver::{Driver, Plan};
use super::history::Counts;
use super::policies::Policies;
use super::talk::{Listener, SERVICE, Talk};
use super::tuned;
use crate::Cluster;
use crate::cluster::ServiceRegistry;
use crate::engine::Engine;
use crate::settings::{Settings, SettingsView};
use crate::watching::changed;

/// The singletons of a process, by name. When it is dropped they end.
pub(crate) struct Table {
    all: Mutex<BTreeMap<String, Arc<Driver>>>,
    /// What the program says, and what the cluster's settings do.
    said: Mutex<(Arc<Policies>, Arc<SettingsView>)>,
    /// What holds.
    policies: watch::Sender<Arc<Policies>>,
    talk: Talk,
    /// None is deployed any more.
    leaving: CancellationToken,
    closed: CancellationToken,
}

/// What a member says of one of its singletons.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct SingletonTold {
    pub(crate) name: String,
    pub(crate) kind: SingletonKind,
    pub(crate) is_everywhere: bool,
    pub(crate) policy: String,
    pub(crate) policy_name: String,
    pub(crate) quorum: u16,
    pub(crate) elected: Option<String>,
    pub(crate) no_provider: Option<String>,
    pub(crate) moved: Option<String>,
    pub(crate) candidates: Vec<String>,
    pub(crate) here: SingletonMember,
    pub(crate) history: Vec<SingletonChange>,
}

// === impl Table ===

impl Table {
    pub(crate) fn start(engine: &dyn Engine, services: &ServiceRegistry) -> Arc<Self> {
        let (dispatch, group) = (engine.dispatch(), engine.group());
        let talk = Talk::new(dispatch.clone(), group, services.clone());
        let table = Arc::new(Self {
            all: Mutex::default(),
            said: Mutex::default(),
            policies: watch::Sender::new(Arc::default()),
            talk,
            leaving: CancellationToken::new(),
            closed: CancellationToken::new(),
        });
        dispatch.register(SERVICE, Arc::new(Listener(Arc::downgrade(&table))));
        table
    }

    /// Follows what the cluster's settings say of policies.
    pub(crate) fn follow(self: &Arc<Self>, settings: &Settings) {
        for setting in tuned::settings() {
            if let Err(error) = settings.register(setting) {
                tracing::error!(%error, "a setting of singletons is not there");
            }
        }
        let mut view = settings.watch(tuned::PREFIX);
        self.tune(view.borrow_and_update().clone());
        let (table, closed) = (Arc::downgrade(self), self.closed.clone());
        tokio::spawn(async move {
            while changed(&mut view, &closed).await {
                let Some(table) = table.upgrade() else { return };
                table.tune(view.borrow_and_update().clone());
            }
        });
    }

    fn tune(&self, view: Arc<SettingsView>) {
        let mut said = self.said.lock();
        said.1 = view;
        self.policies.send_replace(tuned::on_top(&said.0, &said.1));
    }

    pub(super) fn set_policies(&self, policies: Policies) {
        let mut said = self.said.lock();
        said.0 = Arc::new(policies);
        self.policies.send_replace(tuned::on_top(&said.0, &said.1));
    }

    pub(super) fn deploy(&self, cluster: &Cluster, plan: Plan) -> Result<Arc<Driver>, StartError> {
        let mut all = self.all.lock();
        if self.leaving.is_cancelled() {
            return Err(StartError::Closed);
        }
        if all.get(&plan.name).is_some_and(|driver| !driver.is_closed()) {
            return Err(StartError::Deployed(plan.name));
        }
        let (name, leases) = (plan.name.clone(), cluster.engine().leases());
        let (talk, policies) = (self.talk.clone(), self.policies.subscribe());
        let (events, closed) = (cluster.events().clone(), self.closed.clone());
        let driver = Driver::start(plan, leases, talk, policies, events, closed)?;
        all.insert(name, driver.clone());
        Ok(driver)
    }

    /// Stops all of them, each within its bounds, and deploys none any more.
    pub(crate) async fn close(&self) {
        self.leaving.cancel();
        let all = self.all();
        futures_util::future::join_all(all.iter().map(Driver::close)).await;
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Driver>> {
        self.all.lock().get(name).filter(|driver| !driver.is_closed()).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Driver>> {
        let mut all = self.all.lock();
        all.retain(|_, driver| !driver.is_closed());
        all.values().cloned().collect()
    }

    pub(super) fn policies(&self) -> &watch::Sender<Arc<Policies>> {
        &self.policies
    }

    pub(crate) fn talk(&self) -> &Talk {
        &self.talk
    }

    /// What this member says of its singletons.
    pub(crate) fn told(&self) -> Vec<SingletonTold> {
        self.all().iter().map(|driver| driver.report()).collect()
    }

    /// What is counted of each, and whether it runs here.
    pub(crate) fn counts(&self) -> Vec<(String, Counts, bool)> {
        let counts = |driver: &Arc<Driver>| {
            let (counts, is_running) = driver.counts();
            (driver.name().to_owned(), counts, is_running)
        };
        self.all().iter().map(counts).collect()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}
