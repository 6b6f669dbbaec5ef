//! From a verb to the words that it means, and how they are told.

use std::time::Duration;

use muster_routing::Registry;
use muster_routing::drain::Drain;
use muster_routing::word::{About, Key, Say, Subject, UnixMs};

use super::{OperateError, Target, Verb, millis};

/// The words that a verb means, at least one. Nothing is changed by asking.
pub(super) fn of(
    verb: &Verb,
    registry: &Registry,
    deadline: Duration,
    wall: UnixMs,
) -> Result<Vec<About>, OperateError> {
    let all = |target: &Target, say: Say| {
        let subjects = subjects(registry, target)?;
        Ok(subjects.into_iter().map(|subject| About::State { subject, say }).collect())
    };
    match verb {
        Verb::Enable(target) => all(target, Say::Enable),
        Verb::Disable(target) => all(target, Say::Disable),
        Verb::Stop(target) => all(target, Say::Stop),
        Verb::Drain { target, deadline: asked } => {
            let deadline_ms = wall.saturating_add(millis(asked.unwrap_or(deadline)));
            drain(registry, target, deadline_ms)
        }
        Verb::CancelDrain(target) => {
            of_drains(
                registry,
                target,
                |disabled_before| {
                    if disabled_before { Say::Disable } else { Say::Free }
                },
            )
        }
        Verb::StopNow(target) => of_drains(registry, target, |_| Say::Stop),
        Verb::OverrideNode { route, overrides } => {
            check_node(registry, route)?;
            overrides.check()?;
            let known = registry.words().node(route).cloned().unwrap_or_default();
            Ok(vec![About::Node { route: route.clone(), overrides: known.with(overrides) }])
        }
        Verb::ResetNode(route) => {
            check_node(registry, route)?;
            Ok(vec![About::Node { route: route.clone(), overrides: Default::default() }])
        }
        Verb::OverrideBalancer { name, overrides } => {
            check_balancer(registry, name)?;
            overrides.check()?;
            let known = registry.words().balancer(name).cloned().unwrap_or_default();
            Ok(vec![About::Balancer { name: name.clone(), overrides: known.with(overrides) }])
        }
        Verb::ResetBalancer(name) => {
            check_balancer(registry, name)?;
            Ok(vec![About::Balancer { name: name.clone(), overrides: Default::default() }])
        }
        Verb::Remove(_) | Verb::Reload => Ok(Vec::new()),
    }
}

/// How it stands, in words.
pub(super) fn describe(registry: &Registry, about: &About) -> String {
    match about {
        About::State { subject, .. } => registry.tally(subject).to_string(),
        About::Node { route, .. } => shown(registry.words().node(route)),
        About::Balancer { name, .. } => shown(registry.words().balancer(name)),
    }
}

/// The verb and the target of a word.
pub(super) fn named(about: &About) -> (&'static str, String) {
    match about {
        About::State { subject, say } => (say.word(), target(subject)),
        About::Node { route, .. } => ("override", format!("node {route}")),
        About::Balancer { name, .. } => ("override", format!("balancer {name}")),
    }
}

/// A subject in words.
pub(super) fn target(subject: &Subject) -> String {
    match &subject.context {
        None => format!("node {}", subject.route),
        Some((alias, path)) => format!("context {path} on {alias} of node {}", subject.route),
    }
}

/// Requests that a word leaves where they are.
pub(super) fn in_flight(registry: &Registry, about: &About) -> u64 {
    match about {
        About::State { subject, .. } => registry.in_flight(subject),
        About::Node { .. } | About::Balancer { .. } => 0,
    }
}

/// Who is meant; each is registered.
fn subjects(registry: &Registry, target: &Target) -> Result<Vec<Subject>, OperateError> {
    match target {
        Target::Context { route, aliases, path } => {
            check_node(registry, route)?;
            let context = registry.context(route, aliases, path).ok_or_else(|| {
                OperateError::NoContext { route: route.clone(), path: path.clone() }
            })?;
            Ok(vec![context])
        }
        Target::Node(route) => {
            check_node(registry, route)?;
            Ok(vec![Subject::node(route.clone())])
        }
        Target::Group(domain) => {
            let routes = registry.routes_in(domain.as_ref());
            match routes.is_empty() {
                true => Err(OperateError::NoGroup),
                false => Ok(routes.into_iter().map(Subject::node).collect()),
            }
        }
    }
}

/// Whoever is stopped has nothing to drain: of a group the others drain.
fn drain(
    registry: &Registry,
    target: &Target,
    deadline_ms: UnixMs,
) -> Result<Vec<About>, OperateError> {
    let has_some = |subject: &Subject| {
        let tally = registry.tally(subject);
        tally.stopped == 0 || tally.enabled + tally.disabled > 0
    };
    let subjects = subjects(registry, target)?.into_iter().filter(has_some);
    let word = |subject: Subject| {
        let disabled_before = match said(registry, &subject) {
            Some(Say::Disable) => true,
            Some(Say::Drain { disabled_before, .. }) => disabled_before,
            Some(Say::Enable | Say::Stop | Say::Free) | None => false,
        };
        About::State { subject, say: Say::Drain { deadline_ms, disabled_before } }
    };
    let words: Vec<About> = subjects.map(word).collect();
    match words.is_empty() {
        true => Err(OperateError::Stopped(target.to_string())),
        false => Ok(words),
    }
}

fn of_drains(
    registry: &Registry,
    target: &Target,
    say: impl Fn(bool) -> Say,
) -> Result<Vec<About>, OperateError> {
    let word = |subject: Subject| {
        let Some(Say::Drain { disabled_before, .. }) = said(registry, &subject) else {
            return None;
        };
        let is_over = registry.drain(&subject).is_some_and(Drain::is_over);
        (!is_over).then(|| About::State { subject, say: say(disabled_before) })
    };
    let words: Vec<About> = subjects(registry, target)?.into_iter().filter_map(word).collect();
    match words.is_empty() {
        true => Err(OperateError::NoDrain(target.to_string())),
        false => Ok(words),
    }
}

fn said(registry: &Registry, subject: &Subject) -> Option<Say> {
    match registry.words().get(&Key::State(subject.clone()))?.about {
        About::State { say, .. } => Some(say),
        About::Node { .. } | About::Balancer { .. } => None,
    }
}

fn check_node(
    registry: &Registry,
    route: &muster_protocol::names::Route,
) -> Result<(), OperateError> {
    match registry.has_node(route) {
        true => Ok(()),
        false => Err(OperateError::NoNode(route.clone())),
    }
}

fn check_balancer(
    registry: &Registry,
    name: &muster_protocol::names::BalancerName,
) -> Result<(), OperateError> {
    match registry.has_balancer(name) {
        true => Ok(()),
        false => Err(OperateError::NoBalancer(name.clone())),
    }
}

/// Overrides as they are written in the API.
fn shown<T: serde::Serialize>(overrides: Option<&T>) -> String {
    let json = overrides.and_then(|overrides| serde_json::to_string(overrides).ok());
    json.unwrap_or_else(|| "{}".to_owned())
}
