//! One process after the other: what a snapshot carries over, and what it does not.

use muster_protocol::mcmp::Command;
use muster_protocol::mcmp::parse::parse;
use muster_routing::health::{Health, Probed, Timing};
use muster_routing::owner::Sender;
use muster_routing::registry::Heard;
use muster_routing::registry::snapshot::{Snapshot, SnapshotError, Trust};
use muster_routing::{Limits, Moment, Registry, Request, decide};
use proptest::prelude::*;
use serde_json::Value;

use super::world::World;

const PLAIN: (Limits, Timing) = (
    Limits { nodes: 100, contexts: 1000, gone: 100 },
    Timing {
        probe_interval: Moment::from_secs(5),
        revive_interval: Moment::from_secs(1),
        silent_after: Moment::from_secs(30),
        forget_after: Moment::from_secs(600),
        slow_start: Moment::from_secs(5),
    },
);

fn next(registry: &Registry, trust: Trust, use_alias: bool, now: Moment) -> Registry {
    let document = registry.snapshot(now).write();
    let snapshot = Snapshot::read(&document).unwrap();
    Registry::restore(&snapshot, trust, PLAIN, use_alias, now).unwrap()
}

/// The document without what each process counts for itself.
fn document(registry: &Registry, now: Moment) -> Value {
    let mut document: Value = serde_json::from_slice(&registry.snapshot(now).write()).unwrap();
    document.as_object_mut().unwrap().remove("tables");
    for node in document["nodes"].as_array_mut().unwrap() {
        node.as_object_mut().unwrap().remove("next_probe");
    }
    document
}

/// Who answers requests of each kind: newcomers, and those with a session of each node.
fn answers(registry: &Registry) -> Vec<String> {
    let mut seen = Vec::new();
    for (host, path) in [("h", "/x"), ("h", "/y/z"), ("i", "/x"), ("i", "/"), ("k", "/y")] {
        for session in ["", "JSESSIONID=1.a", "JSESSIONID=1.b", "C=1.c", "JSESSIONID=1.d"] {
            let cookies = [session];
            let request = Request { host, path, cookies: &cookies, tried: &[], max_in_flight: 0 };
            // Not counted, so that an election does not depend on the one before.
            seen.push(match decide(registry.table(), &request) {
                Ok(decision) => format!("{:?} {}", decision.how, decision.strip_session),
                Err(refusal) => refusal.to_string(),
            });
        }
    }
    seen
}

fn line() -> impl Strategy<Value = (&'static str, &'static str, String)> {
    let route = prop::sample::select(vec!["a", "b", "c", "d"]);
    let host = prop::sample::select(vec!["h", "i", "h,i", "k"]);
    let path = prop::sample::select(vec!["/", "/x", "/y", "/x,/y"]);
    let more = prop::sample::select(vec![
        "",
        "&Domain=one",
        "&Domain=two&Balancer=m",
        "&StickySessionForce=No",
        "&StickySessionCookie=C&Maxattempts=3&Balancer=m",
        "&ping=1&ttl=5&Timeout=7&flushpackets=Auto&smax=3",
        "&Alias=k&Context=/y",
    ]);
    let verb = prop::sample::select(vec![
        "ENABLE-APP",
        "DISABLE-APP",
        "STOP-APP",
        "REMOVE-APP",
        "ENABLE-APP",
    ]);
    let load = prop::sample::select(vec![-1, 0, 1, 30, 100]);
    let config = (route.clone(), 1..6u16, more).prop_map(|(route, port, more)| {
        ("CONFIG", "/", format!("JVMRoute={route}&Host=h&Port={port}&Type=http{more}"))
    });
    let app = (verb.clone(), route.clone(), host, path).prop_map(|(verb, route, host, path)| {
        (verb, "/", format!("JVMRoute={route}&Alias={host}&Context={path}"))
    });
    let node =
        (verb, route.clone()).prop_map(|(verb, route)| (verb, "/*", format!("JVMRoute={route}")));
    let status = (route, load)
        .prop_map(|(route, load)| ("STATUS", "/", format!("JVMRoute={route}&Load={load}")));
    prop_oneof![4 => config, 6 => app, 1 => node, 6 => status]
}

proptest! {
    #[test]
    fn a_registry_that_was_written_and_read_is_the_same(
        lines in prop::collection::vec((line(), prop::sample::select(vec![0u64, 300, 2_000]), 0..3u8), 0..60),
        use_alias: bool,
        owner in prop::sample::select(vec!["address:127.0.0.1", "instance:i:1", "certificate:CN=a"]),
    ) {
        let from = "127.0.0.1".parse().unwrap();
        let sender = Sender { owner: owner.parse().unwrap(), sessions: Some(7), ..Sender::at(from) };
        let mut registry = Registry::new(PLAIN.0, PLAIN.1, use_alias);
        let mut now = Moment::from_secs(1);
        for ((method, uri, body), wait_ms, probed) in lines {
            now += Moment::from_millis(wait_ms);
            let found = [Probed::Answered, Probed::Refused, Probed::TimedOut][usize::from(probed)];
            for order in registry.tick(now) {
                registry.probed(order.id, found, now);
            }
            let command: Command = parse(method, uri, body.as_bytes()).unwrap();
            let heard = registry.questions_from(&sender, &command);
            let heard = heard.iter().map(|question| (question.id, found)).collect();
            let _ = registry.apply_from(&sender, &command, &Heard(heard), now);
        }
        let restored = next(&registry, Trust::AsTheyStood, use_alias, now);
        prop_assert_eq!(
            format!("{:#?}", restored.rows(now)),
            format!("{:#?}", registry.rows(now))
        );
        prop_assert_eq!(answers(&restored), answers(&registry));
        prop_assert_eq!(document(&restored, now), document(&registry, now));
        prop_assert!(restored.version() > registry.version());

        let doubted = next(&registry, Trust::ProbeFirst, use_alias, now);
        let rows = doubted.rows(now);
        prop_assert!(rows.nodes.iter().all(|node| node.health == Health::Checking));
        prop_assert_eq!(rows.nodes.len(), registry.rows(now).nodes.len());
    }

    #[test]
    fn no_bytes_bring_the_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Snapshot::read(&bytes);
    }
}

#[test]
fn after_a_crash_a_node_takes_traffic_once_it_answers_a_probe_and_verbs_stand() {
    let mut world = World::of_nodes("a b");
    world.story(
        "DISABLE-APP / JVMRoute=b&Alias=h&Context=/x
         GET h/x => a
         GET h/x JSESSIONID=k.b => b",
    );
    world.registry = next(&world.registry, Trust::ProbeFirst, false, world.now);
    world.story(
        "GET h/x => no node can take the request
         wait 1s
         GET h/x => a
         GET h/x JSESSIONID=k.b => b
         STATUS / JVMRoute=a&Load=0
         GET h/x => a",
    );
}

#[test]
fn after_an_upgrade_all_goes_on_between_two_reports() {
    let mut world = World::of_nodes("a b");
    world.story("hold a 1");
    world.registry = next(&world.registry, Trust::AsTheyStood, false, world.now);
    world.story(
        "GET h/x JSESSIONID=k.a => a
         GET h/x JSESSIONID=k.b => b
         STATUS / JVMRoute=a&Load=50
         STOP-APP / JVMRoute=b&Alias=h&Context=/x => Requests=0
         GET h/x => a",
    );
    let rows = world.registry.rows(world.now);
    assert!(rows.nodes[0].elected >= 2, "{rows:#?}");
}

#[test]
fn a_document_of_another_version_or_with_a_fault_is_refused_and_says_why() {
    let world = World::of_nodes("a b");
    let document = String::from_utf8(world.registry.snapshot(world.now).write()).unwrap();
    let other = document.replacen("\"version\":1", "\"version\":7,\"unknown\":true", 1);
    let error = Snapshot::read(other.as_bytes()).unwrap_err();
    assert_eq!(error, SnapshotError::Version { found: 7 });
    assert_eq!(error.to_string(), "its version is 7, and this program reads version 1 only");
    assert!(matches!(Snapshot::read(b"{}"), Err(SnapshotError::Document(_))));
    let half = &document.as_bytes()[..document.len() / 2];
    assert!(matches!(Snapshot::read(half), Err(SnapshotError::Document(_))));

    let restore = |document: &str| {
        let snapshot = Snapshot::read(document.as_bytes()).unwrap();
        Registry::restore(&snapshot, Trust::ProbeFirst, PLAIN, false, world.now)
    };
    let twice = document.replace("JVMRoute=b", "JVMRoute=a");
    assert_eq!(restore(&twice).unwrap_err().to_string(), "node a: it is there twice");
    let bad = document.replace("Port=1001", "Port=0");
    let error = restore(&bad).unwrap_err().to_string();
    assert!(error.starts_with("node b: ") && error.contains("Port"), "{error}");
}
