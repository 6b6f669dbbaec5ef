//! A balancer that knows nothing, refuses, or cannot be reached.

use super::*;

#[test]
fn another_id_means_another_balancer_that_knows_nothing() {
    let mut story = Story::registered(&["/a", "/b"]);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 2));
    assert_eq!(*story.life.state(), BalancerState::Registering);
    story.registers(&["/a", "/b"], 2);
    assert_eq!(*story.life.state(), BalancerState::Registered { id: 2 });
}

#[test]
fn a_balancer_that_changes_its_id_each_time_is_not_asked_without_end() {
    let mut story = Story::registered(&["/a"]);
    for id in 2..5 {
        story.tick(75);
        story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 10 * id));
        story.registers(&["/a"], 10 * id + 1);
    }
}

#[test]
fn mem_makes_the_node_register_again_within_the_interval() {
    let mut story = Story::registered(&["/a"]);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", "500 MEM: Can't read node");
    assert!(
        matches!(story.life.state(), BalancerState::Waiting { reason } if reason.contains("MEM"))
    );
    assert!(story.wakes() <= Duration::from_millis(250));
    story.registers(&["/a"], 1);
}

#[test]
fn tries_to_reach_a_lost_balancer_grow_apart_up_to_a_bound() {
    let mut story = Story::registered(&["/a"]);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", "- connection refused");
    let mut pauses = Vec::new();
    for _ in 0..12 {
        pauses.push(story.wakes().as_millis());
        story.says("INFO /", "- connection refused");
    }
    for (pause, most) in pauses.iter().zip([250, 500, 1000, 2000, 2500, 2500, 2500]) {
        assert!((most * 3 / 4..=most).contains(pause), "{pause} of {most}");
    }
    assert!(pauses.iter().all(|pause| *pause <= 2500), "{pauses:?}");
    story.wakes();
    story.registers(&["/a"], 2);
}

#[test]
fn refusals_are_at_most_an_interval_apart() {
    let mut story = Story::begin(&["/a"]);
    let config = "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http";
    for _ in 0..9 {
        story.says("INFO /", "");
        story.says(config, "500 MEM: node1 still answers elsewhere");
        assert!(story.wakes() <= INTERVAL);
    }
}

#[test]
fn syntax_ends_it_until_a_refresh_or_another_configuration() {
    let mut story = Story::begin(&["/a"]);
    story.says("INFO /", "");
    let config = "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http";
    story.says(config, "500 SYNTAX: Type field too big");
    let refused = BalancerState::Refused { reason: "SYNTAX: Type field too big".to_owned() };
    assert_eq!(*story.life.state(), refused);
    story.tick(75);
    assert_eq!(story.waits(), None, "a tick changes nothing");
    story.refresh();
    story.says("INFO /", "");
    story.says(config, "500 SYNTAX: Type field too big");
    story.waits();
    story.deploy("/b");
    story.registers(&["/a", "/b"], 1);
}

#[test]
fn notok_from_a_balancer_that_knows_the_node_just_means_that_it_cannot_reach_it() {
    let mut story = Story::registered(&["/a"]);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", &state("NOTOK", 1));
    story.says("INFO /", &info(&[("/a", "ENABLED")]));
    assert_eq!(*story.life.state(), BalancerState::Unreachable);
    assert!(story.wakes() <= Duration::from_millis(250), "it may be reached in a moment");
    story.says("STATUS / JVMRoute=node1&Load=75", &state("NOTOK", 1));
    assert!(story.wakes() <= Duration::from_millis(500));
    story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 1));
    assert_eq!(*story.life.state(), BalancerState::Registered { id: 1 });
    assert_eq!(story.waits(), None);
}

#[test]
fn notok_from_a_balancer_that_forgot_the_node_makes_it_register_again() {
    let mut story = Story::registered(&["/a"]);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", &state("NOTOK", 1));
    story.says("INFO /", "");
    story.says(
        "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http",
        "",
    );
    story.says(&app("ENABLE-APP", "/a"), "");
    story.says("STATUS / JVMRoute=node1&Load=75", &state("NOTOK", 1));
    story.wakes();
    story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 1));
}

#[test]
fn a_closed_connection_is_looked_into_once_a_tick() {
    let mut story = Story::registered(&["/a"]);
    story.life.handle(Event::Closed, story.now);
    story.says("STATUS / JVMRoute=node1&Load=50", &state("OK", 1));
    story.life.handle(Event::Closed, story.now);
    assert_eq!(story.waits(), None);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 1));
}
