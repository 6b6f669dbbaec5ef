//! A node registers, and its contexts come and go.

use super::*;

#[test]
fn a_node_says_what_the_recorded_tomcat_says() {
    let mut story = Story::begin(&["/counter"]);
    story.registers(&["/counter"], 1);
    assert_eq!(*story.life.state(), BalancerState::Registered { id: 1 });
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 1));
    assert_eq!(story.waits(), None, "nothing but a tick");
}

#[test]
fn a_deployed_context_is_enabled_and_an_undeployed_one_drained() {
    let mut story = Story::registered(&["/counter"]);
    story.deploy("/second");
    story.says(&app("ENABLE-APP", "/second"), "");
    story.waits();
    story.undeploy("/second");
    story.drains("/second");
    assert_eq!(story.context("/second"), Some(ContextState::Removed { requests_left: 0 }));
    story.forget("/second");
    assert_eq!(story.context("/second"), None);
    story.waits();
}

#[test]
fn contexts_of_a_former_life_are_removed() {
    let mut story = Story::begin(&["/a"]);
    story.says("INFO /", &info(&[("/a", "ENABLED"), ("/old", "ENABLED")]));
    story.says(
        "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http",
        "",
    );
    story.says(&app("REMOVE-APP", "/old"), "500 MEM: no such context");
    story.says(&app("ENABLE-APP", "/a"), "");
    story.says("STATUS / JVMRoute=node1&Load=50", &state("OK", 1));
}

#[test]
fn an_info_that_cannot_be_read_is_no_obstacle() {
    let mut story = Story::begin(&["/a"]);
    story.says("INFO /", "Node: [what]");
    assert!(story.life.take_note().expect("a note").starts_with("INFO cannot be read"));
    story.says(
        "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http",
        "",
    );
    story.says(&app("ENABLE-APP", "/a"), "");
}

#[test]
fn what_an_operator_stopped_stays_stopped_over_a_lost_connection() {
    let mut story = Story::registered(&["/a", "/b"]);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", "- connection reset");
    story.wakes();
    story.says("INFO /", &info(&[("/a", "STOPPED"), ("/b", "ENABLED")]));
    story.says(
        "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http",
        "",
    );
    story.says(&app("ENABLE-APP", "/b"), "");
    story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 1));
}

#[test]
fn a_context_deployed_again_after_its_removal_is_enabled_again() {
    let mut story = Story::registered(&["/a"]);
    story.undeploy("/a");
    story.drains("/a");
    story.deploy("/a");
    story.says(&app("ENABLE-APP", "/a"), "");
    story.waits();
}

#[test]
fn a_context_may_start_disabled_and_be_enabled_later() {
    let mut story = Story::registered(&[]);
    story.want(|wanted, _| {
        wanted.contexts.insert(path("/a"), Want::Disabled);
    });
    story.says(&app("DISABLE-APP", "/a"), "");
    story.deploy("/a");
    story.says(&app("ENABLE-APP", "/a"), "");
    story.waits();
}

#[test]
fn a_node_on_all_addresses_names_the_one_it_is_reached_from() {
    let address = muster_protocol::mcmp::Address {
        scheme: muster_protocol::mcmp::Scheme::Http,
        host: "0.0.0.0".parse().unwrap(),
        port: 8080,
    };
    let mut story = Story::of(NodeConfig::new("node1".parse().unwrap(), address), &[]);
    assert_eq!(story.life.next(story.now), Action::Send(Command::Info));
    let local = Some("10.1.2.3".parse().unwrap());
    story.life.handle(Event::Answer(Answer::Good(String::new()), local), story.now);
    story.says("CONFIG / JVMRoute=node1&Host=10.1.2.3&Port=8080&Type=http", "");
}
