//! The cluster's examples: each runs to its end and says what it shows.

use super::*;

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
