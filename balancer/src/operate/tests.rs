//! Verbs in, audit and states out.

use std::time::Duration;

use muster_routing::overrides::NodeOverride;

use super::*;
use crate::audit::Outcome;

/// A balancer with `n1` in the group `left` and `n2` in none, each with `/shop` and `/wiki`.
struct Desk {
    operators: Operators,
}

fn ann(role: Role) -> Actor {
    Actor { name: "ann".into(), role, from: Some("127.0.0.1".into()) }
}

impl Desk {
    fn new(name: &str) -> Desk {
        let registry = muster_routing::Registry::new(Default::default(), Default::default(), false);
        let prober = crate::probe::Prober::new(Duration::from_secs(1));
        let published = Arc::new(Published::new(registry, prober, 1));
        let terms = Terms { deadline: Duration::from_secs(600), quiet: Duration::ZERO };
        let operators = Operators::new(published, Arc::default(), name.into(), terms);
        let desk = Desk { operators };
        for (method, body) in [
            ("CONFIG", "JVMRoute=n1&Domain=left&Host=127.0.0.1&Port=8081&Type=http"),
            ("CONFIG", "JVMRoute=n2&Host=127.0.0.1&Port=8082&Type=http"),
            ("ENABLE-APP", "JVMRoute=n1&Alias=localhost&Context=%2Fshop,%2Fwiki"),
            ("ENABLE-APP", "JVMRoute=n2&Alias=localhost&Context=%2Fshop,%2Fwiki"),
        ] {
            let command = muster_protocol::mcmp::parse(method, "/", body.as_bytes()).unwrap();
            desk.operators.published().apply(&command).unwrap();
        }
        desk
    }

    fn ask(&self, verb: Verb) -> Result<Done, OperateError> {
        self.operators.perform(&ann(Role::Operator), &verb)
    }

    fn states(&self) -> String {
        let info = self.operators.published().info();
        info.contexts.iter().filter_map(|context| context.status.word().chars().next()).collect()
    }

    /// The last entry: verb, target, before, after, why.
    fn last(&self) -> (String, String, String) {
        let entry = self.operators.audit().tail(1).remove(0);
        let change =
            [&entry.before, &entry.after, &entry.why].map(|text| text.clone().unwrap_or_default());
        (entry.verb.clone(), entry.target.clone(), change.join("|"))
    }
}

fn node(route: &str) -> Target {
    Target::node(route).unwrap()
}

fn shop() -> Target {
    Target::context("n1", &["localhost"], "/shop").unwrap()
}

#[test]
fn every_verb_is_done_and_written_down_with_before_and_after() {
    let desk = Desk::new("A");
    for (verb, states, word, target, change) in [
        (
            Verb::Stop(shop()),
            "SEEE",
            "stop",
            "context /shop on localhost of node n1",
            "1 enabled|1 stopped|",
        ),
        (Verb::Disable(node("n2")), "SEDD", "disable", "node n2", "2 enabled|2 disabled|"),
        (
            Verb::Enable(Target::group(Some("left")).unwrap()),
            "EEDD",
            "enable",
            "node n1",
            "1 enabled, 1 stopped|2 enabled|",
        ),
        (
            Verb::Enable(Target::group(None).unwrap()),
            "EEEE",
            "enable",
            "node n2",
            "2 disabled|2 enabled|",
        ),
        (
            Verb::Drain { target: node("n1"), deadline: None },
            "DDEE",
            "drain",
            "node n1",
            "2 enabled|2 disabled|",
        ),
        (Verb::CancelDrain(node("n1")), "EEEE", "cancel_drain", "node n1", "2 disabled|2 enabled|"),
        (
            Verb::Drain { target: node("n1"), deadline: None },
            "DDEE",
            "drain",
            "node n1",
            "2 enabled|2 disabled|",
        ),
        (Verb::StopNow(node("n1")), "SSEE", "stop_now", "node n1", "2 disabled|2 stopped|"),
    ] {
        desk.ask(verb.clone()).unwrap();
        assert_eq!(desk.states(), states, "{verb:?}");
        assert_eq!(desk.last(), (word.into(), target.into(), change.into()), "{verb:?}");
    }
    desk.ask(Verb::Remove("n2".parse().unwrap())).unwrap();
    assert_eq!(desk.last().2, "http://127.0.0.1:8082 for mycluster|unknown|");
}

#[test]
fn what_is_refused_changes_nothing_and_is_written_down_too() {
    let desk = Desk::new("A");
    let before = desk.states();
    for (verb, word, why) in [
        (Verb::Stop(node("n9")), "no_node", "no node is registered with the route n9"),
        (
            Verb::Stop(Target::context("n1", &["localhost"], "/nowhere").unwrap()),
            "no_context",
            "the node n1 has no context /nowhere on this virtual host",
        ),
        (
            Verb::Stop(Target::group(Some("right")).unwrap()),
            "no_group",
            "no node is registered in this group",
        ),
        (Verb::CancelDrain(node("n1")), "no_drain", "node n1 does not drain"),
        (
            Verb::ResetBalancer("other".parse().unwrap()),
            "no_balancer",
            "no node is registered for the balancer other",
        ),
        (
            Verb::OverrideNode {
                route: "n1".parse().unwrap(),
                overrides: NodeOverride { load: Some(200), ..Default::default() },
            },
            "out_of_bounds",
            "load is 200, and may be 0 to 100",
        ),
        (Verb::Reload, "unavailable", "this balancer cannot reload"),
    ] {
        let error = desk.ask(verb.clone()).unwrap_err();
        assert_eq!((error.word(), error.to_string().as_str()), (word, why));
        let entry = desk.operators.audit().tail(1).remove(0);
        assert_eq!((entry.outcome, entry.why.as_deref()), (Outcome::Refused, Some(why)));
    }
    let viewer = desk.operators.perform(&ann(Role::Viewer), &Verb::Stop(node("n1")));
    assert_eq!(viewer.unwrap_err().status(), http::StatusCode::FORBIDDEN);
    assert_eq!(desk.states(), before);
}

#[test]
fn a_name_that_cannot_be_is_refused_with_its_field() {
    let error = Target::node("a<b").unwrap_err();
    assert_eq!((error.field(), error.status()), (Some("route"), http::StatusCode::BAD_REQUEST));
    assert_eq!(Target::context("a", &["h"], "no-slash\r").unwrap_err().field(), Some("context"));
}

#[test]
fn a_drain_that_ends_by_itself_is_written_down_and_has_its_history() {
    let desk = Desk::new("A");
    desk.ask(Verb::Disable(node("n1"))).unwrap();
    desk.ask(Verb::Drain { target: node("n1"), deadline: None }).unwrap();
    desk.operators.tick();
    assert_eq!(desk.states(), "SSEE");
    assert_eq!(
        desk.last(),
        ("drain_ended".into(), "node n1".into(), "||empty: 0 requests left, 0 lost".into())
    );
    let again = desk.ask(Verb::Drain { target: node("n1"), deadline: None });
    assert_eq!(again.unwrap_err().word(), "already_stopped");
    let (standing, history) = desk.operators.drains();
    assert_eq!((standing.len(), history.len(), &*history[0].by), (1, 1, "ann"));
}

#[test]
fn a_cancelled_drain_of_what_was_disabled_leaves_it_disabled() {
    let desk = Desk::new("A");
    desk.ask(Verb::Disable(node("n1"))).unwrap();
    let long = Verb::Drain { target: shop(), deadline: Some(Duration::from_secs(5)) };
    desk.ask(long).unwrap();
    desk.ask(Verb::Drain { target: node("n1"), deadline: None }).unwrap();
    desk.ask(Verb::CancelDrain(node("n1"))).unwrap();
    assert_eq!(desk.states(), "DDEE");
}

#[test]
fn overrides_are_put_on_top_of_each_other_and_reset_together() {
    let desk = Desk::new("A");
    let set = |overrides| Verb::OverrideNode { route: "n1".parse().unwrap(), overrides };
    desk.ask(set(NodeOverride { load: Some(7), ..Default::default() })).unwrap();
    desk.ask(set(NodeOverride { ping_ms: Some(50), ..Default::default() })).unwrap();
    assert_eq!(desk.last().2, "{\"load\":7}|{\"load\":7,\"ping_ms\":50}|");
    desk.ask(Verb::ResetNode("n1".parse().unwrap())).unwrap();
    assert_eq!(desk.last().2, "{\"load\":7,\"ping_ms\":50}|{}|");
}

#[test]
fn two_balancers_that_tell_each_other_agree() {
    let (a, b) = (Desk::new("A"), Desk::new("B"));
    let mut told = a.operators.told();
    a.ask(Verb::Stop(node("n1"))).unwrap();
    let word = (*told.try_recv().unwrap()).clone();
    assert_eq!(b.operators.hear("A", std::slice::from_ref(&word)), 1);
    assert_eq!(b.operators.hear("A", std::slice::from_ref(&word)), 0, "it is no news twice");
    assert_eq!(b.states(), "SSEE");
    // Both sides of a partition: the later word holds at both, once they hear of each other.
    a.ask(Verb::Disable(node("n1"))).unwrap();
    b.ask(Verb::Enable(node("n1"))).unwrap();
    b.ask(Verb::Stop(node("n1"))).unwrap();
    let (of_a, of_b) = (a.operators.words(), b.operators.words());
    a.operators.hear("B", &of_b);
    b.operators.hear("A", &of_a);
    assert_eq!(a.operators.words(), b.operators.words());
    assert_eq!(a.states(), b.states());
}

#[test]
fn a_word_from_the_far_future_or_out_of_bounds_is_not_taken() {
    let (a, b) = (Desk::new("A"), Desk::new("B"));
    a.ask(Verb::Stop(node("n1"))).unwrap();
    let mut word = a.operators.words().remove(0);
    word.stamp.at_ms += 2 * MOST_AHEAD_MS;
    assert_eq!(b.operators.hear("A", &[word]), 0);
    assert_eq!(b.states(), "EEEE");
}
