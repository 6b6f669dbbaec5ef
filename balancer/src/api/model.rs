//! What the API shows: plain values, each field told in the OpenAPI document.
//!
//! Names come from nodes. JSON carries them unharmed; whoever shows them escapes them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The balancer as a whole.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Balancer {
    /// The product.
    pub(super) product: String,
    /// The name of this balancer among its peers.
    pub(super) name: String,
    /// `starting`, `ready` or `draining`.
    pub(super) state: String,
    /// Seconds since its start.
    pub(super) uptime_seconds: u64,
    /// Registered nodes.
    pub(super) nodes: usize,
    /// Of these, nodes that may be used now.
    pub(super) usable_nodes: usize,
    /// Requests at nodes.
    pub(super) requests_in_flight: u64,
    /// Drains under way.
    pub(super) drains: usize,
    /// Where more is to be found.
    pub(super) links: Links,
}

/// Where more is to be found, on this listener.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Links {
    /// Counters for Prometheus.
    pub(super) metrics: String,
    /// Whether the process lives.
    pub(super) livez: String,
    /// Whether it takes traffic.
    pub(super) readyz: String,
    /// This API's document.
    pub(super) openapi: String,
}

/// A node.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Node {
    /// Its name (JVMRoute).
    pub(super) route: String,
    /// The balancer name that it registered for.
    pub(super) balancer: String,
    /// Its load-balancing group.
    pub(super) group: Option<String>,
    /// Where it answers.
    pub(super) address: String,
    /// Whether it stands in the configuration file.
    pub(super) is_static: bool,
    /// Whether it answers.
    pub(super) health: Health,
    /// The load factor that holds: 1 to 100, 0 standby, -1 in an error state or down, -2 while it
    /// is checked for the first time.
    pub(super) load: i32,
    /// The load factor that it reported.
    pub(super) reported_load: Option<i32>,
    /// Its share among the usable nodes, 1 to 100; none when no request may be sent to it.
    pub(super) share: Option<u8>,
    /// Requests that were sent to it.
    pub(super) elected: u64,
    /// Attempts that ended without an answer.
    pub(super) failed: u64,
    /// Requests that are at it now.
    pub(super) requests_in_flight: u64,
    /// Bytes of answers from it.
    pub(super) bytes_read: u64,
    /// Bytes of requests' bodies to it.
    pub(super) bytes_sent: u64,
    /// How long ago its last STATUS came.
    pub(super) status_age_seconds: Option<f64>,
    /// The properties that hold.
    pub(super) properties: Properties,
    /// What it reports, where something else holds.
    pub(super) reported: Option<Properties>,
    /// What operators override.
    pub(super) overrides: NodeOverrides,
    /// What an operator said of the whole node.
    pub(super) word: Option<Word>,
    /// Its drain, under way, or over while its word stands.
    pub(super) drain: Option<Drain>,
    /// Its contexts.
    pub(super) contexts: Vec<Context>,
}

/// Whether a node answers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Health {
    /// It was never asked yet.
    Checking,
    /// It does.
    Up,
    /// The last probes timed out.
    Suspect,
    /// It does not.
    Down,
}

/// Properties of a node that operators may override.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Properties {
    /// Bound of a probe and of a connect.
    pub(super) ping_ms: u64,
    /// Bound of its silence; none for the balancer's own.
    pub(super) timeout_ms: Option<u64>,
    /// How long to gather before a flush.
    pub(super) flush_wait_ms: u64,
    /// Most idle connections that are kept; none for the balancer's own bound.
    pub(super) smax: Option<u32>,
    /// How long an idle connection is kept.
    pub(super) ttl_ms: u64,
}

/// A context of a node.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Context {
    /// The node.
    pub(super) node: String,
    /// Names of its virtual host.
    pub(super) aliases: Vec<String>,
    /// Where it is mounted.
    pub(super) path: String,
    /// Which requests it takes.
    pub(super) state: State,
    /// Which it would take if no operator had said otherwise.
    pub(super) own_state: State,
    /// Requests of it that are at the node now.
    pub(super) requests_in_flight: u64,
    /// Requests of it that were sent to the node.
    pub(super) requests: u64,
    /// What an operator said of it; the later of it and of the node's word holds.
    pub(super) word: Option<Word>,
}

/// Which requests a context takes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// All.
    Enabled,
    /// Old sessions only.
    Disabled,
    /// None; those in flight finish.
    Stopped,
}

/// What an operator said.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Word {
    /// `enable`, `disable`, `stop` or `drain`.
    pub(super) say: String,
    /// By whom.
    pub(super) by: String,
    /// Since when, in milliseconds since 1970.
    pub(super) since_ms: u64,
}

/// A balancer name with its settings.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Settings {
    /// The balancer name.
    pub(super) name: String,
    /// The settings that hold.
    pub(super) settings: BalancerSettings,
    /// What its nodes report.
    pub(super) reported: BalancerSettings,
    /// What operators override.
    pub(super) overrides: BalancerOverrides,
}

/// Settings of a balancer name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BalancerSettings {
    /// Whether sessions stay with their node.
    pub(super) sticky_session: bool,
    /// Whether a session whose node is gone gets 503 instead of another node outside the domain.
    pub(super) sticky_session_force: bool,
    /// Whether the session id is stripped when a request leaves the domain of its node.
    pub(super) sticky_session_remove: bool,
    /// The session cookie.
    pub(super) cookie: String,
    /// The session path parameter.
    pub(super) path: String,
    /// Retries after the first try.
    pub(super) max_attempts: u32,
    /// With no usable node, how long a request waits for one.
    pub(super) wait_worker_ms: u64,
}

/// What holds instead of what a node reports. What is not given is as reported.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NodeOverrides {
    /// Load factor: 1 to 100, or 0 for hot standby.
    #[schema(minimum = 0, maximum = 100)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) load: Option<u8>,
    /// Bound of a probe and of a connect, 1 ms to 1 hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ping_ms: Option<u64>,
    /// Bound of its silence, 1 ms to 1 day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeout_ms: Option<u64>,
    /// How long to gather before a flush, 1 ms to 1 minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) flush_wait_ms: Option<u64>,
    /// Most idle connections that are kept, 0 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) smax: Option<u32>,
    /// How long an idle connection is kept, 1 ms to 1 day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ttl_ms: Option<u64>,
}

/// What holds instead of what the nodes of a balancer name report. What is not given is as
/// reported.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BalancerOverrides {
    /// Whether sessions stay with their node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sticky_session: Option<bool>,
    /// Whether a session whose node is gone gets 503 instead of another node outside the domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sticky_session_force: Option<bool>,
    /// Whether the session id is stripped when a request leaves the domain of its node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sticky_session_remove: Option<bool>,
    /// Retries after the first try, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_attempts: Option<u32>,
    /// With no usable node, how long a request waits for one, 0 ms to 10 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wait_worker_ms: Option<u64>,
}

/// A drain, under way or over.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Drain {
    /// The node.
    pub(super) node: String,
    /// Where only one of its contexts drains: a name of its virtual host.
    pub(super) alias: Option<String>,
    /// Where only one of its contexts drains: its path.
    pub(super) context: Option<String>,
    /// By whom.
    pub(super) by: String,
    /// When it began, in milliseconds since 1970.
    pub(super) started_ms: u64,
    /// When it stops waiting.
    pub(super) deadline_ms: u64,
    /// When it was over.
    pub(super) ended_ms: Option<u64>,
    /// Where it stands.
    pub(super) phase: DrainPhase,
    /// How it ended, or will end once the last requests are finished: `empty`, `deadline`,
    /// `stopped`, `cancelled` or `gone`.
    pub(super) end: Option<String>,
    /// Requests in flight when it began.
    pub(super) first_requests: u64,
    /// Sessions when it began, where the node reports them.
    pub(super) first_sessions: Option<u64>,
    /// Requests in flight that are left; once contexts are stopped, that were left then.
    pub(super) left_requests: u64,
    /// Sessions that are left, where the node reports them.
    pub(super) left_sessions: Option<u64>,
    /// Requests of old sessions that were sent meanwhile.
    pub(super) served: u64,
    /// Requests that the node lost meanwhile. It should read 0.
    pub(super) lost: u64,
    /// How many go away in a second, over the last minute.
    pub(super) rate_per_second: f64,
    /// When nothing will be left if it goes on so.
    pub(super) eta_seconds: Option<f64>,
}

/// Where a drain stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DrainPhase {
    /// Old sessions only.
    Draining,
    /// No requests any more; those in flight finish.
    Stopping,
    /// It is over.
    Ended,
}

/// Drains.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Drains {
    /// Under way, or over while their word still stands.
    pub(super) standing: Vec<Drain>,
    /// Over, the oldest first.
    pub(super) history: Vec<Drain>,
}

/// What happened: an entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Event {
    /// Rises by one with each entry since the balancer's start.
    pub(super) seq: u64,
    /// When, in UTC.
    pub(super) time: String,
    /// `operator`, `node`, `balancer` or `peer`.
    pub(super) kind: String,
    /// Who.
    pub(super) actor: String,
    /// From where.
    pub(super) from: Option<String>,
    /// What.
    pub(super) verb: String,
    /// For whom.
    pub(super) target: String,
    /// How it stood.
    pub(super) before: Option<String>,
    /// How it stands.
    pub(super) after: Option<String>,
    /// `done` or `refused`.
    pub(super) outcome: String,
    /// Why not, or what there is to tell besides.
    pub(super) why: Option<String>,
}

/// A verb.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerbRequest {
    /// What to do.
    pub(super) verb: VerbWord,
    /// For whom.
    pub(super) target: TargetRequest,
    /// Of a drain: how long to wait, 1 s to 7 days; otherwise as long as `drain.deadline` says.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 604800)]
    pub(super) deadline_seconds: Option<u64>,
}

/// What to do.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum VerbWord {
    /// All requests.
    Enable,
    /// Old sessions only.
    Disable,
    /// No requests; those in flight finish.
    Stop,
    /// Old sessions only until nothing is left or the deadline is over; then no requests.
    Drain,
    /// A drain is taken back: the states before are there again.
    CancelDrain,
    /// A drain waits no longer.
    StopNow,
    /// A node is forgotten, until it registers again.
    Remove,
}

/// For whom: a node, a context of a node, or all nodes of a group.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TargetRequest {
    /// A node's name.
    pub(super) node: Option<String>,
    /// With `node`: the path of one of its contexts.
    pub(super) context: Option<String>,
    /// With `context`: names of its virtual host. Without them, the node's first host that has it.
    pub(super) aliases: Option<Vec<String>>,
    /// A load-balancing group; "" for the nodes without one.
    pub(super) group: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    /// For each thing that the verb was for.
    pub(super) changes: Vec<Changed>,
}

/// What a verb did to one thing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Changed {
    /// What it is.
    pub(super) target: String,
    /// How it stood.
    pub(super) before: String,
    /// How it stands.
    pub(super) after: String,
    /// Requests that are still there.
    pub(super) requests_in_flight: u64,
}

/// The configuration in effect, secrets masked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Configuration {
    /// As a TOML file.
    pub(super) toml: String,
}
