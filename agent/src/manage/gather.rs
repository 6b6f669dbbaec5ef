//! From what all members say to one report. Who does not answer in time is shown as silent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use muster_cluster::{Copies, MemberId, NodeId};
use muster_protocol::cluster::report::{
    CacheMember, CacheReport, CachesReport, ClusterReport, DeploymentKind, DeploymentMember,
    DeploymentReport, DeploymentsReport, Lives, MemberReport, MemberState, QuorumReport,
    SegmentReport, SegmentsReport, TableReport,
};
use serde::de::DeserializeOwned;

use super::lives::deployment;
use super::told::{Ask, Rows, SERVICE, Told};
use super::{Ground, view_name, warn};
use crate::engine::{Member, Targets, View};

/// Those who ask within this time get the same answer.
const FRESH: Duration = Duration::from_millis(200);

/// What all members said at one moment.
pub(super) struct Gathered {
    pub(super) me: Member,
    pub(super) view: Arc<View>,
    /// The same with rows and voters, where the members keep the data.
    pub(super) inside: Option<Arc<muster_cluster::View>>,
    pub(super) told: BTreeMap<MemberId, Result<Told, String>>,
}

impl Ground {
    /// Asks all members, or takes what was gathered just now.
    pub(super) async fn gather(&self) -> Arc<Gathered> {
        // Whoever comes while the others are asked waits here for the same answer.
        let mut last = self.gathered.lock().await;
        if let Some((at, gathered)) = &*last
            && at.elapsed() < FRESH
        {
            return gathered.clone();
        }
        let group = self.engine.group();
        let told = self.ask_all(Ask::Report).await;
        let inside = self.inside.as_ref().and_then(|inside| inside.view());
        let (me, view) = (group.local(), group.view());
        let gathered = Arc::new(Gathered { me, view, inside, told });
        *last = Some((Instant::now(), gathered.clone()));
        gathered
    }

    /// What is asked next is asked anew: something has changed.
    pub(super) async fn forget_gathered(&self) {
        *self.gathered.lock().await = None;
    }

    pub(super) async fn ask_all<T: DeserializeOwned>(
        &self,
        ask: Ask,
    ) -> BTreeMap<MemberId, Result<T, String>> {
        let command = Bytes::from(serde_json::to_vec(&ask).unwrap_or_default());
        let dispatch = self.engine.dispatch();
        let deadline = self.settings.deadline;
        let answers = dispatch.cast(Targets::All, SERVICE, command, deadline).await;
        let read = |answer: Result<Bytes, crate::engine::CallError>| {
            let bytes = answer.map_err(|error| error.to_string())?;
            serde_json::from_slice(&bytes).map_err(|error| format!("its answer is bad: {error}"))
        };
        answers.all().await.into_iter().map(|(id, answer)| (id, read(answer))).collect()
    }

    pub(super) async fn cluster(&self) -> ClusterReport {
        let gathered = self.gather().await;
        gathered.cluster(&self.settings.cluster, self.engine.name())
    }

    pub(super) async fn caches(&self) -> CachesReport {
        self.gather().await.caches()
    }

    pub(super) async fn deployments(&self) -> DeploymentsReport {
        self.gather().await.deployments()
    }

    pub(super) async fn segments(&self) -> SegmentsReport {
        let inside = self.inside.as_ref().and_then(|inside| inside.view());
        let Some(view) = inside else {
            let view = view_name(&self.engine.group().view());
            return SegmentsReport { view, tables: Vec::new() };
        };
        let told: BTreeMap<MemberId, Result<Rows, String>> = self.ask_all(Ask::Rows).await;
        let groups = told.into_values().flatten().flatten().collect();
        segments(&view, view_name(&self.engine.group().view()), &groups)
    }
}

// === impl Gathered ===

impl Gathered {
    fn cluster(&self, name: &str, engine: &str) -> ClusterReport {
        let answered: Vec<&Told> = self.told.values().flatten().collect();
        let mine = self.told.get(&self.me.id).and_then(|told| told.as_ref().ok());
        let sum = |of: fn(&Told) -> u64| answered.iter().map(|told| of(told)).sum();
        let quorum = QuorumReport {
            needed: self.inside.as_ref().and_then(|view| view.electorate.quorum),
            known: self.voters().into_iter().map(|(_, name)| name).collect(),
            is_quorate: self.view.is_quorate,
        };
        let mut report = ClusterReport {
            name: name.to_owned(),
            engine: engine.to_owned(),
            me: self.me.name.to_string(),
            coordinator: self.view.coordinator().name.to_string(),
            view: view_name(&self.view),
            quorum,
            segments: self.inside.as_ref().map_or(0, |view| count(view.rows.len())),
            members: self.members(),
            lost_rows: sum(|told| told.lost_rows),
            merges: answered.iter().map(|told| told.merges).max().unwrap_or(0),
            overridden: sum(|told| told.overridden),
            history: mine.map(|mine| mine.history.clone()).unwrap_or_default(),
            warnings: Vec::new(),
        };
        report.warnings = warn::warnings(&report, self);
        report
    }

    fn members(&self) -> Vec<MemberReport> {
        let shares = self.inside.as_ref().map(|view| shares(view)).unwrap_or_default();
        let member = |member: &Member| {
            let told = self.told.get(&member.id);
            let inner = self.inside.as_ref().and_then(|view| view.member(member.id.node));
            let (state, error) = match told {
                Some(Ok(_)) if inner.is_some_and(|inner| inner.leaving) => {
                    (MemberState::Leaving, None)
                }
                Some(Ok(_)) => (MemberState::Up, None),
                Some(Err(error)) => (MemberState::Silent, Some(error.clone())),
                None => (MemberState::Silent, Some("it was not asked yet".to_owned())),
            };
            let told = told.and_then(|told| told.as_ref().ok());
            let share = shares.get(&member.id.node).copied().unwrap_or_default();
            let of = |told: &Told, of: fn(&CacheMember) -> u64| -> u64 {
                told.caches.iter().map(|cache| of(&cache.numbers)).sum()
            };
            MemberReport {
                name: member.name.to_string(),
                node: format!("{:032x}", member.id.node.0),
                life: member.id.incarnation,
                address: member.address.to_string(),
                state,
                error,
                age_ms: told.map(|told| told.age_ms),
                join: member.join,
                weight: inner.map_or(100, |inner| inner.weight),
                primary: share.primary,
                owned: share.owned,
                filling: share.filling,
                entries: told.map_or(0, |told| of(told, |n| n.distribution.entries)),
                bytes: told.map_or(0, |told| of(told, |n| n.distribution.bytes)),
            }
        };
        let away = self.voters().into_iter();
        let away = away.filter(|(node, _)| !self.view.members.iter().any(|m| m.id.node == *node));
        let away = away.map(|(node, name)| {
            let share = shares.get(&node).copied().unwrap_or_default();
            MemberReport {
                name,
                node: format!("{:032x}", node.0),
                life: 0,
                address: String::new(),
                state: MemberState::Away,
                error: None,
                age_ms: None,
                join: 0,
                weight: 0,
                primary: share.primary,
                owned: share.owned,
                filling: share.filling,
                entries: 0,
                bytes: 0,
            }
        });
        self.view.members.iter().map(member).chain(away).collect()
    }

    fn voters(&self) -> Vec<(NodeId, String)> {
        let known = self.inside.iter().flat_map(|view| &view.electorate.known);
        known.map(|(node, name)| (*node, name.to_string())).collect()
    }

    fn caches(&self) -> CachesReport {
        let mut caches: BTreeMap<&str, CacheReport> = BTreeMap::new();
        let mut silent = Vec::new();
        for member in &self.view.members {
            let Some(Ok(told)) = self.told.get(&member.id) else {
                silent.push(member.name.to_string());
                continue;
            };
            for cache in &told.caches {
                let report = caches.entry(&cache.name).or_insert_with(|| CacheReport {
                    name: cache.name.clone(),
                    mode: cache.mode.clone(),
                    entries: 0,
                    bytes: 0,
                    view: Vec::new(),
                    members: Vec::new(),
                });
                let is_shared = matches!(report.mode.as_str(), "distributed" | "replicated");
                let kept = cache.numbers.distribution;
                report.entries += if is_shared { kept.primary_entries } else { kept.entries };
                report.bytes += kept.bytes;
                report.view.push(member.name.to_string());
                let member = member.name.to_string();
                report.members.push(CacheMember { member, ..cache.numbers.clone() });
            }
        }
        CachesReport { caches: caches.into_values().collect(), silent }
    }

    fn deployments(&self) -> DeploymentsReport {
        let mut deployments = BTreeMap::new();
        let mut silent = Vec::new();
        for member in &self.view.members {
            let name = member.name.to_string();
            let Some(Ok(told)) = self.told.get(&member.id) else {
                silent.push(name);
                continue;
            };
            for cache in &told.caches {
                if let (Some(key), Some(lives)) = (deployment(&cache.name), cache.lives) {
                    let report = deployments.entry(key).or_insert_with(|| new(key, &cache.mode));
                    add(report, &name, lives, &cache.numbers);
                }
            }
        }
        DeploymentsReport { deployments: deployments.into_values().collect(), silent }
    }
}

fn new((kind, name): (DeploymentKind, &str), mode: &str) -> DeploymentReport {
    let (name, mode) = (name.to_owned(), mode.to_owned());
    let (view, members) = (Vec::new(), Vec::new());
    DeploymentReport { kind, name, mode, active: 0, bytes: 0, view, members }
}

/// What one more member says.
fn add(report: &mut DeploymentReport, member: &str, lives: Lives, numbers: &CacheMember) {
    let CacheMember { member: _, distribution, operations, rpc, batches } = numbers.clone();
    report.active += lives.active;
    report.bytes += distribution.bytes;
    report.view.push(member.to_owned());
    let member = member.to_owned();
    let told = DeploymentMember { member, lives, distribution, operations, rpc, batches };
    report.members.push(told);
}

/// A member's share of the rows.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    primary: u32,
    owned: u32,
    filling: u32,
}

fn shares(view: &muster_cluster::View) -> BTreeMap<NodeId, Share> {
    let mut shares: BTreeMap<NodeId, Share> = BTreeMap::new();
    for row in &view.rows {
        for (at, owner) in row.owners.iter().enumerate() {
            let share = shares.entry(*owner).or_default();
            share.owned += 1;
            share.primary += u32::from(at == 0);
        }
        for pending in &row.pending {
            shares.entry(*pending).or_default().filling += 1;
        }
    }
    shares
}

fn segments(
    view: &muster_cluster::View,
    name_of_view: String,
    groups: &BTreeMap<u16, u64>,
) -> SegmentsReport {
    let name = |node: &NodeId| match view.member(*node) {
        Some(member) => member.name.to_string(),
        None => view.electorate.known.get(node).map_or_else(|| node.to_string(), |n| n.to_string()),
    };
    let per_table = usize::from(view.segments.max(1));
    let table = |(at, rows): (usize, &[muster_cluster::Row])| TableReport {
        copies: match view.tables.get(at) {
            Some(Copies::Some(copies)) => Some(*copies),
            Some(Copies::Every) | None => None,
        },
        segments: (rows.iter().zip(0..))
            .map(|(row, segment)| SegmentReport {
                segment,
                owners: row.owners.iter().map(name).collect(),
                pending: row.pending.iter().map(name).collect(),
                groups: u16::try_from(at * per_table + segment as usize)
                    .ok()
                    .and_then(|row| groups.get(&row).copied()),
            })
            .collect(),
    };
    let tables = view.rows.chunks(per_table).enumerate().map(table).collect();
    SegmentsReport { view: name_of_view, tables }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
