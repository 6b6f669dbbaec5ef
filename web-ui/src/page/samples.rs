//! Pages to look at and to test with.

use super::*;

/// A node that is up, with one virtual host of contexts `/app0`, `/app1`, ...
pub(crate) fn node(route: &str, domain: Option<&str>, contexts: usize) -> Node {
    let context = |n| Context {
        path: format!("/app{n}"),
        state: ContextState::Enabled,
        requests_in_flight: 0,
        requests: 40,
        errors: 0,
    };
    Node {
        route: route.to_owned(),
        balancer: "mycluster".to_owned(),
        domain: domain.map(str::to_owned),
        address: "http://127.0.0.1:8080".to_owned(),
        is_static: false,
        owner: None,
        state: NodeState::Up,
        load: Load::new(100),
        elected: 12,
        requests_in_flight: 0,
        bytes_read: 3_400,
        bytes_transferred: 1_250_000,
        seconds_since_status: Some(3),
        failed: 0,
        sessions: None,
        pace: Pace::default(),
        properties: Vec::new(),
        virtual_hosts: vec![VirtualHost {
            aliases: vec!["localhost".to_owned()],
            contexts: (0..contexts).map(context).collect(),
        }],
    }
}

/// A page of these nodes.
pub(crate) fn page(nodes: Vec<Node>) -> Page {
    Page {
        state: BalancerState::Ready,
        uptime_seconds: 11_520,
        balancers: vec![Balancer {
            name: "mycluster".to_owned(),
            sticky_session: true,
            sticky_session_force: false,
            sticky_session_remove: false,
            cookie: "JSESSIONID".to_owned(),
            path: "jsessionid".to_owned(),
            wait_worker_seconds: 0.0,
            max_attempts: 1,
            properties: Vec::new(),
        }],
        groups: Group::gather(nodes),
        ..Page::empty("muster", "0.1.0")
    }
}
