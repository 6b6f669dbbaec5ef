//! What is told of what was found.

use super::*;
use crate::config::Config;
use crate::doctor::{examine, facts};

fn healthy() -> Facts {
    let manager = "127.0.0.1:6667".parse().unwrap();
    let node = Node {
        route: "a".to_owned(),
        address: "http://127.0.0.1:9000".to_owned(),
        state: "up".to_owned(),
        contexts: vec![("/shop".to_owned(), "enabled".to_owned())],
    };
    Facts {
        config: Config::default(),
        config_faults: Vec::new(),
        now: UNIX_EPOCH + OLDEST + DAY,
        clock_is_synchronized: Some(true),
        listeners: vec![listener(Bound::Free)],
        certificates: vec![certificate(31)],
        open_files: Some(1_000_000),
        multicast: vec![("127.0.0.1:6666".to_owned(), Ok(()))],
        written: Vec::new(),
        running: Running::Answers {
            manager,
            ready: (200, "ready".to_owned()),
            nodes: Ok(vec![node]),
        },
    }
}

fn listener(bound: Bound) -> Listener {
    Listener { key: "http.listen", address: "127.0.0.1:80".parse().unwrap(), bound }
}

/// One that ends after so many days.
fn certificate(days: u32) -> Certificate {
    let now = UNIX_EPOCH + OLDEST + DAY;
    Certificate {
        key: "tls.certificates[0].chain".to_owned(),
        file: "shop.pem".into(),
        names: 1,
        from: now - DAY,
        until: now + days * DAY,
    }
}

/// What is wrong, worst first.
fn wrong(facts: &Facts) -> Vec<String> {
    let findings = examine(facts).into_iter().filter(|finding| {
        assert_eq!(finding.advice.is_empty(), finding.severity == Severity::Good, "{finding:?}");
        finding.severity > Severity::Good
    });
    findings.map(|finding| format!("{:?}: {}", finding.severity, finding.what)).collect()
}

fn only(facts: &Facts) -> String {
    let mut wrong = wrong(facts);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    wrong.remove(0)
}

#[test]
fn nothing_is_said_of_the_healthy() {
    assert_eq!(wrong(&healthy()), [""; 0]);
}

#[test]
fn a_port_is_taken_denied_or_nowhere() {
    for (bound, told) in [
        (Bound::Taken, "is taken by another program"),
        (Bound::Denied, "may not be bound by this user"),
        (Bound::NoSuchAddress, "this machine has no address 127.0.0.1"),
        (Bound::Other("odd".to_owned()), "cannot be bound: odd"),
    ] {
        let silent = Running::Unasked;
        let facts = Facts { listeners: vec![listener(bound)], running: silent, ..healthy() };
        let wrong = wrong(&facts);
        assert!(wrong[0].starts_with("Fault: http.listen") && wrong[0].contains(told), "{wrong:?}");
    }
    let running = Facts { listeners: vec![listener(Bound::Taken)], ..healthy() };
    assert_eq!(wrong(&running), [""; 0], "the balancer itself has it");
}

#[test]
fn a_certificate_is_told_thirty_days_before_its_end() {
    let of = |certificate| Facts { certificates: vec![certificate], ..healthy() };
    assert_eq!(
        only(&of(certificate(29))),
        "Warning: tls.certificates[0].chain: shop.pem ends in 29 days"
    );
    let ended = Certificate { until: healthy().now - DAY, ..certificate(1) };
    assert!(only(&of(ended)).ends_with("has expired"));
    let early = Certificate { from: healthy().now + DAY, ..certificate(60) };
    assert!(only(&of(early)).ends_with("is not yet valid"));
    let nameless = Certificate { names: 0, ..certificate(60) };
    assert!(only(&of(nameless)).contains("for no host name"));
}

#[test]
fn a_machine_that_is_not_fit_is_told() {
    let facts = Facts {
        config_faults: vec!["muster.toml:1: threads: 0 is out of bounds".to_owned()],
        now: UNIX_EPOCH,
        open_files: Some(1024),
        multicast: vec![("10.0.0.7:6666".to_owned(), Err("no route".to_owned()))],
        written: vec![("log.access", "/no/access.log".into(), Err("no folder".to_owned()))],
        certificates: Vec::new(),
        ..healthy()
    };
    assert_eq!(
        wrong(&facts),
        [
            "Fault: muster.toml:1: threads: 0 is out of bounds",
            "Fault: the clock is older than this program",
            "Fault: log.access: /no/access.log cannot be written: no folder",
            "Warning: 1024 may be open, and the configured connections may need 28192",
            "Warning: 10.0.0.7:6666 cannot be advertised: no route",
        ]
    );
    let facts = Facts { clock_is_synchronized: Some(false), ..healthy() };
    assert_eq!(only(&facts), "Warning: the clock follows no other");
}

#[test]
fn nodes_that_are_ill_and_contexts_that_nobody_serves_are_told() {
    let node = |route: &str, state: &str, contexts: &[(&str, &str)]| Node {
        route: route.to_owned(),
        address: "http://10.0.0.1:1".to_owned(),
        state: state.to_owned(),
        contexts: contexts.iter().map(|(p, s)| ((*p).to_owned(), (*s).to_owned())).collect(),
    };
    let of = |nodes| {
        let manager = "127.0.0.1:6667".parse().unwrap();
        let running = Running::Answers { manager, ready: (200, String::new()), nodes };
        Facts { running, ..healthy() }
    };
    let nodes = vec![
        node("a", "up", &[("/shop", "enabled"), ("/pay", "stopped")]),
        node("b", "down", &[("/shop", "enabled"), ("/pay", "enabled")]),
        node("c", "error", &[]),
        node("d", "checking", &[]),
        node("e", "disabled", &[("/old", "disabled")]),
    ];
    assert_eq!(
        wrong(&of(Ok(nodes))),
        [
            "Fault: node b does not answer at http://10.0.0.1:1",
            "Fault: node c reports itself broken (load -1)",
            "Fault: context /pay has no usable node: clients get 503",
            "Warning: node d has not answered its first probe at http://10.0.0.1:1",
        ]
    );
    assert!(only(&of(Ok(Vec::new()))).starts_with("Warning: no node is registered"));
    assert!(only(&of(Err("401".to_owned()))).contains("cannot be seen: 401"));
}

#[test]
fn a_balancer_that_is_silent_or_drains_is_told() {
    let manager = "127.0.0.1:6667".parse().unwrap();
    let reason = "Connection refused".to_owned();
    let silent = Facts { running: Running::Silent { manager, reason }, ..healthy() };
    assert!(only(&silent).starts_with("Warning: no balancer answers at 127.0.0.1:6667"));
    let ready = (503, "draining".to_owned());
    let nodes = Ok(vec![facts::Node {
        route: "a".to_owned(),
        address: String::new(),
        state: "up".to_owned(),
        contexts: Vec::new(),
    }]);
    let drains = Facts { running: Running::Answers { manager, ready, nodes }, ..healthy() };
    assert_eq!(only(&drains), "Fault: the balancer at 127.0.0.1:6667 takes no requests: draining");
}

#[test]
fn nodes_are_found_wherever_they_stand_in_the_managers_json() {
    let json = serde_json::json!({ "groups": [{ "domain": null, "nodes": [{
        "route": "a", "address": "http://h:1", "state": "up",
        "virtual_hosts": [{ "aliases": ["x"], "contexts": [{ "path": "/a", "state": "enabled" }] }],
    }] }] });
    let found = facts::nodes(&json);
    assert_eq!(found[0].route, "a");
    assert_eq!(found[0].contexts, [("/a".to_owned(), "enabled".to_owned())]);
}
