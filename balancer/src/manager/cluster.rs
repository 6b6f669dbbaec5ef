//! Clusters of back ends as the page's model.

mod operated;

use muster_protocol::cluster::events::{ClusterEvent, Gravity};
use muster_protocol::cluster::report::{
    CacheMember, CacheReport, DeploymentMember, DeploymentReport, MemberReport, MemberState,
    ViewChange, Warning, WarningKind,
};
use muster_protocol::cluster::singletons::{SingletonChange, SingletonMember, SingletonReport};
use muster_web_ui::page::{self, Level};
use muster_web_ui::view::CLUSTER_EVENTS_SHOWN;

use crate::cluster::Cluster;

/// A cluster, as it answered last; `wall` is now, in milliseconds since 1970.
pub(super) fn shown(cluster: &Cluster, wall: u64) -> page::Cluster {
    let report = cluster.report.as_deref();
    let caches = cluster.caches.iter().flat_map(|caches| &caches.caches);
    let deployments = cluster.deployments.iter().flat_map(|told| &told.deployments);
    let singletons = cluster.singletons.iter().flat_map(|told| &told.singletons);
    let jobs = cluster.jobs.iter().flat_map(|told| &told.jobs);
    let queues = cluster.queues.iter().flat_map(|told| &told.queues);
    let events = cluster.events.iter().flat_map(|told| &told.events);
    page::Cluster {
        name: cluster.name.clone(),
        error: cluster.error.clone(),
        seconds_since_answer: cluster.answered_ms.map(|then| wall.saturating_sub(then) / 1000),
        engine: report.map(|report| report.engine.clone()).unwrap_or_default(),
        view: report.map(|report| report.view.clone()).unwrap_or_default(),
        quorum: report.and_then(|report| report.quorum.needed),
        known: report.map_or(0, |report| report.quorum.known.len()),
        is_quorate: report.is_some_and(|report| report.quorum.is_quorate),
        segments: report.map_or(0, |report| report.segments),
        members: report.map_or_else(Vec::new, |report| {
            let member = |one: &MemberReport| member(one, one.name == report.coordinator);
            report.members.iter().map(member).collect()
        }),
        history: report.map_or_else(Vec::new, |report| {
            report.history.iter().map(|one| change(one, wall)).collect()
        }),
        warnings: report
            .map_or_else(Vec::new, |report| report.warnings.iter().map(warning).collect()),
        caches: caches.map(cache).collect(),
        deployments: deployments.map(deployment).collect(),
        singletons: singletons.map(|one| singleton(one, wall)).collect(),
        jobs: jobs.map(|job| operated::job(job, wall)).collect(),
        queues: queues.map(operated::queue).collect(),
        settings: cluster
            .settings
            .as_deref()
            .map(|told| operated::settings(told, cluster.settings_history.as_deref(), wall)),
        events: events
            .take(CLUSTER_EVENTS_SHOWN)
            .map(|one| event(one, &cluster.name, wall))
            .collect(),
    }
}

/// Something that members tell of.
fn event(told: &ClusterEvent, cluster: &str, wall: u64) -> page::Event {
    let level = match told.gravity() {
        Gravity::Trouble => Level::Bad,
        Gravity::Warning => Level::Warn,
        Gravity::Info => Level::Info,
    };
    page::Event {
        at: rfc3339(told.at_ms),
        at_ms: told.at_ms,
        seconds_ago: wall.saturating_sub(told.at_ms) / 1000,
        kind: told.kind.word().to_owned(),
        level,
        who: Some(told.members.join(", ")),
        subject: format!("cluster {cluster}"),
        what: told.text.clone(),
    }
}

fn member(member: &MemberReport, is_coordinator: bool) -> page::Member {
    page::Member {
        name: member.name.clone(),
        state: match member.state {
            MemberState::Up => page::MemberState::Up,
            MemberState::Silent => page::MemberState::Silent,
            MemberState::Leaving => page::MemberState::Leaving,
            MemberState::Away => page::MemberState::Away,
        },
        is_coordinator,
        address: member.address.clone(),
        age_seconds: member.age_ms.map(|age| age / 1000),
        primary: member.primary,
        owned: member.owned,
        filling: member.filling,
        entries: member.entries,
        bytes: member.bytes,
    }
}

fn change(change: &ViewChange, wall: u64) -> page::Change {
    page::Change {
        at: rfc3339(change.at_ms),
        seconds_ago: wall.saturating_sub(change.at_ms) / 1000,
        reason: change.reason.clone(),
        members: change.members.clone(),
        settled_ms: change.settled_ms,
    }
}

fn rfc3339(ms: u64) -> String {
    let at = i64::try_from(ms).ok();
    let at = at.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.map(|at| at.to_string()).unwrap_or_default()
}

fn warning(warning: &Warning) -> page::ClusterWarning {
    let (level, is_past) = match warning.kind {
        WarningKind::NotQuorate => (Level::Bad, false),
        WarningKind::Lost => (Level::Bad, true),
        WarningKind::Merged => (Level::Warn, true),
        WarningKind::Silent | WarningKind::Away => (Level::Warn, false),
        // They come with each change and go by themselves.
        WarningKind::Unsettled | WarningKind::Views => (Level::Info, true),
    };
    page::ClusterWarning { level, is_past, text: warning.text.clone() }
}

fn cache(cache: &CacheReport) -> page::Cache {
    page::Cache {
        name: cache.name.clone(),
        mode: cache.mode.clone(),
        entries: cache.entries,
        bytes: cache.bytes,
        members: cache.members.iter().map(of_member).collect(),
    }
}

fn deployment(told: &DeploymentReport) -> page::Deployment {
    page::Deployment {
        kind: told.kind.word().to_owned(),
        name: told.name.clone(),
        mode: told.mode.clone(),
        active: told.active,
        bytes: told.bytes,
        members: told.members.iter().map(deployed).collect(),
    }
}

fn singleton(told: &SingletonReport, wall: u64) -> page::Singleton {
    let member = |one: &SingletonMember| page::SingletonMember {
        member: one.member.clone(),
        state: one.state.word().to_owned(),
        starts: one.starts,
        failures: one.failures,
        lost: one.lost,
        cut_off: one.cut_off,
    };
    let change = |one: &SingletonChange| page::SingletonChange {
        at: rfc3339(one.at_ms),
        seconds_ago: wall.saturating_sub(one.at_ms) / 1000,
        member: one.member.clone(),
        text: one.text.clone(),
    };
    page::Singleton {
        name: told.name.clone(),
        kind: told.kind.word().to_owned(),
        policy: told.policy.clone(),
        provider: match told.is_everywhere {
            true => Some("every member".to_owned()),
            false => told.provider.clone(),
        },
        token: told.token.clone().filter(|_| !told.is_everywhere),
        no_provider: told.no_provider.clone(),
        moved: told.moved.clone(),
        candidates: told.candidates.clone(),
        members: told.members.iter().map(member).collect(),
        history: told.history.iter().map(change).collect(),
    }
}

fn deployed(told: &DeploymentMember) -> page::DeploymentMember {
    let DeploymentMember { member, lives, distribution, operations, rpc, batches } = told.clone();
    page::DeploymentMember {
        active: lives.active,
        copies: lives.copies,
        created: lives.created,
        invalidated: lives.invalidated,
        expired: lives.expired,
        calls: lives.calls,
        passivated: lives.passivated,
        activated: lives.activated,
        cache: of_member(&CacheMember { member, distribution, operations, rpc, batches }),
    }
}

fn of_member(told: &CacheMember) -> page::CacheMember {
    page::CacheMember {
        member: told.member.clone(),
        entries: told.distribution.entries,
        primary_entries: told.distribution.primary_entries,
        bytes: told.distribution.bytes,
        hits: told.operations.hits,
        misses: told.operations.misses,
        puts: told.operations.puts,
        removes: told.operations.removes,
        expired: told.operations.expired,
        rpcs: told.rpc.count,
        rpc_failures: told.rpc.failures,
        prepares: told.batches.prepares,
        commits: told.batches.commits,
        rollbacks: told.batches.rollbacks,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_as_grave_on_the_page_as_its_member_says() {
        let level = |kind: &str, gravity: Option<&str>| {
            let told = json!({
                "at_ms": 1, "kind": kind, "gravity": gravity, "text": "x", "members": ["one"]
            });
            event(&serde_json::from_value(told).unwrap(), "shop", 2).level
        };
        assert_eq!(level("job", Some("trouble")), Level::Bad);
        assert_eq!(level("queue", Some("warning")), Level::Warn);
        assert_eq!(level("quorum", Some("info")), Level::Info);
        assert_eq!([level("lost", None), level("job", None)], [Level::Bad, Level::Info]);
    }
}
