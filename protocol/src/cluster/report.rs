//! What the management of a member answers: one cluster as all of its members see it together. Any
//! member answers for all; what one cannot be asked is said, not left out.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/cluster` | [`ClusterReport`] |
//! | `GET /v1/cluster/segments` | [`SegmentsReport`] |
//! | `GET /v1/cluster/caches` | [`CachesReport`] |
//! | `GET /v1/cluster/caches/{name}` | [`CacheReport`] |
//! | `GET /v1/cluster/deployments` | [`DeploymentsReport`] |
//! | `GET /v1/cluster/deployments/{kind}/{name}` | [`DeploymentReport`] |
//! | `POST /v1/cluster/quorum` with [`QuorumWish`] | [`Done`] |
//! | `POST /v1/cluster/forget` with [`NodeWish`] | [`Done`] |
//! | `POST /v1/cluster/leave` with [`NodeWish`] | [`Done`] |
//! | `POST /v1/cluster/caches/{name}/clear` | [`Done`] |
//!
//! All else is answered with a status of 400 or more and [`NotDone`]. The same as an OpenAPI document:
//! `GET /v1/openapi.json`.

use serde::{Deserialize, Serialize};

/// Most changes of the view that are remembered.
pub const MOST_CHANGES: usize = 20;

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClusterReport {
    /// Its name.
    pub name: String,
    /// What keeps it together: `embedded`, `local`, `nats`.
    pub engine: String,
    /// The member that answers.
    pub me: String,
    /// The oldest member.
    pub coordinator: String,
    /// The view in force, as the member that answers has it.
    pub view: String,
    /// How many members must be there.
    pub quorum: QuorumReport,
    /// Rows that are kept by members, of all tables; 0 where nothing is shared.
    pub segments: u32,
    /// The members, oldest first, then nodes that vote and are away.
    pub members: Vec<MemberReport>,
    /// Rows that began empty although they had owners: what was in them is lost.
    pub lost_rows: u64,
    /// How often two sides of a split met.
    pub merges: u64,
    /// Values that did not survive when two sides met.
    pub overridden: u64,
    /// The last changes of the view, the latest first, [`MOST_CHANGES`] at most.
    pub history: Vec<ViewChange>,
    /// What is wrong, in words, the worst first.
    pub warnings: Vec<Warning>,
}

/// How many members must be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct QuorumReport {
    /// How many of the known nodes; none where each side of a split may serve.
    pub needed: Option<u16>,
    /// The nodes that vote, by name; empty without a quorum.
    pub known: Vec<String>,
    /// Whether enough are in sight.
    pub is_quorate: bool,
}

/// A member, or a node that votes and is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MemberReport {
    /// Its name.
    pub name: String,
    /// Its node's id, 32 hexadecimal digits.
    pub node: String,
    /// Which life of the node.
    pub life: u64,
    /// Where its channel listens.
    pub address: String,
    /// How it stands.
    pub state: MemberState,
    /// Why it said nothing, where it is silent.
    pub error: Option<String>,
    /// How long its process has been running, in milliseconds.
    pub age_ms: Option<u64>,
    /// The order in which the members came.
    pub join: u64,
    /// Its share of the rows; 100 is usual.
    pub weight: u16,
    /// Rows whose reads and writes it takes.
    pub primary: u32,
    /// Rows that it keeps.
    pub owned: u32,
    /// Rows that it is being filled with.
    pub filling: u32,
    /// Entries that it keeps.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// How a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum MemberState {
    /// It answers.
    Up,
    /// It is in the view and did not answer.
    Silent,
    /// It hands over what it has.
    Leaving,
    /// It votes and is not in the view.
    Away,
}

/// A change of who is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ViewChange {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The view: the first one with these members.
    pub view: String,
    /// Who is there, by name, oldest first.
    pub members: Vec<String>,
    /// What has changed, in words.
    pub reason: String,
    /// Whether enough voters were in sight.
    pub is_quorate: bool,
    /// Views with these members: while rows move there are several.
    pub views: u32,
    /// How long it took until every row had all of its owners; none while it goes on, or where no
    /// rows are shared.
    pub settled_ms: Option<u64>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Warning {
    /// What.
    pub kind: WarningKind,
    /// In words.
    pub text: String,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum WarningKind {
    /// Too few members are in sight.
    NotQuorate,
    /// Rows began empty although they had owners.
    Lost,
    /// Two sides of a split met.
    Merged,
    /// A member does not answer.
    Silent,
    /// A node that votes is away.
    Away,
    /// Rows are kept by fewer members than they should.
    Unsettled,
    /// Members see different views.
    Views,
}

/// Who keeps what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SegmentsReport {
    /// The view.
    pub view: String,
    /// The tables; none where nothing is shared.
    pub tables: Vec<TableReport>,
}

/// Rows that are kept alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TableReport {
    /// How many members keep each row; none for every member.
    pub copies: Option<u8>,
    /// Its rows in their order.
    pub segments: Vec<SegmentReport>,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SegmentReport {
    /// Its number.
    pub segment: u32,
    /// Who keeps it, the primary first; empty while it waits for an owner that is away.
    pub owners: Vec<String>,
    /// Who is being filled.
    pub pending: Vec<String>,
    /// Key groups in it, as its primary says.
    pub groups: Option<u64>,
}

/// The caches of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CachesReport {
    /// By name.
    pub caches: Vec<CacheReport>,
    /// Members that did not answer.
    pub silent: Vec<String>,
}

/// A cache (`cluster=X/cache=Y`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CacheReport {
    /// Its name.
    pub name: String,
    /// Where its entries are kept: `distributed`, `replicated`, `invalidated`, `local`.
    pub mode: String,
    /// Entries in the cluster; where nothing is shared, of all members together.
    pub entries: u64,
    /// Bytes of the keys and values of all copies.
    pub bytes: u64,
    /// The members that have it, oldest first.
    pub view: Vec<String>,
    /// What each of them says.
    pub members: Vec<CacheMember>,
}

/// A cache on one member. All but `distribution` are numbers that only rise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CacheMember {
    /// The member.
    pub member: String,
    /// What it keeps.
    pub distribution: Distribution,
    /// What was asked of it.
    pub operations: Operations,
    /// What it asked of others.
    pub rpc: Rpc,
    /// Changes that happen together or not at all.
    pub batches: Batches,
}

/// The deployments of a cluster: applications with sessions, kinds of stateful components, single
/// sign-ons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeploymentsReport {
    /// Applications first, then components, then single sign-ons, each by name.
    pub deployments: Vec<DeploymentReport>,
    /// Members that did not answer.
    pub silent: Vec<String>,
}

/// A deployment, in counts only: nothing here tells of a single session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeploymentReport {
    /// What is deployed.
    pub kind: DeploymentKind,
    /// The application's name, that of the components, or that of the single sign-on.
    pub name: String,
    /// Where its entries are kept: `distributed`, `replicated`, `local`.
    pub mode: String,
    /// Sessions, components or identities in the cluster; where nothing is shared, of all members
    /// together.
    pub active: u64,
    /// Bytes of the keys and values of all copies.
    pub bytes: u64,
    /// The members that have it, oldest first.
    pub view: Vec<String>,
    /// What each of them says.
    pub members: Vec<DeploymentMember>,
}

/// What is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum DeploymentKind {
    /// An application's sessions.
    Web,
    /// Stateful components of one kind.
    Bean,
    /// Identities that several applications share.
    Sso,
}

/// A deployment on one member. All but `distribution`, `active` and `copies` are numbers that only
/// rise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeploymentMember {
    /// The member.
    pub member: String,
    /// Sessions, components or identities that came and went.
    pub lives: Lives,
    /// What it keeps.
    pub distribution: Distribution,
    /// What was asked of it.
    pub operations: Operations,
    /// What it asked of others.
    pub rpc: Rpc,
    /// Checkouts, and what became of them.
    pub batches: Batches,
}

/// Sessions, components or identities that came and went on a member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Lives {
    /// Those whose primary it is: summed over all members, all there are.
    pub active: u64,
    /// Those of which it keeps a copy.
    pub copies: u64,
    /// Created there.
    pub created: u64,
    /// Ended there by a caller.
    pub invalidated: u64,
    /// Those whose time was over while it was their primary.
    pub expired: u64,
    /// Requests that wrote their session there, calls of components, requests that had their
    /// identity.
    pub calls: u64,
    /// Sent to its store, its own and copies.
    pub passivated: u64,
    /// Come back from it.
    pub activated: u64,
}

/// What a member keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Distribution {
    /// Entries.
    pub entries: u64,
    /// Of those, entries whose primary it is.
    pub primary_entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// What was asked of a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Operations {
    /// Reads that found something.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Values written.
    pub puts: u64,
    /// Entries removed.
    pub removes: u64,
    /// Entries whose time was over.
    pub expired: u64,
}

/// Calls to other members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Rpc {
    /// How many.
    pub count: u64,
    /// Those that failed.
    pub failures: u64,
}

/// Batches under a checkout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Batches {
    /// Checkouts.
    pub prepares: u64,
    /// Commits.
    pub commits: u64,
    /// Checkouts that ended without one.
    pub rollbacks: u64,
}

/// Another quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct QuorumWish {
    /// How many members must be there; none for none.
    pub quorum: Option<u16>,
    /// Even when it is at most half of the known nodes, so that two sides of a split may both serve.
    #[serde(default)]
    pub force: bool,
}

/// A node, by its name or its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NodeWish {
    /// Which.
    pub node: String,
}

/// It was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Done {
    /// What, in words.
    pub done: String,
}

/// It was not done, and nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NotDone {
    /// Why.
    pub error: String,
}

// === impl DeploymentKind ===

impl DeploymentKind {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            DeploymentKind::Web => "web",
            DeploymentKind::Bean => "bean",
            DeploymentKind::Sso => "sso",
        }
    }
}

// === impl MemberState ===

impl MemberState {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            MemberState::Up => "up",
            MemberState::Silent => "silent",
            MemberState::Leaving => "leaving",
            MemberState::Away => "away",
        }
    }
}
