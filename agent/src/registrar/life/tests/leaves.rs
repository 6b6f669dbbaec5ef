//! A node drains its contexts and leaves.

use super::*;
use crate::registrar::life::mount::DRAIN_POLL;
use crate::status::Drained;

const LEAVE: &str = "REMOVE-APP /* JVMRoute=node1";

#[test]
fn a_drain_waits_for_the_requests_in_flight() {
    let mut story = Story::registered(&["/shop"]);
    story.undeploy("/shop");
    story.says(&app("DISABLE-APP", "/shop"), "");
    story.says(&app("STOP-APP", "/shop"), &requests(2));
    assert_eq!(story.wakes(), DRAIN_POLL);
    story.says(&app("STOP-APP", "/shop"), &requests(1));
    story.life.handle(Event::Tick(Load::Usable(60)), story.now);
    story.says("STATUS / JVMRoute=node1&Load=60", &state("OK", 1));
    story.wakes();
    story.says(&app("STOP-APP", "/shop"), &requests(0));
    story.says(&app("REMOVE-APP", "/shop"), "");
    assert_eq!(story.context("/shop"), Some(ContextState::Removed { requests_left: 0 }));
}

#[test]
fn a_drain_is_given_up_when_its_time_is_over() {
    let mut story = Story::registered(&["/shop"]);
    story.undeploy("/shop");
    story.says(&app("DISABLE-APP", "/shop"), "");
    let mut asked = 0;
    let mut passed = Duration::ZERO;
    while passed < INTERVAL {
        story.says(&app("STOP-APP", "/shop"), &requests(3));
        passed += story.wakes();
        asked += 1;
    }
    assert_eq!(asked, 40, "once every 250 ms for 10 s");
    story.says(&app("REMOVE-APP", "/shop"), "");
    assert_eq!(story.context("/shop"), Some(ContextState::Removed { requests_left: 3 }));
}

#[test]
fn an_answer_to_a_stop_that_nobody_can_read_holds_up_nothing() {
    let mut story = Story::registered(&["/shop"]);
    story.undeploy("/shop");
    story.says(&app("DISABLE-APP", "/shop"), "");
    story.says(&app("STOP-APP", "/shop"), "Type=STOP-APP-RSP&JvmRoute=node1");
    assert!(story.life.take_note().expect("a note").starts_with("STOP-APP cannot be read"));
    story.says(&app("REMOVE-APP", "/shop"), "");
}

#[test]
fn a_graceful_stop_drains_every_context_and_then_leaves() {
    let mut story = Story::registered(&["/a", "/b"]);
    story.stop();
    story.drains("/a");
    story.drains("/b");
    story.says(LEAVE, "");
    story.ends();
}

#[test]
fn busy_contexts_drain_side_by_side() {
    let mut story = Story::registered(&["/a", "/b"]);
    story.stop();
    story.says(&app("DISABLE-APP", "/a"), "");
    story.says(&app("STOP-APP", "/a"), &requests(1));
    story.drains("/b");
    story.wakes();
    story.says(&app("STOP-APP", "/a"), &requests(0));
    story.says(&app("REMOVE-APP", "/a"), "");
    story.says(LEAVE, "");
    story.ends();
}

#[test]
fn a_node_that_never_registered_leaves_without_a_word() {
    let mut story = Story::begin(&["/a"]);
    story.says("INFO /", "- connection refused");
    story.stop();
    story.ends();
    assert_eq!(story.context("/a"), Some(ContextState::Removed { requests_left: 0 }));
}

#[test]
fn a_node_that_lost_its_balancer_tries_one_good_bye() {
    let mut story = Story::registered(&["/a"]);
    story.tick(60);
    story.says("STATUS / JVMRoute=node1&Load=60", "- connection refused");
    story.stop();
    story.says(LEAVE, "- connection refused");
    story.ends();
    assert_eq!(story.context("/a"), Some(ContextState::Unreached));
}

#[test]
fn a_balancer_that_fails_during_the_good_bye_gets_one_more_try() {
    let mut story = Story::registered(&["/a", "/b"]);
    story.stop();
    story.says(&app("DISABLE-APP", "/a"), "- connection reset");
    story.says(LEAVE, "");
    story.ends();
    assert_eq!(story.context("/b"), Some(ContextState::Removed { requests_left: 0 }));
}

#[test]
fn a_refused_node_still_says_good_bye() {
    let mut story = Story::begin(&["/a"]);
    story.says("INFO /", "");
    let config = "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http";
    story.says(config, "");
    story.says(&app("ENABLE-APP", "/a"), "500 SYNTAX: Context field too big");
    story.waits();
    story.stop();
    story.says(LEAVE, "");
    story.ends();
}

#[test]
fn an_undeploy_does_not_wait_for_a_balancer_that_is_away_and_is_told_later() {
    let mut story = Story::registered(&["/a", "/b"]);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", "- connection refused");
    story.undeploy("/b");
    assert_eq!(story.context("/b"), Some(ContextState::Unreached));
    story.forget("/b");
    story.wakes();
    story.says("INFO /", &info(&[("/a", "ENABLED"), ("/b", "ENABLED")]));
    story.says(
        "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http",
        "",
    );
    story.says(&app("REMOVE-APP", "/b"), "");
    story.says(&app("ENABLE-APP", "/a"), "");
    story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 1));
}

#[test]
fn a_balancer_lost_in_the_middle_of_a_drain_ends_the_wait() {
    let mut story = Story::registered(&["/a"]);
    story.undeploy("/a");
    story.says(&app("DISABLE-APP", "/a"), "");
    story.says(&app("STOP-APP", "/a"), "- no answer within 20s");
    assert_eq!(story.context("/a"), Some(ContextState::Unreached));
}

#[test]
fn a_drain_that_was_cut_off_is_not_complete() {
    let balancer = |told| crate::status::BalancerStatus {
        address: "a:1".to_owned(),
        origin: crate::status::Origin::Configured,
        answers: true,
        state: BalancerState::Left,
        contexts: BTreeMap::from([(path("/a"), told)]),
    };
    let removed = |requests_left| balancer(ContextState::Removed { requests_left });
    assert!(Drained::sum(&[removed(0)], |_| true).is_complete());
    let drained =
        Drained::sum(&[removed(2), removed(1), balancer(ContextState::Unreached)], |_| true);
    assert_eq!(drained, Drained { requests_left: 3, unreached: 1, ..Drained::default() });
}
