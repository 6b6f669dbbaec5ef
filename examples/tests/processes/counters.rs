//! Counters of one cluster: a session survives the node that served it.

use std::net::{SocketAddr, TcpListener};

use super::*;

/// A member, where it answers, and where its cluster does.
struct Member {
    program: Program,
    http: SocketAddr,
    cluster: String,
}

/// A member of the cluster that belongs to this test alone; it knows the others by their address.
fn member(cluster: &str, name: &str, others: &[&Member], more: &[&str]) -> Member {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let nobody = nobody.expect("a free port").to_string();
    let mut args = vec!["--clustered", "--node-name", name, "--port", "0", "--balancer", &nobody];
    args.extend(["--cluster-name", cluster, "--cluster-port", "0"]);
    others.iter().for_each(|other| args.extend(["--cluster-member", &other.cluster]));
    args.extend(more);
    let mut program = Program::start(env!("CARGO_BIN_EXE_counter"), &args);
    let line = program.line();
    let said = |key: &str| {
        let words = line.split(' ').filter_map(|word| word.split_once('='));
        let value = words.into_iter().find(|(said, _)| *said == key).map(|(_, value)| value);
        value.unwrap_or_else(|| unreachable!("it says {key}: {line}")).to_owned()
    };
    Member { http: said("http").parse().expect(&line), cluster: said("cluster"), program }
}

#[test]
fn a_killed_nodes_sessions_go_on_at_another_with_the_others_route() {
    for more in [&["--granularity", "session"], &["--granularity", "attribute"]] {
        let cluster = format!("story-{}-{}", std::process::id(), more[1]);
        let mut one = member(&cluster, "one", &[], more);
        let two = member(&cluster, "two", &[&one], more);
        let first = get(one.http, "/counter?fill=3&size=100");
        let cookie = first.cookie().expect("a new session");
        assert_eq!(first.json()["count"], 1);
        let second = get(one.http, &format!("/counter\n{cookie}"));
        assert_eq!((&second.json()["count"], second.cookie()), (&2.into(), None));
        one.program.process.kill().expect("it runs");
        let third = get(two.http, &format!("/counter\n{cookie}"));
        let moved = cookie.replace(".one", ".two");
        assert_eq!((third.status, &third.json()["count"]), (200, &3.into()), "{}", third.body);
        assert_eq!(third.cookie(), Some(moved.clone()), "the id stays, the route is the other's");
        let fourth = get(two.http, &format!("/counter\n{moved}"));
        assert_eq!((&fourth.json()["count"], fourth.cookie()), (&4.into(), None));
    }
}

#[test]
fn two_nodes_serve_one_session_in_turn_and_neither_repeats_a_count() {
    let cluster = format!("turns-{}", std::process::id());
    let one = member(&cluster, "one", &[], &[]);
    let two = member(&cluster, "two", &[&one], &[]);
    let cookie = get(one.http, "/counter").cookie().expect("a new session");
    let ask = |address: SocketAddr| {
        let cookie = cookie.clone();
        std::thread::spawn(move || {
            let counts = (0..20).map(|_| get(address, &format!("/counter\n{cookie}")).json());
            counts.map(|json| json["count"].as_u64().expect("a count")).collect::<Vec<_>>()
        })
    };
    let asked = [one.http, two.http, one.http, two.http].map(ask);
    let mut counts: Vec<u64> =
        asked.into_iter().flat_map(|counts| counts.join().expect("answers")).collect();
    counts.sort_unstable();
    assert_eq!(counts, (2..=81).collect::<Vec<_>>());
}

#[test]
fn a_node_that_leaves_hands_its_sessions_over() {
    let cluster = format!("leaves-{}", std::process::id());
    let mut one = member(&cluster, "one", &[], &[]);
    let two = member(&cluster, "two", &[&one], &[]);
    let cookies: Vec<String> =
        (0..10).map(|_| get(one.http, "/counter").cookie().expect("a new session")).collect();
    one.program.terminate();
    assert!(one.program.ends().success());
    for cookie in cookies {
        assert_eq!(get(two.http, &format!("/counter\n{cookie}")).json()["count"], 2);
    }
}
