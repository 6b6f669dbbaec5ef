//! The session libraries of others over a cluster: the node that served a session leaves, and
//! another goes on.

use super::cluster::node;
use super::*;

/// A member that serves, its HTTP address, and its cluster's.
fn serving(program: &str, name: &str, others: Option<&str>) -> (Program, SocketAddr, String) {
    let (mut program, member) = node(program, name, others, &["--port", "0"]);
    let line = program.line();
    let http = line.strip_prefix("listening http=").expect("where it listens");
    (program, http.parse().expect("an address"), member)
}

fn ask_with(address: SocketAddr, path: &str, cookie: &str) -> Answer {
    let answer = get(address, &format!("{path}\n{cookie}"));
    assert_eq!(answer.status, 200, "{} {}", answer.head, answer.body);
    answer
}

fn a_session_goes_on_elsewhere(program: &str) {
    let (mut one, at_one, member) = serving(program, "one", None);
    let (mut two, at_two, _) = serving(program, "two", Some(&member));

    let first = get(at_one, "/visit");
    let cookie = first.cookie().expect("a session's first answer sets its cookie");
    assert!(first.body == "visit 1\n" && cookie.ends_with(".one"), "{} {cookie}", first.body);
    assert_eq!(ask_with(at_one, "/visit", &cookie).body, "visit 2\n");
    // What is only read at home sets nothing, and what is no session is none.
    let read = ask_with(at_one, "/look", &cookie);
    assert_eq!((&*read.body, read.cookie()), ("visited 2\n", None));
    let forged = cookie.replace("id=", "id=x");
    assert_eq!(ask_with(at_one, "/look", &forged).body, "visited 0\n");

    one.terminate();
    assert!(one.ends().success());

    // Read only, and yet the client is told where its session is now: the same id, another route.
    let read = ask_with(at_two, "/look", &cookie);
    assert_eq!(read.body, "visited 2\n");
    let moved = read.cookie().expect("the new route");
    assert_eq!(moved, cookie.replace(".one", ".two"));
    let changed = ask_with(at_two, "/visit", &cookie);
    assert!(changed.body == "visit 3\n" && changed.cookie().is_some_and(|c| c.ends_with(".two")));
    assert_eq!(ask_with(at_two, "/look", &moved).cookie(), None);
    two.terminate();
    assert!(two.ends().success());
}

#[test]
fn a_session_of_tower_sessions_goes_on_when_its_node_leaves() {
    a_session_goes_on_elsewhere(env!("CARGO_BIN_EXE_tower_sessions"));
}

#[test]
fn a_session_of_the_tower_sessions_that_axum_login_needs_goes_on_when_its_node_leaves() {
    a_session_goes_on_elsewhere(env!("CARGO_BIN_EXE_tower_sessions_014"));
}

#[test]
fn a_session_of_actix_session_goes_on_when_its_node_leaves() {
    a_session_goes_on_elsewhere(env!("CARGO_BIN_EXE_actix_session"));
}
