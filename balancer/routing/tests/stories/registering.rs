//! CONFIG, the contexts, and what is refused.

use muster_routing::Limits;

use super::world::World;

#[test]
fn a_fresh_node_takes_traffic_only_after_its_first_good_status() {
    let mut world = World::new();
    world.story(
        "CONFIG / JVMRoute=a&Type=http&Port=1
         ENABLE-APP / JVMRoute=a&Alias=h&Context=/x
         GET h/x => no node can take the request
         silent a
         STATUS / JVMRoute=a&Load=100 => NOTOK
         GET h/x => no node can take the request
         answers a
         STATUS / JVMRoute=a&Load=100
         GET h/x => a",
    );
}

#[test]
fn a_worker_that_boots_suspended_stops_contexts_that_nobody_has_seen() {
    let mut world = World::new();
    world.story(
        "CONFIG / JVMRoute=wf&Type=http&Port=1
         STOP-APP / JVMRoute=wf&Alias=default-host,localhost&Context=/ => Requests=0
         STATUS / JVMRoute=wf&Load=1
         GET h/ => no node can take the request
         ENABLE-APP / JVMRoute=wf&Alias=default-host,localhost&Context=/
         GET h/ => wf",
    );
}

#[test]
fn contexts_of_a_config_are_created_stopped_and_known_ones_keep_their_state() {
    let mut world = World::of_nodes("a");
    world.story(
        "CONFIG / JVMRoute=a&Type=http&Port=1000&Alias=h&Context=/x,/y
         GET h/x => a
         GET h/y => no node can take the request",
    );
}

#[test]
fn what_is_unknown_is_an_error_but_for_remove() {
    let mut world = World::new();
    world.story(
        "STATUS / JVMRoute=nope&Load=1 => MEM
         ENABLE-APP / JVMRoute=nope&Alias=h&Context=/x => MEM
         DISABLE-APP /* JVMRoute=nope => MEM
         PING / JVMRoute=nope => MEM
         REMOVE-APP / JVMRoute=nope&Alias=h&Context=/x
         REMOVE-APP /* JVMRoute=nope
         STATUS / Load=1 => NOTOK
         PING /",
    );
}

#[test]
fn a_drain_hears_how_many_requests_are_left() {
    let mut world = World::of_nodes("a");
    world.story(
        "hold a 3
         DISABLE-APP / JVMRoute=a&Alias=h&Context=/x
         STOP-APP / JVMRoute=a&Alias=h&Context=/x => Requests=3
         STOP-APP / JVMRoute=a&Alias=h&Context=/other => Requests=0
         release
         STOP-APP / JVMRoute=a&Alias=h&Context=/x => Requests=0
         REMOVE-APP / JVMRoute=a&Alias=h&Context=/x
         REMOVE-APP /* JVMRoute=a
         GET h/x => no context for this path",
    );
}

#[test]
fn a_context_that_comes_back_still_counts_the_requests_that_it_left_behind() {
    let mut world = World::of_nodes("a");
    world.story(
        "hold a 3
         REMOVE-APP / JVMRoute=a&Alias=h&Context=/x
         ENABLE-APP / JVMRoute=a&Alias=h&Context=/other
         ENABLE-APP / JVMRoute=a&Alias=h&Context=/x
         STOP-APP / JVMRoute=a&Alias=h&Context=/x => Requests=3
         release
         STOP-APP / JVMRoute=a&Alias=h&Context=/x => Requests=0",
    );
}

#[test]
fn a_route_cannot_be_taken_while_its_node_answers() {
    let mut world = World::of_nodes("a");
    world.story(
        "CONFIG / JVMRoute=a&Type=http&Port=2000 => MEM
         CONFIG / JVMRoute=a&Type=http&Port=1000&Balancer=other => MEM
         CONFIG / JVMRoute=b&Type=http&Port=1000 => MEM
         GET h/x => a
         silent a
         CONFIG / JVMRoute=a&Type=http&Port=2000
         GET h/x => no context for this path",
    );
    assert_eq!(world.registry.rows(world.now).nodes.len(), 1);
}

#[test]
fn a_node_that_is_gone_leaves_its_address_to_another() {
    let mut world = World::of_nodes("a");
    world.story(
        "silent a
         CONFIG / JVMRoute=b&Type=http&Port=1000
         PING / JVMRoute=a => MEM",
    );
    assert_eq!(world.registry.rows(world.now).nodes.len(), 1);
}

#[test]
fn a_worker_that_comes_back_under_another_route_gets_its_address_once_the_old_one_is_silent() {
    let mut world = World::of_nodes("a");
    world.story(
        "wait 29s
         CONFIG / JVMRoute=b&Type=http&Port=1000 => MEM
         STATUS / JVMRoute=a&Load=100
         wait 29s
         CONFIG / JVMRoute=b&Type=http&Port=1000 => MEM
         wait 1s
         CONFIG / JVMRoute=a&Type=http&Port=2000 => MEM
         CONFIG / JVMRoute=b&Type=http&Port=1000
         PING / JVMRoute=a => MEM",
    );
}

#[test]
fn the_same_node_may_change_its_domain_and_times_in_place() {
    let mut world = World::of_nodes("a");
    world.story(
        "CONFIG / JVMRoute=a&Type=http&Port=1000&Domain=d1&ping=3&ttl=5&smax=7&Timeout=9
         GET h/x => a",
    );
    let rows = world.registry.rows(world.now);
    let config = &rows.nodes[0].config;
    assert_eq!(config.domain.as_ref().unwrap().as_str(), "d1");
    assert_eq!((config.ping.as_secs(), config.ttl.as_secs(), config.smax), (3, 5, Some(7)));
}

#[test]
fn a_full_table_is_an_error_that_changes_nothing() {
    let mut world = World::with(Limits { nodes: 1, contexts: 2, gone: 1 }, false);
    world.join("a", 100);
    world.story(
        "CONFIG / JVMRoute=b&Type=http&Port=2 => MEM
         ENABLE-APP / JVMRoute=a&Alias=h&Context=/y,/z => MEM
         GET h/y => no context for this path
         ENABLE-APP / JVMRoute=a&Alias=h&Context=/y
         ENABLE-APP / JVMRoute=a&Alias=h&Context=/x,/y
         ENABLE-APP / JVMRoute=a&Alias=h2&Context=/x => MEM
         REMOVE-APP / JVMRoute=a&Alias=h&Context=/y
         ENABLE-APP / JVMRoute=a&Alias=h2&Context=/x
         REMOVE-APP /* JVMRoute=a",
    );
    world.join("b", 100);
    world.story("GET h/x => b");
}

#[test]
fn where_host_names_count_each_alias_of_a_context_takes_room() {
    let mut world = World::with(Limits { nodes: 2, contexts: 6, gone: 1 }, true);
    world.story(
        "CONFIG / JVMRoute=a&Type=http&Port=1&Alias=h1,h2&Context=/x,/y
         ENABLE-APP / JVMRoute=a&Alias=h1,h3,h4&Context=/x => MEM
         ENABLE-APP / JVMRoute=a&Alias=h1,h3&Context=/x
         ENABLE-APP / JVMRoute=a&Alias=h1&Context=/z => MEM
         CONFIG / JVMRoute=b&Type=http&Port=2&Alias=h1&Context=/x => MEM
         REMOVE-APP / JVMRoute=a&Alias=h3&Context=/y
         CONFIG / JVMRoute=b&Type=http&Port=2&Alias=h1,h2,h3&Context=/x
         ENABLE-APP / JVMRoute=b&Alias=h1,h4&Context=/x => MEM
         REMOVE-APP /* JVMRoute=a
         ENABLE-APP / JVMRoute=b&Alias=h1,h4,h5,h6&Context=/x",
    );
}

#[test]
fn a_virtual_host_has_a_thousand_aliases_at_most() {
    let mut world = World::of_nodes("a");
    let aliases =
        |range: std::ops::Range<usize>| range.map(|n| format!(",h{n}")).collect::<String>();
    let enable = |aliases: &str| format!("ENABLE-APP / JVMRoute=a&Alias=h{aliases}&Context=/x");
    world.story(&enable(&aliases(0..600)));
    world.story(&enable(&aliases(300..999)));
    world.story(&format!("{} => MEM", enable(",one-more")));
    let config = "CONFIG / JVMRoute=b&Type=http&Port=7";
    world.story(&format!("{config}&Alias=h{}&Context=/x => MEM", aliases(0..1000)));
    let rows = world.registry.rows(world.now);
    assert_eq!((rows.nodes.len(), rows.nodes[0].hosts[0].aliases.len()), (1, 1000));
}

#[test]
fn one_context_on_two_hosts_of_a_node_takes_what_the_more_open_one_takes() {
    let mut world = World::of_nodes("a");
    world.story(
        "STOP-APP / JVMRoute=a&Alias=wrong.host&Context=/x => Requests=0
         GET h/x => a
         REMOVE-APP / JVMRoute=a&Alias=h&Context=/x
         GET h/x => no node can take the request",
    );
}

#[test]
fn static_nodes_belong_to_the_configuration() {
    let mut world = World::new();
    world.add_static("s", 50);
    world.story(
        "GET h/x => no node can take the request
         wait 1s
         GET h/x => s
         CONFIG / JVMRoute=s&Type=http&Port=9 => MEM
         CONFIG / JVMRoute=t&Type=http&Port=9 => MEM
         REMOVE-APP /* JVMRoute=s => MEM
         REMOVE-APP / JVMRoute=s&Alias=h&Context=/x => MEM
         STATUS / JVMRoute=s&Load=-1
         DISABLE-APP /* JVMRoute=s
         GET h/x JSESSIONID=k.s => s
         STOP-APP / JVMRoute=s&Alias=h&Context=/x => Requests=0
         ENABLE-APP / JVMRoute=s&Alias=h&Context=/x
         STATUS / JVMRoute=s&Load=100
         GET h/x => s
         slow s
         STATUS / JVMRoute=s&Load=100 => NOTOK",
    );
    let rows = world.registry.rows(world.now);
    assert_eq!(rows.nodes[0].availability, muster_routing::node::Availability::Usable(50));
}
