//! Clusters of back ends: who is there, who keeps what, and what is wrong.

use serde::Serialize;

use super::{Event, Job, Level, Queue, Settings};

/// A cluster, as one of its members answered last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Why nobody answered the last time.
    pub error: Option<String>,
    /// Seconds since a member answered; `None` where none ever has.
    pub seconds_since_answer: Option<u64>,
    /// What keeps it together.
    pub engine: String,
    /// The view in force.
    pub view: String,
    /// How many members must be there, if so many must.
    pub quorum: Option<u16>,
    /// Nodes that vote.
    pub known: usize,
    /// Whether enough are in sight.
    pub is_quorate: bool,
    /// Rows that members keep, of all tables.
    pub segments: u32,
    /// Its members, oldest first, then nodes that vote and are away.
    pub members: Vec<Member>,
    /// The last changes of the view, the latest first.
    pub history: Vec<Change>,
    /// What is wrong, in words, the worst first.
    pub warnings: Vec<ClusterWarning>,
    /// Its caches, by name.
    pub caches: Vec<Cache>,
    /// Applications with sessions, then stateful components, then single sign-ons, each by name.
    pub deployments: Vec<Deployment>,
    /// Its singletons, by name.
    pub singletons: Vec<Singleton>,
    /// Its jobs, by name.
    pub jobs: Vec<Job>,
    /// Its queues, by name.
    pub queues: Vec<Queue>,
    /// What is set for all members; `None` where none has told.
    pub settings: Option<Settings>,
    /// What its members tell that has happened, the latest first.
    pub events: Vec<Event>,
}

/// A service of which one member at a time runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Singleton {
    /// Its name.
    pub name: String,
    /// `service`, `daemon` or `deployment`.
    pub kind: String,
    /// By which policy its provider is elected.
    pub policy: String,
    /// Who runs it; `None` where nobody does.
    pub provider: Option<String>,
    /// With which token.
    pub token: Option<String>,
    /// Why nobody is elected.
    pub no_provider: Option<String>,
    /// The node to which an operator moved it.
    pub moved: Option<String>,
    /// Who offers it, oldest first.
    pub candidates: Vec<String>,
    /// What each of them says.
    pub members: Vec<SingletonMember>,
    /// What has happened, the latest first.
    pub history: Vec<SingletonChange>,
}

/// A singleton on one member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SingletonMember {
    /// The member.
    pub member: String,
    /// Where it stands there.
    pub state: String,
    /// How often it was started.
    pub starts: u64,
    /// How often it failed.
    pub failures: u64,
    /// How often its lease was lost.
    pub lost: u64,
    /// How often it did not stop in time.
    pub cut_off: u64,
}

/// Something that has happened with a singleton.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SingletonChange {
    /// When, as RFC 3339 has it.
    pub at: String,
    /// The same in seconds before now.
    pub seconds_ago: u64,
    /// On which member.
    pub member: String,
    /// What, in words.
    pub text: String,
}

/// A member of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: MemberState,
    /// Whether it is the oldest.
    pub is_coordinator: bool,
    /// Where its channel listens.
    pub address: String,
    /// Seconds since its process began.
    pub age_seconds: Option<u64>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// It answers.
    Up,
    /// It is in the view and does not answer.
    Silent,
    /// It hands over what it has.
    Leaving,
    /// It votes and is not in the view.
    Away,
}

/// A change of who is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When, as RFC 3339 has it.
    pub at: String,
    /// The same in seconds before now.
    pub seconds_ago: u64,
    /// What has changed, in words.
    pub reason: String,
    /// Who is there.
    pub members: Vec<String>,
    /// Milliseconds until every row had its owners.
    pub settled_ms: Option<u64>,
}

/// Something that is wrong with a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterWarning {
    /// How grave it is.
    pub level: Level,
    /// Whether it is over, and stays told for what it did.
    pub is_past: bool,
    /// In words.
    pub text: String,
}

/// A cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cache {
    /// Its name.
    pub name: String,
    /// Where its entries are kept.
    pub mode: String,
    /// Entries in the cluster.
    pub entries: u64,
    /// Bytes of all copies.
    pub bytes: u64,
    /// What each member that has it says, oldest first.
    pub members: Vec<CacheMember>,
}

/// An application's sessions, stateful components of one kind, or identities that applications
/// share. Counts only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deployment {
    /// `web`, `bean` or `sso`.
    pub kind: String,
    /// The application's name, that of the components, or that of the single sign-on.
    pub name: String,
    /// Where its entries are kept.
    pub mode: String,
    /// Sessions, components or identities in the cluster.
    pub active: u64,
    /// Bytes of all copies.
    pub bytes: u64,
    /// What each member that has it says, oldest first.
    pub members: Vec<DeploymentMember>,
}

/// A deployment on one member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeploymentMember {
    /// Sessions, components or identities whose primary it is.
    pub active: u64,
    /// Those of which it keeps a copy.
    pub copies: u64,
    /// Created there.
    pub created: u64,
    /// Ended there.
    pub invalidated: u64,
    /// Those whose time was over.
    pub expired: u64,
    /// Requests that wrote or had them, calls of components.
    pub calls: u64,
    /// Sent to its store.
    pub passivated: u64,
    /// Come back from it.
    pub activated: u64,
    /// The member, and how it keeps them.
    pub cache: CacheMember,
}

/// A cache on one member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CacheMember {
    /// The member.
    pub member: String,
    /// Entries that it keeps.
    pub entries: u64,
    /// Of those, entries whose primary it is.
    pub primary_entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
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
    /// Calls to other members.
    pub rpcs: u64,
    /// Those that failed.
    pub rpc_failures: u64,
    /// Checkouts.
    pub prepares: u64,
    /// Commits.
    pub commits: u64,
    /// Checkouts that ended without one.
    pub rollbacks: u64,
}

// === impl MemberState ===

impl MemberState {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            MemberState::Up => "up",
            MemberState::Silent => "silent",
            MemberState::Leaving => "leaving",
            MemberState::Away => "away",
        }
    }

    /// The word of a node's state that looks alike.
    pub(crate) fn tone(self) -> &'static str {
        match self {
            MemberState::Up => "up",
            MemberState::Silent => "down",
            MemberState::Leaving => "draining",
            MemberState::Away => "stopped",
        }
    }
}

// === impl Change ===

impl Change {
    /// Seconds until every row had its owners.
    pub(crate) fn settled_seconds(&self) -> Option<f64> {
        self.settled_ms.map(|ms| ms as f64 / 1000.0)
    }
}

// === impl Deployment ===

impl Deployment {
    /// By what it is found: `web/shop`.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// In words.
    pub(crate) fn what(&self) -> &'static str {
        match self.kind.as_str() {
            "bean" => "components",
            "sso" => "identities",
            _ => "sessions",
        }
    }

    /// Created by all members.
    pub(crate) fn created(&self) -> u64 {
        self.sum(|member| member.created)
    }

    /// Ended by all members.
    pub(crate) fn invalidated(&self) -> u64 {
        self.sum(|member| member.invalidated)
    }

    /// Those whose time was over.
    pub(crate) fn expired(&self) -> u64 {
        self.sum(|member| member.expired)
    }

    /// Requests that wrote or had them, calls of components.
    pub(crate) fn calls(&self) -> u64 {
        self.sum(|member| member.calls)
    }

    /// Sent to stores.
    pub(crate) fn passivated(&self) -> u64 {
        self.sum(|member| member.passivated)
    }

    /// Calls between members that failed.
    pub(crate) fn rpc_failures(&self) -> u64 {
        self.sum(|member| member.cache.rpc_failures)
    }

    fn sum(&self, of: fn(&DeploymentMember) -> u64) -> u64 {
        self.members.iter().map(of).fold(0, u64::saturating_add)
    }
}

// === impl Cache ===

impl Cache {
    /// Values written.
    pub(crate) fn puts(&self) -> u64 {
        self.sum(|member| member.puts)
    }

    /// Calls between members.
    pub(crate) fn rpcs(&self) -> u64 {
        self.sum(|member| member.rpcs)
    }

    /// Those that failed.
    pub(crate) fn rpc_failures(&self) -> u64 {
        self.sum(|member| member.rpc_failures)
    }

    fn sum(&self, of: fn(&CacheMember) -> u64) -> u64 {
        self.members.iter().map(of).fold(0, u64::saturating_add)
    }

    /// Reads that found something, in percent; `None` without reads.
    pub(crate) fn hit_percent(&self) -> Option<f64> {
        let (hits, misses) = (self.sum(|m| m.hits), self.sum(|m| m.misses));
        let reads = hits.saturating_add(misses);
        (reads > 0).then(|| hits as f64 * 100.0 / reads as f64)
    }
}
