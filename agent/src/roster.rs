//! The registrars of all balancers: those of the configuration from the start, and those that are
//! found while the agent runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_protocol::mcmp::Load;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::agent::Core;
use crate::registrar::client::{Client, Manner, Target};
use crate::registrar::life::{Life, Plan};
use crate::registrar::{Registrar, now};
use crate::status::{BalancerState, BalancerStatus, Origin};

/// Who registers with whom.
#[derive(Debug)]
pub(crate) struct Roster {
    core: Arc<Core>,
    plan: Arc<Plan>,
    manner: Manner,
    load: watch::Receiver<Load>,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    tasks: JoinSet<()>,
    /// By the balancer's address.
    handles: HashMap<String, AbortHandle>,
    /// Nobody is followed once the node leaves.
    is_closed: bool,
}

// === impl Roster ===

impl Roster {
    pub(crate) fn new(
        core: Arc<Core>,
        plan: Arc<Plan>,
        manner: Manner,
        load: watch::Receiver<Load>,
    ) -> Roster {
        Roster { core, plan, manner, load, running: Mutex::default() }
    }

    /// Registers with a balancer, and shows it in the status; one that is there already stays as
    /// it is. To be called within a runtime.
    pub(crate) fn follow(&self, target: Target, origin: Origin) {
        let mut running = self.running();
        let address = target.text.clone();
        if running.is_closed || running.handles.contains_key(&address) {
            return;
        }
        let (state, contexts) = (BalancerState::Registering, Default::default());
        let shown = BalancerStatus { address, origin, state, contexts, answers: false };
        let address = shown.address.clone();
        self.core.status.send_modify(|status| status.balancers.push(shown));
        let registrar = self.registrar(Client::new(target, self.manner.clone()));
        let handle = running.tasks.spawn(registrar.run());
        running.handles.insert(address, handle);
        while running.tasks.try_join_next().is_some() {}
    }

    /// Has nothing more to do with a balancer, and says no word to it.
    pub(crate) fn leave(&self, address: &str) {
        if let Some(handle) = self.running().handles.remove(address) {
            handle.abort();
            self.core.status.send_modify(|status| {
                status.balancers.retain(|balancer| balancer.address != address);
            });
        }
    }

    /// Follows nobody any more and waits until every registrar has come to its end; those that are
    /// later than `within` are stopped where they are.
    pub(crate) async fn end(&self, within: Duration) {
        let mut tasks = {
            let mut running = self.running();
            running.is_closed = true;
            std::mem::take(&mut running.tasks)
        };
        let all_ended = async { while tasks.join_next().await.is_some() {} };
        let _ = timeout(within, all_ended).await;
    }

    fn registrar(&self, client: Client) -> Registrar {
        let mut wanted = self.core.wanted.subscribe();
        let mut load = self.load.clone();
        let first = wanted.borrow_and_update().clone();
        let first_load = *load.borrow_and_update();
        let life = Life::new(Arc::clone(&self.plan), first, first_load, rand::random(), now());
        let status = Arc::clone(&self.core.status);
        let news = client.news();
        Registrar { life, client, wanted, load, news, status, answers: false, last_logged: None }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        // Whatever a panic left behind is a list of tasks, and still true.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
