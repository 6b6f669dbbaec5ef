//! The demo on free ports, from the first line to the last.

use std::net::SocketAddr;

use super::*;

const FREE: [&str; 9] = [
    "--http",
    "127.0.0.1:0",
    "--mcmp",
    "127.0.0.1:0",
    "--manager",
    "127.0.0.1:0",
    "--counter-ports",
    "0",
    "0",
];

/// A started demo, and what it said.
struct Demo {
    program: Program,
    site: SocketAddr,
    mcmp: SocketAddr,
    nodes: Vec<(SocketAddr, Pid)>,
}

impl Demo {
    fn start() -> Demo {
        let mut program = Program::start(env!("CARGO_BIN_EXE_demo"), &FREE);
        let mut text = String::new();
        while !text.contains("Ctrl-C ends it all.") {
            let line = program.line();
            assert!(
                !(line.is_empty() && program.process.try_wait().expect("our child").is_some()),
                "{text}"
            );
            text = format!("{text}{line}\n");
        }
        let after = |start: &str| {
            let found = text.lines().find_map(|line| line.trim_start().strip_prefix(start));
            found.expect(&text).trim_start().to_owned()
        };
        let address = |text: &str| -> SocketAddr {
            let text = text.trim_start_matches("http://");
            text.split(['/', ' ']).next().unwrap_or_default().parse().expect(text)
        };
        let node = |name: &str| {
            let line = after(&format!("node {name}"));
            let (_, pid) = line.split_once("(pid ").expect(&line);
            let pid = pid.trim_end_matches(')').parse().expect(pid);
            (address(&line), Pid::from_raw(pid).expect("a pid"))
        };
        Demo {
            site: address(&after("the site")),
            mcmp: address(&after("the nodes register at")),
            nodes: vec![node("one"), node("two")],
            program,
        }
    }

    fn is_over(&self) -> bool {
        let mut all = self.nodes.iter().map(|(address, _)| *address).chain([self.site, self.mcmp]);
        all.all(|address| TcpStream::connect(address).is_err())
    }
}

#[test]
fn the_demo_keeps_a_session_on_its_node_and_its_count_when_the_node_is_killed() {
    let mut demo = Demo::start();
    let first = get(demo.site, "/counter");
    let cookie = first.cookie().expect("a new session");
    let node = first.json()["node"].clone();
    for count in [2, 3] {
        let answer = get(demo.site, &format!("/counter\n{cookie}"));
        assert_eq!((&answer.json()["node"], &answer.json()["count"]), (&node, &count.into()));
    }
    let mut nodes: Vec<_> =
        (0..4).map(|_| get(demo.site, "/counter").json()["node"].clone()).collect();
    nodes.sort_by_key(|node| node.to_string());
    nodes.dedup();
    assert_eq!(nodes, ["one", "two"]);
    let mine = if node == "one" { 0 } else { 1 };
    kill_process(demo.nodes[mine].1, Signal::KILL).unwrap();
    let mut before = 3;
    eventually("the other node answers", || {
        let answer = get(demo.site, &format!("/counter\n{cookie}"));
        if answer.status != 200 {
            return false;
        }
        // A request that was retried may have counted before; none that was answered is forgotten.
        let count = answer.json()["count"].as_u64().expect("a count");
        assert!(count > before, "{count} after {before}");
        before = count;
        answer.json()["node"] != node
    });
    let mut said = String::new();
    eventually("it says how the node comes back to the other one", || {
        said += &demo.program.line();
        said.contains("--bin counter --") && said.contains("--cluster-member")
    });
    demo.program.terminate();
    assert!(demo.program.ends().success());
    assert!(demo.is_over());
}

#[test]
fn no_child_outlives_a_demo_that_is_killed() {
    let mut demo = Demo::start();
    demo.program.process.kill().unwrap();
    eventually("all have ended", || demo.is_over());
}

#[test]
fn a_port_in_use_is_told_before_anything_starts() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let args = [&["--http", &address], &FREE[2..]].concat();
    let output = Command::new(env!("CARGO_BIN_EXE_demo")).args(args).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let start = format!("cannot listen on {address} for browsers: choose another with --http");
    assert!(error.starts_with(&start), "{error}");
}
