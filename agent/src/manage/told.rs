//! What one member says of itself when another one asks. It travels between members as JSON, so that
//! releases side by side read what they know of it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_cluster::{MemberId, RowId};
use muster_protocol::cluster::report::{
    Batches, CacheMember, Distribution, Lives, Operations, Rpc, ViewChange,
};
use serde::{Deserialize, Serialize};

use super::queues::{self, QueueTold};
use super::{Ground, view_name};
use crate::engine::{Handler, Map, MapStats, Mode};
use crate::singleton::SingletonTold;

/// The service by which members ask each other.
pub(super) const SERVICE: &str = "muster.manage";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    /// How do you stand?
    Report,
    /// How many key groups are in the rows whose primary you are?
    Rows,
    /// What have you seen?
    Events,
    /// Hand over what you have, and leave.
    Leave,
}

/// What a member says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    /// How long its process has been running.
    pub(super) age_ms: u64,
    /// The view that it has.
    pub(super) view: String,
    /// Whether enough voters are in its sight.
    pub(super) is_quorate: bool,
    /// See [`super::Inside`].
    pub(super) lost_rows: u64,
    pub(super) overridden: u64,
    /// Merges that it has seen.
    pub(super) merges: u64,
    /// The caches that it has.
    pub(super) caches: Vec<CacheTold>,
    /// The singletons that it offers.
    pub(super) singletons: Vec<SingletonTold>,
    /// The queues that it uses or keeps for others.
    pub(super) queues: Vec<QueueTold>,
    /// The changes that it saw, the latest first.
    pub(super) history: Vec<ViewChange>,
}

/// A cache of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CacheTold {
    /// Its name.
    pub(super) name: String,
    /// Its mode.
    pub(super) mode: String,
    /// Its numbers; the member's name is that of whoever told.
    pub(super) numbers: CacheMember,
    /// Where it is a deployment's.
    #[serde(default)]
    pub(super) lives: Option<Lives>,
}

/// Rows with their key groups.
pub(super) type Rows = Vec<(RowId, u64)>;

/// Whether a map is the cluster's own, which no operator sees as a cache.
pub(super) fn is_own(map: &str) -> bool {
    map.starts_with("muster.")
}

/// Answers other members.
pub(super) struct Teller(Weak<Ground>);

// === impl Teller ===

impl Teller {
    pub(super) fn new(ground: &Arc<Ground>) -> Arc<Teller> {
        Arc::new(Teller(Arc::downgrade(ground)))
    }
}

#[async_trait]
impl Handler for Teller {
    async fn handle(&self, from: MemberId, command: Bytes) -> Result<Bytes, String> {
        let ground = self.0.upgrade().ok_or("the management has ended")?;
        let ask: Ask = serde_json::from_slice(&command).map_err(|error| error.to_string())?;
        let answer = match ask {
            Ask::Report => serde_json::to_vec(&ground.told()),
            Ask::Rows => serde_json::to_vec(&ground.rows()),
            Ask::Events => serde_json::to_vec(&ground.events_here()),
            Ask::Leave => {
                tracing::info!(%from, "an operator wants this member to leave the cluster");
                ground.leave_soon()?;
                serde_json::to_vec(&())
            }
        };
        answer.map(Bytes::from).map_err(|error| error.to_string())
    }
}

// === impl Ground ===

impl Ground {
    pub(super) fn told(&self) -> Told {
        let (group, inside) = (self.engine.group(), self.inside.as_ref());
        let view = group.view();
        Told {
            age_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            view: view_name(&view),
            is_quorate: view.is_quorate,
            lost_rows: inside.map_or(0, |inside| inside.lost_rows()),
            overridden: inside.map_or(0, |inside| inside.overridden()),
            merges: view.merges,
            caches: self.caches_told(),
            singletons: self.table().map(|table| table.told()).unwrap_or_default(),
            queues: queues::told(&self.engine.queues(), &view),
            history: self.history.lock().latest_first(),
        }
    }

    /// Maps that are the cluster's own are nobody's caches.
    fn caches_told(&self) -> Vec<CacheTold> {
        let maps = self.engine.maps();
        let others = maps.iter().filter(|map| !is_own(&map.spec().name));
        others.map(|map| self.cache_told(&**map)).collect()
    }

    fn cache_told(&self, map: &dyn Map) -> CacheTold {
        let (spec, stats) = (map.spec(), map.stats());
        CacheTold {
            name: spec.name.clone(),
            mode: mode(spec.mode).to_owned(),
            numbers: numbers(&stats),
            lives: self.tallies.lives(&spec.name, &stats),
        }
    }

    fn rows(&self) -> Rows {
        let me = self.engine.group().local().id.node;
        let Some(inside) = &self.inside else { return Vec::new() };
        let Some(view) = inside.view() else { return Vec::new() };
        let rows = view.rows.iter().zip(0..);
        let mine = rows.filter(|(row, _)| row.owners.first() == Some(&me)).map(|(_, at)| at);
        let mine: Vec<RowId> = mine.collect();
        let groups = inside.groups(&mine);
        mine.into_iter().zip(groups).filter_map(|(row, groups)| Some((row, groups?))).collect()
    }

    /// Begins to leave; the answer goes out before.
    fn leave_soon(&self) -> Result<(), String> {
        if self.inside.is_none() {
            return Err(format!(
                "the engine {} has no members that could leave",
                self.engine.name()
            ));
        }
        let (engine, act, patience) =
            (self.engine.clone(), self.before_leaving.clone(), self.settings.patience);
        self.tasks.spawn(async move {
            tokio::time::sleep(LEAVE_AFTER).await;
            if let Some(act) = act.get()
                && tokio::time::timeout(patience, act()).await.is_err()
            {
                tracing::warn!(
                    ?patience,
                    "this member leaves while sessions or singletons are not at their end"
                );
            }
            engine.shutdown().await;
            tracing::info!("this member has left the cluster");
        });
        Ok(())
    }
}

/// Time for the answer to go out: once it has left nobody hears it.
const LEAVE_AFTER: Duration = Duration::from_millis(100);

fn numbers(stats: &MapStats) -> CacheMember {
    // Whole, so that whoever adds a number decides where it is shown.
    let MapStats {
        groups: _,
        primary_groups: _,
        groups_in_memory: _,
        groups_on_shelf: _,
        passivations: _,
        activations: _,
        shelf_errors: _,
        entries,
        primary_entries,
        bytes,
        hits,
        misses,
        puts,
        removes,
        expired,
        rpcs,
        rpc_failures,
        prepares,
        commits,
        rollbacks,
    } = *stats;
    CacheMember {
        member: String::new(),
        distribution: Distribution { entries, primary_entries, bytes },
        operations: Operations { hits, misses, puts, removes, expired },
        rpc: Rpc { count: rpcs, failures: rpc_failures },
        batches: Batches { prepares, commits, rollbacks },
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Local => "local",
        Mode::Distributed => "distributed",
        Mode::Replicated => "replicated",
        Mode::Invalidated => "invalidated",
    }
}
