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

/// A cluster with one member and one cache, in which everything has this name.
pub(crate) fn cluster(name: &str) -> Cluster {
    let name = || name.to_owned();
    Cluster {
        name: name(),
        error: None,
        seconds_since_answer: Some(1),
        engine: name(),
        view: name(),
        quorum: Some(2),
        known: 3,
        is_quorate: true,
        segments: 512,
        members: vec![Member {
            name: name(),
            state: MemberState::Up,
            is_coordinator: true,
            address: name(),
            age_seconds: Some(61),
            primary: 256,
            owned: 512,
            filling: 0,
            entries: 1234,
            bytes: 5_600_000,
        }],
        history: vec![Change {
            at: "2026-01-01T00:00:00Z".to_owned(),
            seconds_ago: 5,
            reason: name(),
            members: vec![name()],
            settled_ms: Some(12),
        }],
        warnings: vec![ClusterWarning { level: Level::Warn, is_past: false, text: name() }],
        caches: vec![Cache {
            name: name(),
            mode: name(),
            entries: 10,
            bytes: 2000,
            members: vec![CacheMember {
                member: name(),
                hits: 3,
                misses: 1,
                puts: 7,
                ..CacheMember::default()
            }],
        }],
        singletons: vec![Singleton {
            name: name(),
            kind: "daemon".to_owned(),
            policy: name(),
            provider: Some(name()),
            token: Some(name()),
            no_provider: Some(name()),
            moved: Some(name()),
            candidates: vec![name()],
            members: vec![SingletonMember {
                member: name(),
                state: "running".to_owned(),
                starts: 4_321,
                ..SingletonMember::default()
            }],
            history: vec![SingletonChange {
                at: "2026-01-01T00:00:00Z".to_owned(),
                seconds_ago: 5,
                member: name(),
                text: name(),
            }],
        }],
        jobs: vec![Job {
            name: name(),
            schedule: name(),
            is_paused: true,
            members: vec![name()],
            next: Some("2026-01-01T00:00:00Z".to_owned()),
            seconds_to_next: Some(61),
            open: vec![OpenFiring {
                member: Some(name()),
                token: Some(name()),
                error: Some(name()),
                ..OpenFiring::default()
            }],
            done: 5_432,
            history: vec![Firing {
                seconds_ago: 5,
                outcome: "done".to_owned(),
                member: Some(name()),
                token: Some(name()),
                took_ms: Some(12),
                error: Some(name()),
                ..Firing::default()
            }],
            ..Job::default()
        }],
        queues: vec![Queue {
            name: name(),
            home: Some(name()),
            members: vec![name()],
            ready: 7_654,
            in_flight: 3,
            dead: 2,
            consumers: vec![Consumers { member: name(), consumers: 4, in_flight: 3 }],
            most: 1_000_000,
            visibility_ms: 30_000,
            most_tries: 10,
            ..Queue::default()
        }],
        settings: Some(Settings {
            version: 7,
            set: vec![Setting {
                key: name(),
                value: name(),
                version: 6,
                by: name(),
                default: Some(name()),
                problem: Some(name()),
                ..Setting::default()
            }],
            known: vec![KnownSetting {
                key: name(),
                bound: name(),
                default: Some(name()),
                about: name(),
            }],
            history: vec![SettingChange {
                version: 7,
                by: name(),
                key: name(),
                old: Some(name()),
                new: Some(name()),
                ..SettingChange::default()
            }],
        }),
        events: vec![event(&name())],
        deployments: vec![Deployment {
            kind: "web".to_owned(),
            name: name(),
            mode: name(),
            active: 1_234,
            bytes: 2000,
            members: vec![DeploymentMember {
                active: 1_234,
                created: 2_345,
                cache: CacheMember { member: name(), ..CacheMember::default() },
                ..DeploymentMember::default()
            }],
        }],
    }
}

/// Something that has happened, in which everything has this name.
pub(crate) fn event(name: &str) -> Event {
    let name = || name.to_owned();
    Event {
        at: "2026-01-01T00:00:00Z".to_owned(),
        at_ms: 1_767_225_600_000,
        seconds_ago: 1,
        kind: name(),
        level: Level::Warn,
        who: Some(name()),
        subject: name(),
        what: name(),
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
