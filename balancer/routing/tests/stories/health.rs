//! Nodes that fail, and nodes that come back.

use muster_routing::Decision;

use super::world::World;

#[test]
fn a_failed_connect_leaves_a_node_out_until_a_probe_passes() {
    let mut world = World::of_nodes("a b");
    world.story(
        "silent a
         refused a
         GET h/x => b
         GET h/x => b
         wait 3s
         GET h/x => b
         answers a
         wait 2s",
    );
    assert!(world.newcomers(30).contains(&"a".to_owned()));
}

#[test]
fn a_silent_kill_is_noticed_by_probes_without_any_traffic() {
    let mut world = World::of_nodes("a");
    world.story(
        "silent a
         wait 6s
         GET h/x => no node can take the request
         answers a
         wait 2s
         GET h/x => a",
    );
    assert_eq!(world.registry.rows(world.now).nodes[0].load, 100);
}

#[test]
fn a_node_in_an_error_state_gets_nothing() {
    let mut world = World::of_nodes("a");
    world.story(
        "STATUS / JVMRoute=a&Load=-1
         GET h/x => no node can take the request
         STATUS / JVMRoute=a&Load=-2
         GET h/x => no node can take the request
         STATUS / JVMRoute=a
         STATUS / JVMRoute=a&Load=5
         GET h/x => a",
    );
}

#[test]
fn the_page_shows_minus_two_while_a_node_is_checked_and_minus_one_when_it_is_down() {
    let mut world = World::new();
    let load = |world: &World| world.registry.rows(world.now).nodes[0].load;
    world.tell("CONFIG / JVMRoute=a&Type=http&Port=1");
    assert_eq!(load(&world), -2);
    world.tell("STATUS / JVMRoute=a&Load=60");
    assert_eq!(load(&world), 60);
    world.story("refused a");
    assert_eq!(load(&world), -1);
}

#[test]
fn a_node_that_is_down_for_ten_minutes_is_forgotten() {
    let mut world = World::of_nodes("a b");
    world.story(
        "silent a
         wait 590s
         PING / JVMRoute=a => NOTOK
         wait 30s
         PING / JVMRoute=a => MEM
         PING / JVMRoute=b",
    );
}

#[test]
fn a_node_that_never_answered_is_forgotten_too_but_not_a_static_one() {
    let mut world = World::new();
    world.add_static("s", 50);
    world.story(
        "silent s
         silent a
         CONFIG / JVMRoute=a&Type=http&Port=1
         wait 590s
         PING / JVMRoute=a => NOTOK
         wait 15s
         PING / JVMRoute=a => MEM
         PING / JVMRoute=s => NOTOK",
    );
}

#[test]
fn a_node_that_is_out_for_a_minute_is_probed_less_often() {
    let mut world = World::of_nodes("a");
    world.story(
        "silent a
         refused a",
    );
    let probes_of_ten_seconds = |world: &mut World| {
        let before = world.probes;
        world.story("wait 10s");
        world.probes - before
    };
    assert_eq!(probes_of_ten_seconds(&mut world), 10);
    world.story("wait 60s");
    assert_eq!(probes_of_ten_seconds(&mut world), 2);
    world.story(
        "answers a
         wait 6s
         GET h/x => a",
    );
}

#[test]
fn a_node_that_its_cluster_goes_on_without_is_left_out_after_one_silence() {
    let mut world = World::of_nodes("a b c");
    world.story(
        "sees a b,c
         sees b a,c
         sees c a,b
         wait 1s
         hold c 1
         slow c
         wait 1s
         sees a b",
    );
    world.story("wait 1s");
    assert!(!world.newcomers(30).contains(&"c".to_owned()));
    assert_eq!(world.registry.left_out(), 1);
    world.story(
        "answers c
         wait 2s
         GET h/x JSESSIONID=k.c => c",
    );
}

#[test]
fn who_waits_for_a_node_that_was_heard_a_moment_ago_goes_on_waiting() {
    let mut world = World::of_nodes("a b c");
    world.story(
        "sees a b,c
         sees c a,b
         wait 1s
         hold c 1
         slow c
         sees a b",
    );
    assert!(world.registry.take_haste());
    world.story("wait 1s");
    // No more requests, but those that it has are its own.
    assert!(!world.newcomers(30).contains(&"c".to_owned()));
    assert_eq!(world.registry.left_out(), 0);
    world.story("wait 1s");
    assert_eq!(world.registry.left_out(), 1);
}

#[test]
fn the_word_of_others_takes_nobody_out_who_answers() {
    let mut world = World::of_nodes("a b c");
    world.story(
        "sees a b,c
         sees c a,b
         sees a -
         wait 1s
         GET h/x JSESSIONID=k.c => c
         slow c
         wait 6s
         GET h/x JSESSIONID=k.c => c",
    );
    // It has answered since it was doubted: it is a busy node like any other.
    assert_eq!(world.registry.left_out(), 0);
}

#[test]
fn a_node_of_another_cluster_is_not_missed() {
    let mut world = World::of_nodes("a b c");
    world.story(
        "sees a b
         sees c -
         slow c
         sees b a
         sees a -
         wait 1s
         GET h/x JSESSIONID=k.c => c",
    );
}

#[test]
fn who_waits_for_a_node_that_sees_too_few_of_its_cluster_may_look_elsewhere() {
    let mut world = World::of_nodes("a b");
    world.story(
        "sees a b
         hold a 1
         STATUS / JVMRoute=a&Load=-1
         GET h/x => b",
    );
    let is_left_out = |world: &World| {
        let found = world.registry.table().node("a").map(|node| node.live.is_left_out());
        (found, world.registry.left_out())
    };
    assert_eq!(is_left_out(&world), (Some(true), 1));
    let told = world.registry.take_left_out_by_word();
    assert_eq!(told.iter().map(|route| route.as_str()).collect::<Vec<_>>(), ["a"]);
    world.story("STATUS / JVMRoute=a&Load=-1");
    assert_eq!(is_left_out(&world), (Some(true), 1));
    world.story("sees a b");
    assert_eq!(is_left_out(&world), (Some(false), 1));
    // Of one that was never in a cluster nobody knows what it means by that.
    world.story("STATUS / JVMRoute=b&Load=-1");
    assert_eq!(world.registry.left_out(), 1);
}

#[test]
fn a_node_that_answers_no_request_for_a_while_is_asked_before_its_time() {
    let mut world = World::of_nodes("a");
    world.story("wait 1s");
    let probes_of_a_second = |world: &mut World| {
        let before = world.probes;
        world.story("wait 1s");
        world.probes - before
    };
    assert_eq!(probes_of_a_second(&mut world), 0);
    world.story("hold a 1");
    assert_eq!(probes_of_a_second(&mut world), 1);
    // It has answered the probe: what is slow is the request.
    assert_eq!(probes_of_a_second(&mut world), 0);
}

#[test]
fn a_full_node_is_passed_over_and_its_own_sessions_wait() {
    let mut world = World::of_nodes("a b");
    world.max_in_flight = 2;
    world.story(
        "hold a 2
         GET h/x => b
         GET h/x => b
         GET h/x JSESSIONID=k.a => every node is busy
         hold b 2
         GET h/x => every node is busy
         release
         GET h/x JSESSIONID=k.a => a",
    );
}

#[test]
fn a_busy_node_hears_notok_but_stays_in_use_until_it_was_late_three_times() {
    let mut world = World::of_nodes("a");
    world.story(
        "slow a
         STATUS / JVMRoute=a&Load=10 => NOTOK
         GET h/x => a
         STATUS / JVMRoute=a&Load=10 => NOTOK
         STATUS / JVMRoute=a&Load=10 => NOTOK
         GET h/x => no node can take the request
         answers a
         STATUS / JVMRoute=a&Load=10
         GET h/x => a",
    );
}

#[test]
fn a_node_that_answers_requests_is_not_asked_whether_it_is_there() {
    let mut world = World::of_nodes("a b");
    world.story("wait 6s");
    let due = |world: &mut World| world.registry.tick(world.now).len();
    let ask = |world: &World, route: &str, is_own: bool| {
        let in_flight = |d: &Decision<'_>| d.count();
        let request = world.decide("h/x", &format!("JSESSIONID=k.{route}"), in_flight).unwrap();
        if is_own {
            request.answered();
        }
        request.finish(0, 10, Some(504));
    };
    ask(&world, "a", true);
    ask(&world, "b", false);
    world.now += std::time::Duration::from_secs(6);
    assert_eq!(due(&mut world), 1, "b is asked: the answer of its request was the balancer's");
    world.now += std::time::Duration::from_secs(6);
    assert_eq!(due(&mut world), 1, "a has answered nothing since");
}
