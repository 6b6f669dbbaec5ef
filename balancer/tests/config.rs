//! What a user may write into the configuration, and what is said about the rest.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use muster_balancer::config::{AccessLog, Config, LogLevel};
use muster_protocol::mcmp::Load;

fn good(text: &str) -> Config {
    Config::parse(text, "muster.toml").unwrap_or_else(|faults| panic!("{faults}"))
}

fn faults(text: &str) -> Vec<String> {
    let faults = Config::parse(text, "muster.toml").unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

/// Every key, none at its default.
const FULL: &str = r#"
threads = 3
drain_timeout = "1m 30s"

[http]
listen = ["127.0.0.1:0", "[::1]:8080"]
max_connections = 7
header_timeout = "1s"
idle_timeout = "2s"
read_timeout = "3s"
max_head_bytes = "16KiB"
body_limit = "10MiB"

[mcmp]
listen = []
max_body_bytes = 20_000
max_connections = 8
idle_timeout = "25s"
max_nodes = 9
max_contexts = 10
use_alias = true

[manager]
listen = ["0.0.0.0:9999"]
max_connections = 11

[upstream]
connect_timeout = "250ms"
read_timeout = "4s"
total_timeout = "5s"
tunnel_timeout = "6s"
idle_connections = 0
idle_timeout = "6s"
max_in_flight = 12
queue_length = 13
queue_wait = "0s"

[health]
probe_interval = "7s"
revive_interval = "8s"
probe_timeout = "9s"
silent_after = "10s"
forget_after = "11s"
slow_start = "0s"

[retry]
budget_ratio = 1
budget_floor = 0
connect_only = ["/pay/", "/"]

[log]
access = "/var/log/muster/access.log"
level = "debug"

[[node]]
route = "a"
url = "http://127.0.0.1:9000"

[[node]]
route = "b"
url = "https://[::1]"
contexts = ["/shop", "/"]
aliases = ["Shop.example"]
load = 0
domain = "east"
balancer = "Shops"
"#;

#[test]
fn every_key_can_be_set() {
    let config = good(FULL);
    let default = Config::default();
    assert_eq!((config.threads, config.drain_timeout), (3, Duration::from_secs(90)));
    assert_eq!(config.http.body_limit, Some(10 << 20));
    assert_eq!(config.http.max_head_bytes, 16 << 10);
    assert_eq!(config.mcmp.max_body_bytes, 20_000);
    assert!(config.mcmp.listen.is_empty() && config.mcmp.use_alias);
    assert_eq!(config.upstream.connect_timeout, Duration::from_millis(250));
    assert_ne!(config.upstream, default.upstream);
    assert_ne!(config.health, default.health);
    assert_eq!(config.retry.budget_ratio, 1.0);
    assert_eq!(config.retry.connect_only[0].as_str(), "/pay");
    assert_eq!(config.log.access, AccessLog::File("/var/log/muster/access.log".into()));
    assert_eq!(config.log.level, LogLevel::Debug);
}

#[test]
fn a_static_node_is_a_node_that_registered_itself() {
    let nodes = good(FULL).nodes;
    assert_eq!(nodes[0].config.address.to_string(), "http://127.0.0.1:9000");
    assert_eq!(nodes[0].load, Load::Usable(100));
    let host = nodes[0].config.virtual_host.as_ref().unwrap();
    assert_eq!((host.aliases[0].as_str(), host.contexts[0].as_str()), ("localhost", "/"));
    assert_eq!(nodes[1].config.address.to_string(), "https://[::1]:443");
    assert_eq!(nodes[1].load, Load::Standby);
    assert_eq!(nodes[1].config.balancer.as_str(), "shops");
    assert_eq!(nodes[1].config.domain.as_ref().unwrap().as_str(), "east");
}

#[test]
fn an_empty_file_is_the_quickstart() {
    let config = good("");
    assert_eq!(config, Config::default());
    let all = [&config.http.listen, &config.mcmp.listen, &config.manager.listen];
    assert!(all.iter().all(|listen| listen.iter().all(|address| address.ip().is_loopback())));
}

#[test]
fn what_is_shown_reads_the_same() {
    for config in [Config::default(), good(FULL)] {
        assert_eq!(good(&config.to_toml()), config);
    }
    let shown = Config::default().to_toml();
    for line in ["body_limit = \"none\"", "idle_timeout = \"1m\"", "max_head_bytes = \"32KiB\""] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
}

#[test]
fn every_fault_is_named_at_once_with_file_line_and_key() {
    let text = "\
threads = 0
color = \"red\"
[http]
listen = [
  \"127.0.0.1:8000\",
  \"x\",
  7,
]
idle_timeout = 10
body_limit = \"lots\"
[manager]
max_connections = \"many\"
[retry]
budget_ratio = 1.5
connect_only = [\"pay\"]
[log]
level = \"loud\"
[metrics]
";
    let known = "threads, drain_timeout, http, mcmp, manager, upstream, health, retry, log, node";
    let unknown = format!("unknown key; known are {known}");
    assert_eq!(
        faults(text),
        [
            "muster.toml:1: threads: 0 is out of bounds: 1 to 1024",
            &format!("muster.toml:2: color: {unknown}"),
            "muster.toml:6: http.listen: \"x\" is no address (ip:port)",
            "muster.toml:7: http.listen: 7 is no text",
            "muster.toml:9: http.idle_timeout: 10 is no duration (\"10s\")",
            "muster.toml:10: http.body_limit: \"lots\" is no size (\"64KiB\")",
            "muster.toml:12: manager.max_connections: \"many\" is no count",
            "muster.toml:14: retry.budget_ratio: 1.5 is out of bounds: 0 to 1",
            "muster.toml:15: retry.connect_only: Context has the bad value \"pay\": \
             a context begins with /",
            "muster.toml:17: log.level: \"loud\" is none of error, warn, info, debug, trace",
            &format!("muster.toml:18: metrics: {unknown}"),
        ]
    );
}

#[test]
fn broken_lines_are_named_together() {
    let all = faults("[http\nlisten = \n[mcmp]\nx = = 1\n");
    assert!(all.len() >= 2, "{all:?}");
    assert!(all.iter().all(|fault| fault.starts_with("muster.toml:")), "{all:?}");
}

#[test]
fn a_key_of_the_wrong_kind_is_a_fault() {
    assert_eq!(faults("http = 8000"), ["muster.toml:1: http: 8000 is no section"]);
    assert_eq!(
        faults("[http]\nlisten = \"127.0.0.1:1\""),
        ["muster.toml:2: http.listen: \"127.0.0.1:1\" is no list"]
    );
    assert_eq!(
        faults("[node]\nroute = \"a\""),
        ["muster.toml:1: node: it is to be written [[node]]"]
    );
    assert_eq!(
        faults("[mcmp]\nuse_alias = 1"),
        ["muster.toml:2: mcmp.use_alias: 1 is neither true nor false"]
    );
}

#[test]
fn two_listeners_cannot_share_an_address() {
    assert_eq!(
        faults("[manager]\n\nlisten = [\"127.0.0.1:0\", \"0.0.0.0:8000\"]"),
        ["muster.toml:3: manager.listen: 0.0.0.0:8000 is taken by http.listen, 127.0.0.1:8000"]
    );
    let free = "[http]\nlisten = [\"127.0.0.1:0\"]\n[manager]\nlisten = [\"127.0.0.1:0\"]";
    assert_eq!(good(free).manager.listen.len(), 1);
    assert_eq!(
        faults("[http]\nlisten = []"),
        ["muster.toml:2: http.listen: 0 values are out of bounds: 1 to 64"]
    );
}

#[test]
fn two_static_nodes_cannot_share_a_route_or_a_place() {
    let text = "\
[[node]]
route = \"a\"
url = \"http://127.0.0.1:9000\"
[[node]]
route = \"a\"
url = \"http://127.0.0.1:9001\"
[[node]]
route = \"b\"
url = \"https://127.0.0.1:9000\"
";
    assert_eq!(
        faults(text),
        [
            "muster.toml:5: node[1].route: \"a\" is the route of an earlier node",
            "muster.toml:9: node[2].url: https://127.0.0.1:9000 is where node \"a\" answers",
        ]
    );
}

#[test]
fn a_static_node_without_its_keys_is_named_by_its_line() {
    let long = "x".repeat(64);
    let text = format!(
        "threads = 1\n[[node]]\nload = 101\n\n[[node]]\nroute = \"{long}\"\nurl = \"a:1\"\n"
    );
    assert_eq!(
        faults(&text),
        [
            "muster.toml:2: node[0].route: it is missing",
            "muster.toml:2: node[0].url: it is missing",
            "muster.toml:3: node[0].load: 101 is out of bounds: 0 to 100",
            "muster.toml:6: node[1].route: JVMRoute field too big: 64 bytes, the limit is 63",
            "muster.toml:7: node[1].url: \"a:1\" is no node's url (http://host:port): \
             it has no scheme",
        ]
    );
}

#[test]
fn an_idle_timeout_below_a_second_is_out_of_bounds() {
    assert_eq!(
        faults("[http]\nidle_timeout = \"999ms\""),
        ["muster.toml:2: http.idle_timeout: 999ms is out of bounds: 1s to 1day"]
    );
}

#[test]
fn a_node_is_not_forgotten_before_it_is_suspect() {
    assert_eq!(
        faults("[health]\nforget_after = \"20s\""),
        ["muster.toml:2: health.forget_after: 20s is not longer than health.silent_after, 30s"]
    );
    assert_eq!(
        faults("[health]\nsilent_after = \"1h\""),
        ["muster.toml:1: health.forget_after: 10m is not longer than health.silent_after, 1h"]
    );
}

#[test]
fn zero_where_it_makes_no_sense_is_out_of_bounds() {
    for (section, key, zero) in [
        ("http", "max_connections", "0"),
        ("http", "idle_timeout", "\"0s\""),
        ("http", "max_head_bytes", "0"),
        ("mcmp", "max_nodes", "0"),
        ("upstream", "connect_timeout", "\"0s\""),
        ("health", "probe_interval", "\"0s\""),
        ("health", "probe_timeout", "\"0s\""),
    ] {
        let all = faults(&format!("[{section}]\n{key} = {zero}\n"));
        let start = format!("muster.toml:2: {section}.{key}: ");
        assert!(all.len() == 1 && all[0].starts_with(&start), "{all:?}");
        assert!(all[0].contains("out of bounds"), "{all:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z\\[\\]=\".0-9 \\n,{}#'-]{0,120}") {
        let _ = Config::parse(&text, "muster.toml");
    }
}

const DOCUMENTED: &str = include_str!("../muster.toml");

#[test]
fn the_documented_file_has_every_key_at_its_default() {
    assert_eq!(good(DOCUMENTED), Config::default());
    let keys = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim_start_matches("# "));
        let keys = lines.filter_map(|line| line.split_once(" = "));
        keys.map(|(key, _)| key.to_owned()).filter(|key| !key.contains(' ')).collect()
    };
    let mut documented = keys(DOCUMENTED);
    let mut shown = keys(&good(FULL).to_toml());
    for keys in [&mut documented, &mut shown] {
        keys.sort();
    }
    shown.dedup();
    documented.dedup();
    assert_eq!(documented, shown);
}

#[test]
fn the_documented_node_is_a_good_node() {
    let (_, node) = DOCUMENTED.split_once("# [[node]]").unwrap();
    let node = format!("[[node]]{}", node.replace("\n# ", "\n"));
    assert_eq!(good(&node).nodes.len(), 1);
}
