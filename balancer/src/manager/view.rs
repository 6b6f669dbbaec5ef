//! The registry's rows as the page's model.

use std::time::Duration;

use muster_protocol::mcmp::BalancerSettings;
use muster_protocol::names::BalancerName;
use muster_routing::context::ContextState;
use muster_routing::health::Health;
use muster_routing::rows::{ContextRow, HostRow, NodeRow, Rows};
use muster_web_ui::page;

/// The page of this moment.
pub(super) fn page(rows: &Rows, state: page::BalancerState, uptime: Duration) -> page::Page {
    let (product, version) = crate::PRODUCT.split_once('/').unwrap_or((crate::PRODUCT, ""));
    page::Page {
        product: product.to_owned(),
        version: version.to_owned(),
        state,
        uptime_seconds: uptime.as_secs(),
        balancers: rows.balancers.iter().map(balancer).collect(),
        groups: page::Group::gather(rows.nodes.iter().map(node)),
    }
}

fn balancer((name, settings): &(BalancerName, BalancerSettings)) -> page::Balancer {
    page::Balancer {
        name: name.to_string(),
        sticky_session: settings.sticky,
        sticky_session_force: settings.sticky_force,
        sticky_session_remove: settings.sticky_remove,
        cookie: settings.cookie.to_string(),
        path: settings.path.to_string(),
        wait_worker_seconds: settings.wait_worker.as_secs_f64(),
        max_attempts: settings.max_attempts,
    }
}

fn node(row: &NodeRow) -> page::Node {
    page::Node {
        route: row.config.route.to_string(),
        balancer: row.config.balancer.to_string(),
        domain: row.config.domain.as_ref().map(ToString::to_string),
        address: row.config.address.to_string(),
        is_static: row.is_static,
        state: node_state(row),
        load: page::Load::new(row.load),
        elected: row.elected,
        requests_in_flight: row.in_flight.into(),
        bytes_read: row.read,
        bytes_transferred: row.transferred,
        seconds_since_status: row.status_age.map(|age| age.as_secs()),
        virtual_hosts: row.hosts.iter().map(host).collect(),
    }
}

/// What keeps requests away first: the node itself, then its contexts, then its load.
fn node_state(row: &NodeRow) -> page::NodeState {
    let takes = row.hosts.iter().flat_map(|host| &host.contexts).map(|row| row.state).max();
    match (row.health, row.load, takes) {
        (Health::Checking, ..) => page::NodeState::Checking,
        (Health::Down(_), ..) => page::NodeState::Down,
        (_, -2, _) => page::NodeState::Checking,
        (_, -1, _) => page::NodeState::Error,
        (_, _, None | Some(ContextState::Stopped)) => page::NodeState::Stopped,
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
            let node = node(&row(health, load, contexts));
            assert_eq!(node.state.word(), word, "{health:?}, load {load}, {contexts:?}");
        }
    }

    #[test]
    fn a_node_is_shown_with_its_scheme_and_the_age_of_its_status() {
        let node = node(&row(Health::Up, 75, &[ContextState::Enabled]));
        assert_eq!(node.address, "ajp://localhost:8009");
        assert_eq!(node.seconds_since_status, Some(3));
        assert_eq!(node.virtual_hosts[0].contexts[0].path, "/app0");
    }
}
