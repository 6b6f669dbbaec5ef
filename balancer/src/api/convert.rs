//! From the registry's rows to what the API shows.

use std::time::Duration;

use muster_protocol::mcmp::NodeConfig;
use muster_routing::context::ContextState;
use muster_routing::drain::Phase;
use muster_routing::node::Availability;
use muster_routing::overrides::{BalancerOverride, NodeOverride};
use muster_routing::rows::{ContextRow, HostRow, NodeRow, Rows, WordRow};
use muster_routing::{drain, health};

use super::model;
use crate::audit::{Entry, Kind, Outcome};
use crate::operate;

pub(super) fn node(row: &NodeRow, wall: u64) -> model::Node {
    let route = row.config.route.to_string();
    let contexts = |host: &HostRow| {
        let of_host = |row: &ContextRow| context(&route, host, row);
        host.contexts.iter().map(of_host).collect::<Vec<_>>()
    };
    model::Node {
        balancer: row.config.balancer.to_string(),
        group: row.config.domain.as_ref().map(ToString::to_string),
        address: row.config.address.to_string(),
        is_static: row.is_static,
        health: match row.health {
            health::Health::Checking => model::Health::Checking,
            health::Health::Up => model::Health::Up,
            health::Health::Suspect(_) => model::Health::Suspect,
            health::Health::Down(_) => model::Health::Down,
        },
        load: row.load,
        reported_load: row.told.reported_load,
        share: match row.availability {
            Availability::Usable(share) => Some(share),
            Availability::Standby | Availability::Unusable => None,
        },
        elected: row.elected,
        failed: row.failed,
        requests_in_flight: row.in_flight.into(),
        bytes_read: row.read,
        bytes_sent: row.transferred,
        status_age_seconds: row.status_age.map(|age| age.as_secs_f64()),
        properties: properties(&row.config),
        reported: row.told.reported.as_deref().map(properties),
        overrides: (&row.told.overrides).into(),
        word: row.told.word.as_ref().map(word),
        drain: row.told.drain.as_deref().map(|of_node| drain(of_node, wall)),
        contexts: row.hosts.iter().flat_map(contexts).collect(),
        route: route.clone(),
    }
}

pub(super) fn settings(rows: &Rows) -> Vec<model::Settings> {
    let rows = rows.balancers.iter().zip(&rows.overrides);
    let one = |((name, settings), told): (&(_, _), &muster_routing::rows::BalancerToldRow)| {
        let name: &muster_protocol::names::BalancerName = name;
        model::Settings {
            name: name.to_string(),
            settings: balancer_settings(settings),
            reported: balancer_settings(&told.reported),
            overrides: (&told.overrides).into(),
        }
    };
    rows.map(one).collect()
}

pub(super) fn drain(drain: &drain::Drain, wall: u64) -> model::Drain {
    let (phase, end) = match drain.phase {
        Phase::Draining => (model::DrainPhase::Draining, None),
        Phase::Stopping(end) => (model::DrainPhase::Stopping, Some(end)),
        Phase::Ended(end) => (model::DrainPhase::Ended, Some(end)),
    };
    let context = drain.subject.context.as_ref();
    model::Drain {
        node: drain.subject.route.to_string(),
        alias: context.map(|(alias, _)| alias.to_string()),
        context: context.map(|(_, path)| path.to_string()),
        by: drain.by.to_string(),
        started_ms: drain.started_ms,
        deadline_ms: drain.deadline_ms,
        ended_ms: drain.ended_ms,
        phase,
        end: end.map(|end| end.word().to_owned()),
        first_requests: drain.first.requests,
        first_sessions: drain.first.sessions,
        left_requests: drain.left.requests,
        left_sessions: drain.left.sessions,
        served: drain.served,
        lost: drain.lost,
        rate_per_second: drain.rate(),
        eta_seconds: drain.eta_seconds(wall),
    }
}

pub(super) fn event(entry: &Entry) -> model::Event {
    model::Event {
        seq: entry.seq,
        time: entry.time.clone(),
        kind: match entry.kind {
            Kind::Operator => "operator",
            Kind::Node => "node",
            Kind::Balancer => "balancer",
            Kind::Peer => "peer",
        }
        .to_owned(),
        actor: entry.actor.to_string(),
        from: entry.from.as_ref().map(ToString::to_string),
        verb: entry.verb.clone(),
        target: entry.target.clone(),
        before: entry.before.clone(),
        after: entry.after.clone(),
        outcome: match entry.outcome {
            Outcome::Done => "done",
            Outcome::Refused => "refused",
        }
        .to_owned(),
        why: entry.why.clone(),
    }
}

pub(super) fn done(done: operate::Done) -> model::Done {
    let changed = |changed: operate::Changed| {
        let operate::Changed { target, before, after, requests_in_flight } = changed;
        model::Changed { target, before, after, requests_in_flight }
    };
    model::Done { changes: done.changes.into_iter().map(changed).collect() }
}

fn context(route: &str, host: &HostRow, row: &ContextRow) -> model::Context {
    model::Context {
        node: route.to_owned(),
        aliases: host.aliases.iter().map(ToString::to_string).collect(),
        path: row.path.to_string(),
        state: state(row.state),
        own_state: state(row.own_state),
        requests_in_flight: row.in_flight.into(),
        requests: row.requests,
        word: row.word.as_ref().map(word),
    }
}

fn state(state: ContextState) -> model::State {
    match state {
        ContextState::Enabled => model::State::Enabled,
        ContextState::Disabled => model::State::Disabled,
        ContextState::Stopped => model::State::Stopped,
    }
}

fn word(row: &WordRow) -> model::Word {
    model::Word { say: row.say.word().to_owned(), by: row.by.to_string(), since_ms: row.since_ms }
}

fn properties(config: &NodeConfig) -> model::Properties {
    model::Properties {
        ping_ms: ms(config.ping),
        timeout_ms: config.timeout.map(ms),
        flush_wait_ms: ms(config.flush_wait),
        smax: config.smax,
        ttl_ms: ms(config.ttl),
    }
}

fn balancer_settings(
    settings: &muster_protocol::mcmp::BalancerSettings,
) -> model::BalancerSettings {
    model::BalancerSettings {
        sticky_session: settings.sticky,
        sticky_session_force: settings.sticky_force,
        sticky_session_remove: settings.sticky_remove,
        cookie: settings.cookie.to_string(),
        path: settings.path.to_string(),
        max_attempts: settings.max_attempts,
        wait_worker_ms: ms(settings.wait_worker),
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<&NodeOverride> for model::NodeOverrides {
    fn from(told: &NodeOverride) -> Self {
        let NodeOverride { load, ping_ms, timeout_ms, flush_wait_ms, smax, ttl_ms } = told.clone();
        model::NodeOverrides { load, ping_ms, timeout_ms, flush_wait_ms, smax, ttl_ms }
    }
}

impl From<model::NodeOverrides> for NodeOverride {
    fn from(asked: model::NodeOverrides) -> Self {
        let model::NodeOverrides { load, ping_ms, timeout_ms, flush_wait_ms, smax, ttl_ms } = asked;
        NodeOverride { load, ping_ms, timeout_ms, flush_wait_ms, smax, ttl_ms }
    }
}

impl From<&BalancerOverride> for model::BalancerOverrides {
    fn from(told: &BalancerOverride) -> Self {
        model::BalancerOverrides {
            sticky_session: told.sticky_session,
            sticky_session_force: told.sticky_session_force,
            sticky_session_remove: told.sticky_session_remove,
            max_attempts: told.max_attempts,
            wait_worker_ms: told.wait_worker_ms,
        }
    }
}

impl From<model::BalancerOverrides> for BalancerOverride {
    fn from(asked: model::BalancerOverrides) -> Self {
        BalancerOverride {
            sticky_session: asked.sticky_session,
            sticky_session_force: asked.sticky_session_force,
            sticky_session_remove: asked.sticky_session_remove,
            max_attempts: asked.max_attempts,
            wait_worker_ms: asked.wait_worker_ms,
        }
    }
}
