//! What changes cost: each context that one touches is built once.

use super::world::World;

fn rebuilds(world: &mut World, story: &str) -> u64 {
    let before = world.registry.rebuilds();
    world.story(story);
    world.registry.rebuilds() - before
}

fn names(count: usize) -> String {
    (0..count).map(|n| format!("n{n} ")).collect()
}

#[test]
fn new_settings_of_a_balancer_name_build_a_context_once_for_all_its_nodes() {
    let mut world = World::of_nodes(&names(50));
    let config = "CONFIG / JVMRoute=n0&Type=http&Port=1000&WaitWorker=7";
    assert_eq!(rebuilds(&mut world, config), 1);
    world.story("DISABLE-APP /* JVMRoute=n0");
    let disable = |n| format!("DISABLE-APP /* JVMRoute=n{n}");
    (1..50).for_each(|n| world.story(&disable(n)));
    world.story("GET h/x => wait 7s");
}

#[test]
fn nodes_that_warm_up_build_their_context_once_a_second() {
    let mut world = World::of_nodes("old");
    world.newcomers(10);
    for n in 0..50 {
        world.join(&format!("n{n}"), 100);
    }
    assert_eq!(rebuilds(&mut world, "wait 4s"), 4);
}

#[test]
fn a_node_that_cannot_take_requests_yet_builds_nothing_but_its_first_context() {
    let mut world = World::of_nodes("a");
    let joins = "CONFIG / JVMRoute=b&Type=http&Port=2000&Alias=h&Context=/x
                 ENABLE-APP / JVMRoute=b&Alias=h&Context=/x";
    assert_eq!(rebuilds(&mut world, joins), 0);
    assert_eq!(rebuilds(&mut world, "STATUS / JVMRoute=b&Load=100"), 1);
    let other = "ENABLE-APP / JVMRoute=b&Alias=h&Context=/y";
    assert_eq!(rebuilds(&mut world, other), 2, "b changed in /x too");
}
