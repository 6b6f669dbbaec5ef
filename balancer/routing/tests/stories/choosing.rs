//! Owner, then domain, then anyone, then standby.

use super::world::World;

#[test]
fn a_session_stays_with_its_node() {
    let mut world = World::of_nodes("a b");
    world.story(
        "GET h/x JSESSIONID=k7.a => a
         GET h/x JSESSIONID=k7.a => a
         GET h/x JSESSIONID=k7.b => b
         GET h/x;jsessionid=k7.b => b
         GET h/x/deep/down JSESSIONID=\"k7.a\" => a
         GET h/x;jsessionid=k7.b JSESSIONID=k7.a => a",
    );
}

#[test]
fn the_longest_context_wins_and_ends_at_a_boundary() {
    let mut world = World::of_nodes("a");
    world.story(
        "CONFIG / JVMRoute=b&Type=http&Port=2000
         ENABLE-APP / JVMRoute=b&Alias=h&Context=/x/deep
         STATUS / JVMRoute=b&Load=100
         GET h/x/deep => b
         GET h/x/deep/er => b
         GET h/x/deeper => a
         GET h/xy => no context for this path
         GET h/ => no context for this path",
    );
}

#[test]
fn a_context_that_is_stopped_everywhere_does_not_fall_back_to_a_shorter_one() {
    let mut world = World::of_nodes("a");
    world.story(
        "ENABLE-APP / JVMRoute=a&Alias=h&Context=/
         GET h/x => a
         STOP-APP / JVMRoute=a&Alias=h&Context=/x => Requests=0
         GET h/x => no node can take the request
         GET h/y => a
         REMOVE-APP / JVMRoute=a&Alias=h&Context=/x
         GET h/x => a",
    );
}

#[test]
fn host_names_count_only_where_they_are_used() {
    let mut world = World::of_nodes("a");
    world.story("GET other/x => a");
    let mut world = World::with(Default::default(), true);
    world.join("a", 100);
    world.story(
        "ENABLE-APP / JVMRoute=a&Alias=second,third&Context=/y
         GET H:8080/x => a
         GET other/x => no context for this path
         GET h/y => no context for this path
         GET second/y => a
         GET third/y JSESSIONID=k.a => a",
    );
}

#[test]
fn with_force_a_lost_session_gets_503_and_without_it_another_node() {
    let mut world = World::of_nodes("a b");
    world.story("refused a\nGET h/x JSESSIONID=k.a => no node can take the request");
    let mut world = World::new();
    world.join_with("a", 100, "&StickySessionForce=No");
    world.join_with("b", 100, "&StickySessionForce=No");
    world.story("refused a\nGET h/x JSESSIONID=k.a => b");
}

#[test]
fn a_lost_session_prefers_the_domain_of_its_node() {
    for force in ["", "&StickySessionForce=No"] {
        let mut world = World::new();
        world.join_with("a1", 100, &format!("&Domain=d1{force}"));
        world.join_with("b1", 100, &format!("&Domain=d2{force}"));
        world.join_with("a2", 1, &format!("&Domain=d1{force}"));
        world.story(
            "refused a1
             GET h/x JSESSIONID=k.a1 => a2
             GET h/x JSESSIONID=k.a1 => a2",
        );
    }
}

#[test]
fn the_domain_of_a_node_that_is_gone_is_remembered() {
    let mut world = World::new();
    world.join_with("a1", 100, "&Domain=d1");
    world.join_with("b1", 100, "&Domain=d2");
    world.join_with("a2", 1, "&Domain=d1");
    world.story(
        "REMOVE-APP /* JVMRoute=a1
         GET h/x JSESSIONID=k.a1 => a2
         GET h/x JSESSIONID=k.a1 => a2
         REMOVE-APP /* JVMRoute=a2
         GET h/x JSESSIONID=k.a1 => b1",
    );
}

#[test]
fn an_unknown_route_is_a_new_request() {
    let mut world = World::of_nodes("a");
    world.story("GET h/x JSESSIONID=k.nobody => a\nGET h/x JSESSIONID=k => a");
}

#[test]
fn a_session_that_leaves_its_domain_is_stripped_where_the_settings_say_so() {
    let mut world = World::new();
    let more = "&StickySessionForce=No&StickySessionRemove=Yes";
    world.join_with("a1", 100, &format!("&Domain=d1{more}"));
    world.join_with("a2", 100, &format!("&Domain=d1{more}"));
    world.join_with("b1", 100, &format!("&Domain=d2{more}"));
    let strips = |world: &World| {
        let found =
            |d: &muster_routing::Decision<'_>| (d.node.config.route.to_string(), d.strip_session);
        world.decide("h/x", "JSESSIONID=k.a1", found).unwrap()
    };
    assert_eq!(strips(&world), ("a1".into(), false));
    world.story("refused a1");
    assert_eq!(strips(&world), ("a2".into(), false));
    world.story("refused a2");
    assert_eq!(strips(&world), ("b1".into(), true));
}

#[test]
fn a_disabled_context_keeps_its_own_sessions_only() {
    let mut world = World::new();
    world.join_with("a", 100, "&StickySessionForce=No");
    world.join_with("b", 100, "&StickySessionForce=No");
    world.story(
        "DISABLE-APP / JVMRoute=a&Alias=h&Context=/x
         GET h/x => b
         GET h/x => b
         GET h/x JSESSIONID=k.a => a
         GET h/x JSESSIONID=k.nobody => b
         refused b
         GET h/x JSESSIONID=k.nobody => a
         GET h/x JSESSIONID=k.b => a
         GET h/x => no node can take the request",
    );
}

#[test]
fn a_stopped_context_takes_nothing() {
    let mut world = World::new();
    world.join_with("a", 100, "&StickySessionForce=No");
    world.join_with("b", 100, "&StickySessionForce=No");
    world.story(
        "STOP-APP /* JVMRoute=a
         GET h/x JSESSIONID=k.a => b
         STOP-APP /* JVMRoute=b
         GET h/x JSESSIONID=k.a => no node can take the request
         ENABLE-APP /* JVMRoute=a
         GET h/x => a",
    );
}

#[test]
fn standby_takes_over_only_when_nobody_else_can() {
    let mut world = World::of_nodes("a");
    world.join("s", 0);
    world.story(
        "GET h/x => a
         GET h/x => a
         refused a
         GET h/x => s",
    );
}

#[test]
fn sessions_that_do_not_stick_go_anywhere() {
    let mut world = World::new();
    world.join_with("a", 100, "&StickySession=No");
    world.join_with("b", 100, "&StickySession=No");
    world.story(
        "GET h/x JSESSIONID=k.a => a
         GET h/x JSESSIONID=k.a => b
         GET h/x JSESSIONID=k.a => a",
    );
}

#[test]
fn a_balancer_names_its_own_cookie_and_the_last_config_wins() {
    let mut world = World::new();
    world.join_with("a", 100, "&StickySessionCookie=SID&StickySessionPath=sid");
    world.join_with("b", 100, "&StickySessionCookie=SID&StickySessionPath=sid");
    world.story(
        "GET h/x SID=k.b => b
         GET h/x;sid=k.b => b
         GET h/x JSESSIONID=k.b => a
         CONFIG / JVMRoute=a&Type=http&Port=1000&StickySessionCookie=NEW
         GET h/x NEW=k.b => b
         GET h/x NEW=k.b => b",
    );
}

#[test]
fn the_wait_for_a_worker_is_the_balancers() {
    let mut world = World::new();
    world.join_with("a", 100, "&WaitWorker=4");
    world.story("refused a\nGET h/x => wait 4s");
}
