//! Operators' words: ceilings over what nodes say, drains, overrides, and what outlives what.

use std::time::Duration;

use muster_protocol::mcmp::Command;
use muster_protocol::mcmp::parse::parse_within;
use muster_routing::drain::{End, Phase};
use muster_routing::overrides::{BalancerOverride, NodeOverride};
use muster_routing::owner::Sender;
use muster_routing::registry::Heard;
use muster_routing::word::{About, Say, Stamp, Subject, Word};
use muster_routing::{Limits, Moment, Registry, Request, decide};

const QUIET: u64 = 60_000;

/// A registry that is spoken to, with a clock that goes by words.
struct Desk {
    registry: Registry,
    at_ms: u64,
}

impl Desk {
    /// Nodes a and b with `/x` and `/y` on the host h, both up with a load of 50.
    fn new() -> Desk {
        let registry = Registry::new(Limits::default(), Default::default(), false);
        let mut desk = Desk { registry, at_ms: 1_000_000 };
        desk.register("a", 1);
        desk.register("b", 2);
        desk
    }

    fn register(&mut self, route: &str, port: u16) {
        self.config(route, port);
        self.tell("ENABLE-APP", "/", &format!("JVMRoute={route}&Alias=h&Context=/x,/y"));
        self.tell("STATUS", "/", &format!("JVMRoute={route}&Load=50"));
    }

    fn config(&mut self, route: &str, port: u16) {
        let body =
            format!("JVMRoute={route}&Host=127.0.0.1&Port={port}&Type=http&StickySessionForce=No");
        self.tell("CONFIG", "/", &body);
    }

    fn tell(&mut self, method: &str, uri: &str, body: &str) {
        let command: Command = parse_within(method, uri, body.as_bytes(), 1024).unwrap();
        let asked = self.registry.questions(&command);
        let heard = asked.iter().map(|q| (q.id, muster_routing::health::Probed::Answered));
        self.registry.apply(&command, &Heard(heard.collect()), Moment::from_secs(60)).unwrap();
    }

    /// a's STATUS, with how many sessions it has and how many of them a drain waits for.
    fn has_sessions(&mut self, sessions: u64, bound_sessions: Option<u64>) {
        let status = parse_within("STATUS", "/", b"JVMRoute=a&Load=50", 1024).unwrap();
        let sessions = Some(sessions);
        let by = Sender { sessions, bound_sessions, ..Sender::at([127, 0, 0, 1].into()) };
        let (heard, now) = (Heard::default(), Moment::from_secs(60));
        self.registry.apply_from(&by, &status, &heard, now).unwrap();
    }

    fn say(&mut self, subject: Subject, say: Say) {
        self.about(About::State { subject, say });
    }

    fn about(&mut self, about: About) {
        let stamp = self.registry.words().stamp(self.at_ms, &"A".into());
        let word = Word { stamp, by: "ann".into(), about };
        let heard = self.registry.hear(&word, QUIET, self.at_ms, Moment::from_secs(60));
        assert_eq!(heard, Ok(true));
    }

    fn tick(&mut self, later_ms: u64) {
        self.at_ms += later_ms;
        self.registry.tick_drains(QUIET, self.at_ms, Moment::from_secs(60));
    }

    /// a's /x, a's /y, b's /x and b's /y, each by its first letter.
    fn states(&self) -> String {
        let info = self.registry.rows(Moment::ZERO).info();
        info.contexts.iter().filter_map(|context| context.status.word().chars().next()).collect()
    }

    fn ask(&self, session: &str) -> Option<String> {
        let cookie = format!("JSESSIONID=s.{session}");
        let cookies = [cookie.as_str()];
        let request =
            Request { host: "h", path: "/x", cookies: &cookies, tried: &[], max_in_flight: 0 };
        let decision = decide(self.registry.table(), &request).ok()?;
        Some(decision.node.config.route.to_string())
    }

    fn drain(&self) -> Phase {
        self.registry.drains().next().expect("there is a drain").phase
    }
}

fn node(route: &str) -> Subject {
    Subject::node(route.parse().unwrap())
}

fn drain_until(deadline_ms: u64) -> Say {
    Say::Drain { deadline_ms, disabled_before: false }
}

fn context(route: &str, path: &str) -> Subject {
    let context = Some(("h".parse().unwrap(), path.parse().unwrap()));
    Subject { route: route.parse().unwrap(), context }
}

#[test]
fn of_the_words_for_a_node_and_its_context_the_later_holds() {
    let mut desk = Desk::new();
    desk.say(context("a", "/x"), Say::Stop);
    assert_eq!(desk.states(), "SEEE");
    desk.say(node("a"), Say::Disable);
    assert_eq!(desk.states(), "DDEE");
    desk.say(context("a", "/y"), Say::Enable);
    assert_eq!(desk.states(), "DEEE");
    desk.say(node("a"), Say::Enable);
    assert_eq!(desk.states(), "EEEE");
}

#[test]
fn a_node_that_registers_again_does_not_lift_the_operators_word() {
    let mut desk = Desk::new();
    desk.say(node("a"), Say::Stop);
    desk.register("a", 1);
    assert_eq!(desk.states(), "SSEE");
    assert_eq!(desk.ask("a"), Some("b".into()));
    desk.tell("ENABLE-APP", "/", "JVMRoute=a&Alias=h&Context=/new");
    assert_eq!(desk.states(), "SSSEE", "not for what comes later either");
    desk.say(node("a"), Say::Free);
    assert_eq!(desk.states(), "EEEEE");
}

#[test]
fn a_word_ends_when_the_node_takes_its_leave() {
    let mut desk = Desk::new();
    desk.say(node("a"), Say::Stop);
    desk.say(context("b", "/x"), Say::Stop);
    desk.tell("REMOVE-APP", "/", "JVMRoute=b&Alias=h&Context=/x");
    desk.tell("ENABLE-APP", "/", "JVMRoute=b&Alias=h&Context=/x");
    assert_eq!(desk.states(), "SSEE", "an application was deployed anew");
    desk.tell("REMOVE-APP", "/*", "JVMRoute=a");
    desk.register("a", 1);
    assert_eq!(desk.states(), "EEEE", "a node was started anew");
}

#[test]
fn what_a_node_says_of_itself_is_there_again_when_the_word_is_taken_back() {
    let mut desk = Desk::new();
    desk.tell("STOP-APP", "/", "JVMRoute=a&Alias=h&Context=/x");
    desk.say(node("a"), Say::Disable);
    assert_eq!(desk.states(), "SDEE");
    desk.say(node("a"), Say::Free);
    assert_eq!(desk.states(), "SEEE");
    desk.say(node("a"), Say::Enable);
    assert_eq!(desk.states(), "EEEE", "to enable is more than to take a word back");
}

#[test]
fn a_drain_keeps_old_sessions_until_it_is_quiet_and_then_stops() {
    let mut desk = Desk::new();
    desk.say(node("a"), drain_until(desk.at_ms + 10 * QUIET));
    assert_eq!(desk.states(), "DDEE");
    assert_eq!((desk.ask("a"), desk.ask("z")), (Some("a".into()), Some("b".into())));
    desk.tick(QUIET - 1);
    assert_eq!(desk.drain(), Phase::Draining);
    desk.tick(1);
    assert_eq!(desk.drain(), Phase::Ended(End::Empty));
    assert_eq!(desk.states(), "SSEE");
    assert_eq!(desk.registry.drain_history().count(), 1);
}

#[test]
fn a_drain_waits_for_the_sessions_that_end_with_the_node_and_for_no_others() {
    let mut desk = Desk::new();
    desk.has_sessions(7, None);
    desk.say(node("a"), drain_until(desk.at_ms + 10 * QUIET));
    desk.tick(2 * QUIET);
    assert_eq!(desk.drain(), Phase::Draining, "all of them, where nothing else is said");
    desk.has_sessions(7, Some(2));
    desk.tick(1000);
    assert_eq!(desk.drain(), Phase::Draining);
    desk.has_sessions(7, Some(0));
    desk.tick(1000);
    assert_eq!(desk.drain(), Phase::Ended(End::Empty), "others have the rest");
}

#[test]
fn a_drain_whose_node_registers_again_goes_on() {
    let mut desk = Desk::new();
    desk.say(node("a"), drain_until(desk.at_ms + 10 * QUIET));
    desk.register("a", 1);
    desk.tick(1000);
    assert_eq!((desk.states().as_str(), desk.drain()), ("DDEE", Phase::Draining));
}

#[test]
fn a_drain_that_is_cancelled_leaves_the_states_before() {
    let mut desk = Desk::new();
    desk.tell("DISABLE-APP", "/", "JVMRoute=a&Alias=h&Context=/y");
    desk.say(node("a"), drain_until(desk.at_ms + QUIET));
    desk.say(node("a"), Say::Free);
    assert_eq!(desk.states(), "EDEE");
    let ended: Vec<Phase> = desk.registry.drain_history().map(|drain| drain.phase).collect();
    assert_eq!(ended, [Phase::Ended(End::Cancelled)]);
}

#[test]
fn at_the_deadline_contexts_are_stopped_and_requests_in_flight_finish() {
    let mut desk = Desk::new();
    let cookie = "JSESSIONID=s.a";
    let request =
        Request { host: "h", path: "/x", cookies: &[cookie], tried: &[], max_in_flight: 0 };
    let in_flight = decide(desk.registry.table(), &request).unwrap().count();
    desk.say(node("a"), drain_until(desk.at_ms + 1000));
    desk.tick(1000);
    assert_eq!(desk.drain(), Phase::Stopping(End::Deadline));
    assert_eq!(desk.states(), "SSEE");
    in_flight.finish(0, 0, Some(200));
    desk.tick(1);
    let drain = desk.registry.drain_history().next().unwrap();
    assert_eq!(drain.phase, Phase::Ended(End::Deadline));
    assert_eq!((drain.left.requests, drain.lost), (1, 0));
}

#[test]
fn a_node_that_leaves_while_it_drains_ends_its_drain() {
    let mut desk = Desk::new();
    desk.say(node("a"), drain_until(desk.at_ms + QUIET));
    desk.tell("REMOVE-APP", "/*", "JVMRoute=a");
    desk.tick(1);
    let ended: Vec<Phase> = desk.registry.drain_history().map(|drain| drain.phase).collect();
    assert_eq!(ended, [Phase::Ended(End::Gone)]);
    desk.register("a", 1);
    desk.tick(1);
    assert_eq!((desk.states().len(), desk.registry.drains().count()), (4, 0));
    assert!(!desk.states().contains('D'));
}

#[test]
fn a_word_for_a_node_that_is_not_here_yet_holds_when_it_comes() {
    let mut desk = Desk::new();
    desk.say(node("c"), drain_until(desk.at_ms + QUIET));
    desk.tick(1);
    assert_eq!(desk.registry.drains().count(), 0);
    desk.register("c", 3);
    assert_eq!(desk.states(), "EEEEDD");
    desk.tick(1);
    assert_eq!(desk.drain(), Phase::Draining);
}

#[test]
fn words_that_were_heard_before_change_nothing() {
    let mut desk = Desk::new();
    desk.say(node("a"), Say::Stop);
    let word = desk.registry.words().iter().next().unwrap().clone();
    desk.say(node("a"), Say::Enable);
    let version = desk.registry.version();
    assert_eq!(desk.registry.hear(&word, QUIET, desk.at_ms, Moment::ZERO), Ok(false));
    assert_eq!(desk.registry.version(), version);
    let old = Stamp { at_ms: 1, heard_by: "Z".into() };
    assert_eq!(
        desk.registry.hear(&Word { stamp: old, ..word }, QUIET, desk.at_ms, Moment::ZERO),
        Ok(false)
    );
}

#[test]
fn an_overridden_load_holds_over_reports_and_registrations_until_it_is_reset() {
    let mut desk = Desk::new();
    let route: muster_protocol::names::Route = "a".parse().unwrap();
    let overrides = NodeOverride { load: Some(0), ping_ms: Some(1500), ..NodeOverride::default() };
    desk.about(About::Node { route: route.clone(), overrides });
    desk.register("a", 1);
    let row = desk.registry.rows(Moment::ZERO).nodes.remove(0);
    assert_eq!((row.load, row.told.reported_load), (0, Some(50)));
    assert_eq!(row.config.ping, Duration::from_millis(1500));
    assert_eq!(row.told.reported.unwrap().ping, Duration::from_secs(10));
    assert_eq!(desk.ask("z"), Some("b".into()), "a is standby");
    assert_eq!(desk.registry.table().node("a").unwrap().config.ping.as_millis(), 1500);
    desk.tell("REMOVE-APP", "/*", "JVMRoute=a");
    desk.register("a", 1);
    assert_eq!(desk.registry.rows(Moment::ZERO).nodes[1].load, 0, "it is of the route");
    desk.about(About::Node { route, overrides: NodeOverride::default() });
    assert_eq!(desk.registry.rows(Moment::ZERO).nodes[1].load, 50);
}

#[test]
fn overridden_settings_of_a_balancer_name_hold_over_its_nodes_configs() {
    let mut desk = Desk::new();
    let name: muster_protocol::names::BalancerName = "mycluster".parse().unwrap();
    let overrides =
        BalancerOverride { sticky_session_force: Some(true), ..BalancerOverride::default() };
    desk.about(About::Balancer { name: name.clone(), overrides });
    desk.register("b", 2);
    desk.say(node("a"), Say::Stop);
    assert_eq!(desk.ask("a"), None, "with force, a session whose node is stopped gets 503");
    let rows = desk.registry.rows(Moment::ZERO);
    assert!(rows.balancers[0].1.sticky_force && !rows.overrides[0].reported.sticky_force);
    assert_eq!(rows.overrides[0].overrides.sticky_session_force, Some(true));
    desk.about(About::Balancer { name, overrides: BalancerOverride::default() });
    assert_eq!(desk.ask("a"), Some("b".into()));
}

#[test]
fn what_an_earlier_process_knew_is_resumed() {
    let mut desk = Desk::new();
    desk.say(node("a"), drain_until(desk.at_ms + QUIET));
    desk.say(node("b"), Say::Stop);
    desk.tick(1);
    let words = desk.registry.words().iter().cloned().collect();
    let drains: Vec<_> = desk.registry.drains().cloned().collect();
    let mut next = Desk::new();
    next.registry.resume(words, drains.clone(), Vec::new(), Moment::ZERO);
    assert_eq!(next.states(), "DDSS");
    assert!(next.registry.drains().eq(&drains));
}
