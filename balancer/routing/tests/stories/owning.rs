//! Whose a route is: nobody rewrites another's.

use super::world::World;

#[test]
fn nobody_but_its_owner_changes_a_route_that_answers() {
    let mut world = World::new();
    world.story(
        "by instance:one 10.0.0.1
         CONFIG / JVMRoute=a&Type=http&Host=10.0.0.1&Port=1
         ENABLE-APP / JVMRoute=a&Alias=h&Context=/x
         STATUS / JVMRoute=a&Load=100
         by instance:two 10.0.0.2
         CONFIG / JVMRoute=a&Type=http&Host=10.0.0.2&Port=1 => MEM
         CONFIG / JVMRoute=a&Type=http&Host=10.0.0.1&Port=1&ping=1 => MEM
         CONFIG / JVMRoute=b&Type=http&Host=10.0.0.1&Port=1 => MEM
         STATUS / JVMRoute=a&Load=-1 => MEM
         DISABLE-APP / JVMRoute=a&Alias=h&Context=/x => MEM
         STOP-APP / JVMRoute=a&Alias=h&Context=/x => MEM
         STOP-APP /* JVMRoute=a => MEM
         REMOVE-APP / JVMRoute=a&Alias=h&Context=/x => MEM
         REMOVE-APP /* JVMRoute=a => MEM
         PING / JVMRoute=a
         GET h/x => a
         by instance:one 10.0.0.9
         DISABLE-APP / JVMRoute=a&Alias=h&Context=/x
         by operator
         REMOVE-APP /* JVMRoute=a",
    );
}

#[test]
fn an_agent_that_was_started_again_gets_its_route_back() {
    let mut world = World::new();
    world.story(
        "by instance:one 10.0.0.1
         CONFIG / JVMRoute=a&Type=http&Host=10.0.0.1&Port=1
         by instance:two 10.0.0.1
         STATUS / JVMRoute=a&Load=100 => MEM
         CONFIG / JVMRoute=a&Type=http&Host=10.0.0.1&Port=1
         STATUS / JVMRoute=a&Load=100
         by instance:three 10.0.0.1
         CONFIG / JVMRoute=a&Type=http&Host=10.0.0.1&Port=2 => MEM
         silent a
         CONFIG / JVMRoute=a&Type=http&Host=10.0.0.1&Port=2
         STATUS / JVMRoute=a&Load=100 => NOTOK
         by instance:four 10.0.0.4
         CONFIG / JVMRoute=a&Type=http&Host=10.0.0.4&Port=1",
    );
}

#[test]
fn a_route_of_a_secret_or_of_a_certificate_is_not_for_those_who_have_none() {
    let mut world = World::new();
    world.story(
        "by instance:one 10.0.0.1
         CONFIG / JVMRoute=a&Type=http&Host=10.0.0.1&Port=1
         by certificate:CN=b 10.0.0.1
         CONFIG / JVMRoute=b&Type=http&Host=10.0.0.1&Port=2
         silent a
         silent b
         by address:10.0.0.1 10.0.0.1
         CONFIG / JVMRoute=a&Type=http&Host=10.0.0.1&Port=1 => MEM
         CONFIG / JVMRoute=c&Type=http&Host=10.0.0.1&Port=1 => MEM
         CONFIG / JVMRoute=b&Type=http&Host=10.0.0.1&Port=2 => MEM
         by instance:two 10.0.0.1
         CONFIG / JVMRoute=b&Type=http&Host=10.0.0.1&Port=2 => MEM
         by certificate:CN=other 10.0.0.1
         CONFIG / JVMRoute=b&Type=http&Host=10.0.0.1&Port=2 => MEM
         by certificate:CN=b 10.0.0.3
         CONFIG / JVMRoute=b&Type=http&Host=10.0.0.3&Port=2",
    );
}

#[test]
fn nodes_without_any_proof_are_told_apart_by_their_addresses() {
    let mut world = World::new();
    world.story(
        "by address:10.0.0.1 10.0.0.1
         CONFIG / JVMRoute=a&Type=http&Host=10.0.0.1&Port=1
         by address:10.0.0.2 10.0.0.2
         CONFIG / JVMRoute=a&Type=http&Host=10.0.0.2&Port=1 => MEM
         REMOVE-APP /* JVMRoute=a => MEM
         silent a
         CONFIG / JVMRoute=a&Type=http&Host=10.0.0.2&Port=1
         by address:10.0.0.1 10.0.0.1
         REMOVE-APP /* JVMRoute=a => MEM",
    );
}

#[test]
fn a_static_node_is_spoken_for_from_this_machine_only() {
    let mut world = World::new();
    world.add_static("a", 100);
    world.story(
        "by instance:one 10.0.0.1
         DISABLE-APP /* JVMRoute=a => MEM
         STATUS / JVMRoute=a&Load=1 => MEM
         by address:127.0.0.1 127.0.0.1
         DISABLE-APP /* JVMRoute=a",
    );
}

#[test]
fn a_node_says_how_many_sessions_it_holds() {
    let mut world = World::new();
    world.story(
        "by instance:one 10.0.0.1
         CONFIG / JVMRoute=a&Type=http&Host=10.0.0.1&Port=1",
    );
    let rows = |world: &World| world.registry.rows(world.now).nodes.remove(0);
    assert_eq!(rows(&world).sessions, None);
    world.story("STATUS / JVMRoute=a&Load=100");
    assert_eq!(rows(&world).sessions, Some(7));
    assert_eq!(rows(&world).owner.unwrap().to_string(), "instance:one");
}
