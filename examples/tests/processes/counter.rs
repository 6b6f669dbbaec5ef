//! The counter without a balancer: where it should register nobody listens.

use std::net::{SocketAddr, TcpListener};

use super::*;

fn counter(more: &[&str]) -> (Program, SocketAddr) {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let nobody = nobody.expect("a free port").to_string();
    let args = ["--node-name", "node1", "--port", "0", "--balancer", &nobody];
    let mut program = Program::start(env!("CARGO_BIN_EXE_counter"), &[&args[..], more].concat());
    let line = program.line();
    let address = line.strip_prefix("listening http=").and_then(|l| l.strip_suffix(" node=node1"));
    let address = address.unwrap_or_default().parse().expect(&line);
    (program, address)
}

#[test]
fn a_session_is_counted_under_its_cookie() {
    let (_program, address) = counter(&[]);
    let first = get(address, "/counter");
    assert_eq!((first.status, first.header("x-node")), (200, Some("node1")));
    let json = first.json();
    let session = json["session"].as_str().unwrap().to_owned();
    let id = session.strip_suffix(".node1").expect(&session);
    assert!(id.len() >= 32 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    assert_eq!(json["new"], true);
    let cookie = format!("JSESSIONID={session}; HttpOnly; SameSite=Lax; Path=/counter");
    assert_eq!(first.header("set-cookie"), Some(cookie.as_str()));
    let cookie = first.cookie().unwrap();
    let second = get(address, &format!("/counter/below?x=1\n{cookie}"));
    assert_eq!(
        second.body,
        format!("{{\"node\":\"node1\",\"session\":\"{session}\",\"new\":false,\"count\":2}}\n")
    );
    assert_eq!(second.header("set-cookie"), None);
    let third = get(address, &format!("/counter;jsessionid={session}"));
    assert_eq!(third.json()["count"], 3);
    let moved = get(address, &format!("/counter\n{}", cookie.replace(".node1", ".node2")));
    assert_eq!(moved.json()["count"], 4);
    assert_eq!(moved.cookie(), Some(cookie), "it comes from another node and stays here");
}

#[test]
fn an_unknown_session_is_a_new_one_under_a_new_id() {
    let (_program, address) = counter(&[]);
    let answer = get(address, "/counter\nCookie: a=b; JSESSIONID=0123.node2");
    assert_eq!((&answer.json()["new"], &answer.json()["count"]), (&true.into(), &1.into()));
    assert!(!answer.header("set-cookie").unwrap().contains("0123"));
}

#[test]
fn the_query_says_what_else_happens() {
    let (_program, address) = counter(&[]);
    let none = get(address, "/counter?nosession");
    assert_eq!((&none.json()["count"], none.header("set-cookie")), (&(-1).into(), None));
    let padded = get(address, "/counter?nosession=1&bytes=1000");
    assert!(padded.body.ends_with(&format!("}}\n{}", "x".repeat(1000))));
    let filled = get(address, "/counter?fill=3&size=100&touch=7&sleep=1");
    let cookie = filled.cookie().unwrap();
    let ended = get(address, &format!("/counter?invalidate=1\n{cookie}"));
    assert_eq!(ended.json()["count"], 2);
    assert_eq!(get(address, &format!("/counter\n{cookie}")).json()["new"], true);
}

#[test]
fn what_is_out_of_bounds_is_refused_with_its_value() {
    let (_program, address) = counter(&[]);
    let answer = get(address, "/counter?sleep=60001");
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body, "sleep has the bad value 60001: at most 60000\n");
    for bad in ["sleep=-1", "bytes=many", "bytes=99999999", "fill=1000&size=1000000", "touch=1001"]
    {
        assert_eq!(get(address, &format!("/counter?{bad}")).status, 400, "{bad}");
    }
    assert_eq!(get(address, "/counters").status, 404);
    assert_eq!(ask(address, "OPTIONS *", "").unwrap().status, 200, "a probe");
}

#[test]
fn bodies_are_counted_and_request_ids_logged() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("requests");
    let (_program, address) = counter(&["--request-log", log.to_str().unwrap()]);
    let body = "b".repeat(100_000);
    let answer = ask(address, "POST /counter?nosession\nX-Request-Id: id-1", &body).unwrap();
    assert_eq!(answer.json()["received"], 100_000);
    assert_eq!(get(address, "/counter?nosession").json().get("received"), None);
    ask(address, "POST /counter?nosession\nX-Request-Id: id-2", "").unwrap();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "id-1\nid-2\n");
}

#[test]
fn sigterm_lets_requests_in_flight_finish() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("requests");
    let (mut program, address) = counter(&["--request-log", log.to_str().unwrap()]);
    let request = "/counter?nosession&sleep=300\nX-Request-Id: slow";
    let slow = std::thread::spawn(move || get(address, request));
    eventually("it is in flight", || std::fs::read_to_string(&log).is_ok_and(|l| !l.is_empty()));
    program.terminate();
    assert_eq!(slow.join().unwrap().status, 200);
    assert!(program.ends().success());
}

#[test]
fn the_end_of_standard_input_ends_it_when_it_should() {
    let (mut program, _) = counter(&["--end-with-stdin"]);
    drop(program.process.stdin.take());
    assert!(program.ends().success());
}

#[test]
fn what_cannot_work_is_said_and_nothing_is_started() {
    let (_program, address) = counter(&[]);
    let port = address.port().to_string();
    let fails = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_counter")).args(args).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    let taken = fails(&["--node-name", "a", "--port", &port]);
    assert!(taken.contains(&format!("cannot listen on {address}")), "{taken}");
    let name = fails(&["--node-name", "a<b", "--port", "0"]);
    assert!(name.contains("JVMRoute has the bad value \"a<b\""), "{name}");
    let balancer = fails(&["--node-name", "a", "--port", "0", "--balancer", "here"]);
    assert!(balancer.contains("balancer has the bad value \"here\""), "{balancer}");
    assert!(fails(&["--load", "101"]).contains("it must be -1, 0, or 1 to 100"));
}
