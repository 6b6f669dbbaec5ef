//! Shares, newcomers, and requests in flight.

use std::collections::HashMap;

use super::world::World;

fn counts(names: &[String]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for name in names {
        *counts.entry(name.as_str()).or_default() += 1;
    }
    counts
}

fn longest_run(names: &[String], of: &str) -> usize {
    names.split(|name| name != of).map(<[String]>::len).max().unwrap_or(0)
}

#[test]
fn loads_of_75_and_25_give_3000_and_1000_of_4000() {
    let mut world = World::new();
    world.join("a", 75);
    world.join("b", 25);
    let names = world.newcomers(4000);
    assert_eq!(counts(&names), HashMap::from([("a", 3000), ("b", 1000)]));
}

#[test]
fn shares_stay_exact_from_any_point_on_and_over_windows() {
    let mut world = World::new();
    world.join("a", 75);
    world.join("b", 25);
    world.newcomers(777);
    for _ in 0..8 {
        let names = world.newcomers(500);
        let of_a = counts(&names)["a"];
        assert!(of_a.abs_diff(375) <= 1, "{of_a}");
        world.story("wait 6s");
    }
}

#[test]
fn loads_of_100_50_and_1_give_their_shares() {
    let mut world = World::new();
    world.join("a", 100);
    world.join("b", 50);
    world.join("c", 1);
    let names = world.newcomers(15_100);
    let counts = counts(&names);
    assert_eq!((counts["a"], counts["b"], counts["c"]), (10_000, 5_000, 100));
}

#[test]
fn a_newcomer_is_not_flooded() {
    let mut world = World::of_nodes("a b");
    world.newcomers(20_000);
    world.join("c", 100);
    let names = world.newcomers(3000);
    let of_c = counts(&names).get("c").copied().unwrap_or(0);
    assert!(of_c > 0 && of_c <= 1200, "{of_c} of 3000");
    assert!(longest_run(&names, "c") <= 20);
    world.story("wait 6s");
    let names = world.newcomers(3000);
    assert_eq!(counts(&names)["c"], 1000);
    assert!(longest_run(&names, "c") <= 2);
}

#[test]
fn a_node_that_comes_back_is_not_flooded() {
    let mut world = World::of_nodes("a b");
    world.story("refused b");
    world.newcomers(20_000);
    world.story("wait 1s");
    let names = world.newcomers(1000);
    assert!(longest_run(&names, "b") <= 20);
    world.story("wait 6s");
    assert_eq!(counts(&world.newcomers(1000))["b"], 500);
}

#[test]
fn a_load_that_changes_does_not_begin_from_nothing() {
    let mut world = World::of_nodes("a b c");
    world.newcomers(3000);
    for load in [50, 75, 88, 94, 97, 99, 100] {
        world.tell(&format!("STATUS / JVMRoute=c&Load={load}"));
        let names = world.newcomers(400);
        let share = 400 * load / (200 + load);
        assert!(counts(&names)["c"].abs_diff(share) <= 3, "{load}: {:?}", counts(&names));
    }
}

#[test]
fn requests_in_flight_break_ties() {
    let mut world = World::of_nodes("a b c");
    world.newcomers(3);
    world.story("hold a 1\nhold b 1\nhold c 1\nrelease\nhold b 1\nhold a 1\nhold c 1");
    world.story("release");
    // All have the same number of turns; b and c carry one request each, a carries none.
    world.story("hold b 1\nhold c 1");
    world.story("GET h/x => a");
}

#[test]
fn a_node_with_many_sessions_gets_fewer_new_ones() {
    let mut world = World::of_nodes("a b");
    for _ in 0..20 {
        world.story("GET h/x JSESSIONID=k.a => a");
    }
    let names = world.newcomers(40);
    assert_eq!(counts(&names)["b"], 24);
}

#[test]
fn what_elections_remember_is_bounded() {
    let mut world = World::of_nodes("a b");
    for _ in 0..5000 {
        world.story("GET h/x JSESSIONID=k.a => a");
    }
    let names = world.newcomers(200);
    assert_eq!(longest_run(&names, "b"), 8);
}

#[test]
fn many_equal_nodes_take_turns() {
    let names: Vec<String> = (0..100).map(|n| format!("n{n}")).collect();
    let world = World::of_nodes(&names.join(" "));
    let elected = world.newcomers(1000);
    assert!(counts(&elected).values().all(|count| *count == 10));
}

#[test]
fn new_sessions_do_not_all_go_to_the_node_whose_old_ones_are_quiet() {
    let mut world = World::new();
    world.join("a", 100);
    world.join("b", 60);
    world.join("c", 50);
    for _ in 0..3000 {
        world.story("GET h/x JSESSIONID=k.a => a\nGET h/x JSESSIONID=k.b => b");
    }
    let names = world.newcomers(200);
    assert!(longest_run(&names, "c") <= 20, "{names:?}");
    assert!(counts(&names).values().all(|count| *count > 30), "{:?}", counts(&names));
}
