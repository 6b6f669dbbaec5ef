//! The cluster's examples: each runs to its end and says what it shows.

use super::*;

/// One process of a cluster of this name; the first one there is told of nobody.
pub(super) fn node(
    program: &str,
    name: &str,
    others: Option<&str>,
    more: &[&str],
) -> (Program, String) {
    let (_, file) = program.rsplit_once('/').expect("a path");
    let cluster = format!("{}-{}", file.replace('_', "-"), std::process::id());
    let mut args = vec!["--clustered", "--node-name", name, "--cluster-port", "0"];
    args.extend(["--cluster-name", &cluster]);
    args.extend(others.iter().flat_map(|others| ["--cluster-member", others]));
    args.extend(more);
    let mut program = Program::start(program, &args);
    let line = program.line();
    let address = line.strip_prefix(&format!("member {name} at ")).expect("its first words");
    let address = address.to_owned();
    (program, address)
}

fn said(program: &str) -> Vec<String> {
    let mut program = Program::start(program, &[]);
    let mut said = String::new();
    program.output.read_to_string(&mut said).expect("its output is text");
    assert!(program.ends().success(), "{said}");
    said.lines().map(str::to_owned).collect()
}

#[test]
fn each_cache_mode_keeps_copies_where_it_says() {
    let expected = [
        "3 members",
        "Local: node1 put it, 1 have a copy, 1 can read it",
        "Invalidated: node1 put it, 1 have a copy, 1 can read it",
        "Distributed: node1 put it, 2 have a copy, 3 can read it",
        "Replicated: node1 put it, 3 have a copy, 3 can read it",
        "Invalidated: node2 loaded it too, 2 have a copy",
        "Invalidated: node3 changed it, 1 has a copy",
        "Distributed: three members counted to 100 each, together to 300",
        "Local: node1 has left, 0 can read it",
        "Invalidated: node1 has left, 1 can read it",
        "Distributed: node1 has left, 2 can read it",
        "Replicated: node1 has left, 2 can read it",
    ];
    assert_eq!(said(env!("CARGO_BIN_EXE_cache_modes")), expected);
}

#[test]
fn commands_reach_one_all_or_the_others_and_nobody_waits_for_who_has_left() {
    let expected = [
        "one: node2 has 5",
        "all: node1 10, node2 15, node3 10",
        "others: node2 15, node3 10",
        "refused: node2 has only 15",
        "gone: answered for at once",
        "all: node1 10, node3 10",
    ];
    assert_eq!(said(env!("CARGO_BIN_EXE_dispatcher")), expected);
}

#[test]
fn a_queue_is_shared_in_order_answered_and_gives_up_on_what_fails_too_often() {
    let expected = [
        "shared: 20 messages, both at work: true",
        "in order: ordered, paid, shipped, closed; published twice: true false",
        "asked: 4; nobody: true",
        "dead: poison after 2 tries",
        "news: all is well",
        "news: all is well",
    ];
    assert_eq!(said(env!("CARGO_BIN_EXE_queue")), expected);
}

#[test]
fn clustered_processes_count_each_other_in_the_caches_that_are_shared() {
    let modes = env!("CARGO_BIN_EXE_cache_modes");
    let (mut one, address) = node(modes, "one", None, &[]);
    for mode in ["Local", "Invalidated", "Distributed", "Replicated"] {
        assert_eq!(one.line(), format!("{mode}: 1 counted"));
    }
    let (mut two, _) = node(modes, "two", Some(&address), &[]);
    let counted = [("Local", 1), ("Invalidated", 1), ("Distributed", 2), ("Replicated", 2)];
    for (mode, counted) in counted {
        assert_eq!(two.line(), format!("{mode}: {counted} counted"));
    }
    for node in [&mut one, &mut two] {
        node.terminate();
        assert!(node.ends().success());
    }
}

#[test]
fn clustered_processes_do_each_others_commands() {
    let dispatcher = env!("CARGO_BIN_EXE_dispatcher");
    let (mut one, address) = node(dispatcher, "one", None, &[]);
    assert_eq!(one.line(), "all: one 10");
    let (mut two, _) = node(dispatcher, "two", Some(&address), &[]);
    assert_eq!(two.line(), "all: one 20, two 10");
    for node in [&mut one, &mut two] {
        node.terminate();
        assert!(node.ends().success());
    }
}

#[test]
fn a_cart_goes_on_when_the_member_that_made_it_breaks_off() {
    let expected = [
        "node1: 1 pieces, 7 in all",
        "node2: 2 pieces, 9 in all",
        "both: 102 pieces",
        "node1 is gone",
        "node2: 103 pieces, 113 in all",
        "node2: the cart was removed",
    ];
    assert_eq!(said(env!("CARGO_BIN_EXE_components")), expected);
}

#[test]
fn who_has_logged_in_once_is_known_on_both_hosts_until_a_logout() {
    let expected = [
        "node1, shop.example.com: nobody",
        "node1, shop.example.com: welcome, ann",
        "node2, bank.example.com: ann",
        "node1, which took the login, is gone",
        "node3, shop.example.com: ann",
        "node3, bank.example.com: goodbye",
        "node2, shop.example.com: nobody",
    ];
    assert_eq!(said(env!("CARGO_BIN_EXE_sso")), expected);
}

#[test]
fn axum_login_knows_its_user_when_the_node_of_the_login_is_gone() {
    let expected = [
        "node1: 401 Unauthorized",
        "node1: welcome, ann",
        "node1 is gone",
        "node2: ann",
        "node2: goodbye",
        "node2: nobody",
    ];
    assert_eq!(said(env!("CARGO_BIN_EXE_login")), expected);
}

#[test]
fn a_timer_fires_on_one_member_and_on_the_next_one_when_that_has_left() {
    let expected = [
        "HASingleton timer @node1",
        "node3 asks: HaTimerService is started at node1",
        "node1 has left",
        "HASingleton timer @node2",
    ];
    assert_eq!(said(env!("CARGO_BIN_EXE_singleton")), expected);
}

#[test]
fn a_timer_goes_to_the_preferred_process_when_it_comes_and_back_when_it_ends() {
    let singleton = env!("CARGO_BIN_EXE_singleton");
    let (mut two, address) = node(singleton, "node2", None, &["--every", "20"]);
    assert_eq!(two.line(), "HASingleton timer @node2");
    let (mut one, _) = node(singleton, "node1", Some(&address), &["--every", "20"]);
    assert_eq!(one.line(), "HASingleton timer @node1");
    one.terminate();
    assert!(one.ends().success());
    // It has fired on until the other came, and again since.
    assert_eq!(two.line(), "HASingleton timer @node2");
    two.terminate();
    assert!(two.ends().success());
}
