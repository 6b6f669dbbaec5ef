//! The registry's rows as the page's model.

use std::time::Duration;

use muster_protocol::mcmp::{BalancerSettings, NodeConfig};
use muster_protocol::names::BalancerName;
use muster_routing::context::ContextState;
use muster_routing::drain::{Drain, End, Phase};
use muster_routing::health::Health;
use muster_routing::overrides::NodeOverride;
use muster_routing::owner::Owner;
use muster_routing::rows::{BalancerToldRow, ContextRow, HostRow, NodeRow, Rows};
use muster_routing::word::UnixMs;
use muster_web_ui::page::{self, Pace, Window};

use super::cluster;
use super::history::History;
use crate::cluster::Cluster;
use crate::peers::{Disagreement, Peer};

/// Most drains of the past that the page shows.
const MOST_PAST: usize = 50;

/// What the page has beside the rows.
pub(super) struct Beside<'a> {
    pub(super) state: page::BalancerState,
    pub(super) uptime: Duration,
    pub(super) by_alias: bool,
    pub(super) connections: i64,
    pub(super) waiting: i64,
    /// Drains under way, and the last that are over.
    pub(super) drains: &'a (Vec<Drain>, Vec<Drain>),
    pub(super) peers: &'a [Peer],
    pub(super) clusters: &'a [Cluster],
    pub(super) wall: UnixMs,
    pub(super) history: &'a History,
    pub(super) window: Window,
}

/// The page of this moment.
pub(super) fn page(rows: &Rows, beside: &Beside<'_>) -> page::Page {
    let (product, version) = crate::PRODUCT.split_once('/').unwrap_or((crate::PRODUCT, ""));
    let (under_way, over) = beside.drains;
    let nodes = rows
        .nodes
        .iter()
        .map(|row| node(row, beside.history.node(&row.config.route, beside.window)));
    page::Page {
        product: product.to_owned(),
        version: version.to_owned(),
        state: beside.state,
        uptime_seconds: beside.uptime.as_secs(),
        balancers: rows.balancers.iter().zip(&rows.overrides).map(balancer).collect(),
        by_alias: beside.by_alias,
        pace: beside.history.all(beside.window),
        connections: u64::try_from(beside.connections).unwrap_or(0),
        waiting: u64::try_from(beside.waiting).unwrap_or(0),
        drains: under_way.iter().filter(|d| !d.is_over()).map(|d| drain(d, beside.wall)).collect(),
        past_drains: over.iter().rev().take(MOST_PAST).map(|d| past(d, beside.wall)).collect(),
        peers: beside.peers.iter().map(|shown| peer(shown, beside.wall)).collect(),
        clusters: beside.clusters.iter().map(|shown| cluster::shown(shown, beside.wall)).collect(),
        groups: page::Group::gather(nodes),
    }
}

fn peer(peer: &Peer, wall: UnixMs) -> page::Peer {
    page::Peer {
        name: peer.name.clone().unwrap_or_else(|| peer.url.clone()),
        answers: peer.is_reachable,
        why_not: peer.error.clone(),
        seconds_since_answer: peer.last_ms.map(|last| wall.saturating_sub(last) / 1000),
        disagreements: peer.disagreements.iter().map(disagreement).collect(),
    }
}

fn disagreement(Disagreement { node, context, here, there }: &Disagreement) -> String {
    match context {
        Some(context) => format!("{context} of {node} is {here} here and {there} there"),
        None => format!("{node} is {here} here and {there} there"),
    }
}

fn balancer(
    ((name, settings), told): (&(BalancerName, BalancerSettings), &BalancerToldRow),
) -> page::Balancer {
    page::Balancer {
        name: name.to_string(),
        sticky_session: settings.sticky,
        sticky_session_force: settings.sticky_force,
        sticky_session_remove: settings.sticky_remove,
        cookie: settings.cookie.to_string(),
        path: settings.path.to_string(),
        wait_worker_seconds: settings.wait_worker.as_secs_f64(),
        max_attempts: settings.max_attempts,
        properties: settings_of(told),
    }
}

fn settings_of(told: &BalancerToldRow) -> Vec<page::Property> {
    let (own, set) = (&told.reported, &told.overrides);
    let flag = |name, own: bool, set: Option<bool>| {
        property(name, own.to_string(), set.map(|set| set.to_string()))
    };
    let wait = set.wait_worker_ms.map(|ms| ms.to_string());
    vec![
        flag("sticky_session", own.sticky, set.sticky_session),
        flag("sticky_session_force", own.sticky_force, set.sticky_session_force),
        flag("sticky_session_remove", own.sticky_remove, set.sticky_session_remove),
        property(
            "max_attempts",
            own.max_attempts.to_string(),
            set.max_attempts.map(|most| most.to_string()),
        ),
        property("wait_worker_ms", millis(own.wait_worker), wait),
    ]
}

fn property(name: &str, reported: String, overridden: Option<String>) -> page::Property {
    page::Property { name: name.to_owned(), reported, overridden }
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}

fn drain(drain: &Drain, wall: UnixMs) -> page::Drain {
    page::Drain {
        route: drain.subject.route.to_string(),
        by: drain.by.to_string(),
        sessions_then: drain.first.sessions,
        sessions_left: drain.left.sessions,
        requests_left: drain.left.requests,
        requests_then: drain.first.requests,
        seconds: wall.saturating_sub(drain.started_ms) / 1000,
        seconds_to_deadline: Some(drain.deadline_ms.saturating_sub(wall) / 1000),
    }
}

fn past(drain: &Drain, wall: UnixMs) -> page::PastDrain {
    let ended = drain.ended_ms.unwrap_or(wall);
    let outcome = match drain.phase {
        Phase::Draining | Phase::Stopping(_) => "under way",
        Phase::Ended(End::Empty) => "nothing was left",
        Phase::Ended(End::Deadline) => "deadline",
        Phase::Ended(End::Stopped) => "stopped",
        Phase::Ended(End::Cancelled) => "cancelled",
        Phase::Ended(End::Gone) => "node gone",
    };
    page::PastDrain {
        route: drain.subject.route.to_string(),
        by: drain.by.to_string(),
        outcome: outcome.to_owned(),
        seconds: ended.saturating_sub(drain.started_ms) / 1000,
        seconds_ago: wall.saturating_sub(ended) / 1000,
        lost_requests: drain.lost,
        moved_sessions: drain.left.sessions,
    }
}

fn node(row: &NodeRow, pace: Pace) -> page::Node {
    page::Node {
        route: row.config.route.to_string(),
        balancer: row.config.balancer.to_string(),
        domain: row.config.domain.as_ref().map(ToString::to_string),
        address: row.config.address.to_string(),
        is_static: row.is_static,
        owner: row.owner.as_ref().map(owner),
        state: node_state(row),
        load: page::Load::new(row.load),
        elected: row.elected,
        requests_in_flight: row.in_flight.into(),
        bytes_read: row.read,
        bytes_transferred: row.transferred,
        seconds_since_status: row.status_age.map(|age| age.as_secs()),
        failed: row.failed,
        sessions: row.sessions,
        pace,
        properties: properties(row),
        virtual_hosts: row.hosts.iter().map(host).collect(),
    }
}

fn owner(owner: &Owner) -> String {
    match owner {
        Owner::Address(ip) => format!("somebody at {ip}, without a proof"),
        Owner::Instance(id) => format!("instance {id}, which knows the secret"),
        Owner::Certificate(subject) => format!("certificate {subject}"),
    }
}

/// What holds of a node beside its address, as it reports it and as an operator set it.
fn properties(row: &NodeRow) -> Vec<page::Property> {
    let own: &NodeConfig = row.told.reported.as_deref().unwrap_or(&row.config);
    let set: &NodeOverride = &row.told.overrides;
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    let or_ours = |value: Option<String>| value.unwrap_or_else(|| "the balancer's".to_owned());
    let load = row.told.reported_load.unwrap_or(row.load).to_string();
    vec![
        property("load", load, number(set.load.map(u64::from))),
        property("ping_ms", millis(own.ping), number(set.ping_ms)),
        property("timeout_ms", or_ours(own.timeout.map(millis)), number(set.timeout_ms)),
        property("flush_wait_ms", millis(own.flush_wait), number(set.flush_wait_ms)),
        property(
            "smax",
            or_ours(own.smax.map(|most| most.to_string())),
            number(set.smax.map(u64::from)),
        ),
        property("ttl_ms", millis(own.ttl), number(set.ttl_ms)),
    ]
}

/// What keeps requests away first: the node itself, then its contexts, then its load.
fn node_state(row: &NodeRow) -> page::NodeState {
    let takes = row.hosts.iter().flat_map(|host| &host.contexts).map(|row| row.state).max();
    let drains = row.told.drain.as_ref().is_some_and(|drain| !drain.is_over());
    match (row.health, row.load, takes) {
        (Health::Checking, ..) => page::NodeState::Checking,
        (Health::Down(_), ..) => page::NodeState::Down,
        (_, -2, _) => page::NodeState::Checking,
        (_, -1, _) => page::NodeState::Error,
        (_, _, None | Some(ContextState::Stopped)) => page::NodeState::Stopped,
        (_, _, Some(ContextState::Disabled)) if drains => page::NodeState::Draining,
        (_, _, Some(ContextState::Disabled)) => page::NodeState::Disabled,
        (_, 0, Some(ContextState::Enabled)) => page::NodeState::Standby,
        (_, _, Some(ContextState::Enabled)) => page::NodeState::Up,
    }
}

fn host(row: &HostRow) -> page::VirtualHost {
    page::VirtualHost {
        aliases: row.aliases.iter().map(ToString::to_string).collect(),
        contexts: row.contexts.iter().map(context).collect(),
    }
}

fn context(row: &ContextRow) -> page::Context {
    page::Context {
        path: row.path.to_string(),
        state: match row.state {
            ContextState::Enabled => page::ContextState::Enabled,
            ContextState::Disabled => page::ContextState::Disabled,
            ContextState::Stopped => page::ContextState::Stopped,
        },
        requests_in_flight: row.in_flight.into(),
        requests: row.requests,
        errors: row.answers[0].saturating_add(row.answers[5]),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use muster_protocol::mcmp::NodeConfig;
    use muster_routing::NodeId;
    use muster_routing::node::Availability;

    use super::*;

    fn row(health: Health, load: i32, contexts: &[ContextState]) -> NodeRow {
        let address = muster_protocol::mcmp::Address {
            scheme: muster_protocol::mcmp::Scheme::Ajp,
            host: "localhost".parse().unwrap(),
            port: 8009,
        };
        let context = |(at, state): (usize, &ContextState)| ContextRow {
            path: format!("/app{at}").parse().unwrap(),
            state: *state,
            own_state: *state,
            word: None,
            in_flight: 0,
            requests: 0,
            answers: [0; 6],
        };
        NodeRow {
            id: NodeId(0),
            config: NodeConfig::new("n".parse().unwrap(), address),
            is_static: false,
            owner: None,
            health,
            load,
            availability: Availability::Unusable,
            elected: 0,
            failed: 0,
            in_flight: 0,
            read: 0,
            transferred: 0,
            sessions: None,
            seated: None,
            status_age: Some(Duration::from_millis(3_999)),
            hosts: vec![HostRow {
                aliases: vec!["localhost".parse().unwrap()],
                contexts: contexts.iter().enumerate().map(context).collect(),
            }],
            told: Default::default(),
        }
    }

    #[test]
    fn the_state_says_what_keeps_requests_away() {
        use ContextState::{Disabled, Enabled, Stopped};
        let down = Health::Down(Duration::ZERO);
        for (health, load, contexts, word) in [
            (Health::Up, 100, &[Enabled, Stopped][..], "up"),
            (Health::Suspect(2), 1, &[Enabled], "up"),
            (Health::Up, 0, &[Enabled], "standby"),
            (Health::Up, 0, &[Stopped], "stopped"),
            (Health::Up, 50, &[], "stopped"),
            (Health::Up, 50, &[Stopped, Disabled], "disabled"),
            (Health::Up, -1, &[Enabled], "error"),
            (Health::Up, -2, &[Enabled], "checking"),
            (Health::Checking, -2, &[Enabled], "checking"),
            (down, -1, &[Enabled], "down"),
        ] {
            let node = node(&row(health, load, contexts), Pace::default());
            assert_eq!(node.state.word(), word, "{health:?}, load {load}, {contexts:?}");
        }
    }

    #[test]
    fn a_node_is_shown_with_its_scheme_and_the_age_of_its_status() {
        let node = node(&row(Health::Up, 75, &[ContextState::Enabled]), Pace::default());
        assert_eq!(node.address, "ajp://localhost:8009");
        assert_eq!(node.seconds_since_status, Some(3));
        assert_eq!(node.virtual_hosts[0].contexts[0].path, "/app0");
    }

    #[test]
    fn a_peer_is_shown_with_what_it_sees_otherwise() {
        let differs = |context: Option<&str>| Disagreement {
            node: "n1".to_owned(),
            context: context.map(str::to_owned),
            here: "stopped".to_owned(),
            there: "enabled".to_owned(),
        };
        let silent = Peer {
            url: "https://10.0.0.2:6667".to_owned(),
            name: None,
            is_reachable: false,
            last_ms: Some(60_000),
            error: Some("refused".to_owned()),
            disagreements: vec![differs(None), differs(Some("localhost/shop"))],
        };
        let shown = peer(&silent, 72_900);
        assert_eq!(shown.name, "https://10.0.0.2:6667");
        assert_eq!((shown.answers, shown.seconds_since_answer), (false, Some(12)));
        assert_eq!(shown.why_not.as_deref(), Some("refused"));
        assert_eq!(
            shown.disagreements,
            [
                "n1 is stopped here and enabled there",
                "localhost/shop of n1 is stopped here and enabled there",
            ]
        );
        let named = Peer { name: Some("left".to_owned()), last_ms: None, ..silent };
        assert_eq!(peer(&named, 0).name, "left");
        assert_eq!(peer(&named, 0).seconds_since_answer, None);
    }

    #[test]
    fn a_node_is_shown_with_its_sessions_and_with_who_registered_it() {
        let mut row = row(Health::Up, 75, &[ContextState::Enabled]);
        assert_eq!(node(&row, Pace::default()).sessions, None, "it does not say");
        row.sessions = Some(37);
        assert_eq!(node(&row, Pace::default()).sessions, Some(37));
        for (owner, shown) in [
            ("address:10.0.0.7", "somebody at 10.0.0.7, without a proof"),
            ("instance:a1", "instance a1, which knows the secret"),
            ("certificate:CN=n1", "certificate CN=n1"),
        ] {
            row.owner = Some(owner.parse().unwrap());
            assert_eq!(node(&row, Pace::default()).owner.as_deref(), Some(shown));
        }
    }
}
