//! What the management of a member answers about singletons: services of which one member at a time
//! runs each.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/cluster/singletons` | [`SingletonsReport`] |
//! | `GET /v1/cluster/singletons/{name}` | [`SingletonReport`] |
//! | `POST /v1/cluster/singletons/{name}/move` with [`MoveWish`] | [`super::report::Done`] |

use serde::{Deserialize, Serialize};

/// Most happenings of a singleton that are shown.
pub const MOST_HAPPENINGS: usize = 64;

/// All singletons of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SingletonsReport {
    /// By name.
    pub singletons: Vec<SingletonReport>,
}

/// A service of which one member at a time runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SingletonReport {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SingletonKind,
    /// Whether every member runs it.
    pub is_everywhere: bool,
    /// The policy in force, in words.
    pub policy: String,
    /// Its name; empty for one of its own.
    pub policy_name: String,
    /// The least number of candidates.
    pub quorum: u16,
    /// Who runs it.
    pub provider: Option<String>,
    /// With which token: the greater the later.
    pub token: Option<String>,
    /// Who is elected, by the word of the oldest candidate.
    pub elected: Option<String>,
    /// Why nobody is.
    pub no_provider: Option<String>,
    /// The node to which an operator moved it.
    pub moved: Option<String>,
    /// Who offers it, oldest first.
    pub candidates: Vec<String>,
    /// What each of the members that have it says.
    pub members: Vec<SingletonMember>,
    /// What has happened, on whatever member, the latest first; [`MOST_HAPPENINGS`] at most.
    pub history: Vec<SingletonChange>,
}

/// What a singleton is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum SingletonKind {
    /// A service.
    #[default]
    Service,
    /// A service with a start and a stop.
    Daemon,
    /// An application that is active on one node.
    Deployment,
}

/// Where a singleton stands on a member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum SingletonState {
    /// It is not this member's to run.
    #[default]
    Standby,
    /// This member is elected, and waits for the provider before it to stop.
    Waiting,
    /// It runs.
    Running,
    /// It was told to stop.
    Stopping,
    /// It failed: for a while this member is no candidate.
    Resting,
    /// It was cut off and goes on all the same.
    Stuck,
    /// It is no more.
    Closed,
}

/// A singleton on one member. The counts only rise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SingletonMember {
    /// The member.
    pub member: String,
    /// Where it stands there.
    pub state: SingletonState,
    /// The token with which it runs there.
    pub token: Option<String>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SingletonChange {
    /// When, in milliseconds since 1970, by the clock of the member.
    pub at_ms: u64,
    /// On which member.
    pub member: String,
    /// What, in words.
    pub text: String,
}

/// Where an operator wants a singleton.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MoveWish {
    /// The node, by its name or its id; none is where the policy puts it.
    pub node: Option<String>,
}

// === impl SingletonKind ===

impl SingletonKind {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            SingletonKind::Service => "service",
            SingletonKind::Daemon => "daemon",
            SingletonKind::Deployment => "deployment",
        }
    }
}

// === impl SingletonState ===

impl SingletonState {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            SingletonState::Standby => "standby",
            SingletonState::Waiting => "waiting",
            SingletonState::Running => "running",
            SingletonState::Stopping => "stopping",
            SingletonState::Resting => "resting",
            SingletonState::Stuck => "stuck",
            SingletonState::Closed => "closed",
        }
    }
}
