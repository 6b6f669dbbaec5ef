//! What a user may write into the configuration, and what is said about the rest.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "config/reference.rs"]
mod reference;

use std::time::Duration;

use muster_balancer::config::{
    AccessFormat, AccessLog, Alpn, ClientAuth, Config, LogLevel, RateBy, TlsVersion, TraceContext,
};
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
max_connections_per_address = 6
header_timeout = "1s"
idle_timeout = "2s"
read_timeout = "3s"
max_head_bytes = "16KiB"
body_limit = "10MiB"
trusted_proxies = ["10.0.0.0/8", "fd00::1"]
proxy_protocol_from = ["192.0.2.0/24"]

[tls]
listen = ["127.0.0.1:8443"]
min_version = "1.3"
alpn = ["http/1.1"]
handshake_timeout = "3s"
client_auth = "optional"
client_ca = "/etc/muster/clients.pem"
session_tickets = false
session_cache = 0
certificates = [
    { chain = "/etc/muster/shop.pem", key = "/etc/muster/shop.key" },
    { chain = "/etc/muster/blog.pem", key = "/etc/muster/blog.key" },
]

[mcmp]
listen = []
max_body_bytes = 20_000
max_connections = 8
idle_timeout = "25s"
max_nodes = 9
max_contexts = 10
use_alias = true
allow = ["10.0.0.0/8"]
allow_addresses = ["10.2.0.0/16"]
allow_unsigned = ["10.1.0.0/16"]
secret = "****************"
old_secrets = ["****************"]
max_clock_skew = "31s"
nonce_cache = 1_001

[mcmp.tls]
certificate = "/etc/muster/mcmp.pem"
key = "/etc/muster/mcmp.key"
client_ca = "/etc/muster/nodes-ca.pem"
required = false
handshake_timeout = "4s"

[advertise]
send = "always"
group = "239.1.2.3:9"
ttl = 0
interval = "1s"
security_key = "********"
interface = "10.0.0.7"
address = "192.0.2.1:6666"

[manager]
listen = ["127.0.0.1:9999"]
max_connections = 11
hosts = ["manager.example.com"]
metrics_open = true
session_idle = "2m"
session_lifetime = "1h"
max_sessions = 12
max_streams = 0
live_interval = "500ms"

[manager.tls]
certificate = "/etc/muster/manager.pem"
key = "/etc/muster/manager.key"
client_ca = "/etc/muster/operators.pem"
required = false
client_role = "viewer"
handshake_timeout = "3s"

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

[upstream.tls]
verify = false
ca = "/etc/muster/nodes.pem"
certificate = "/etc/muster/own.pem"
key = "/etc/muster/own.key"
server_name = "nodes.internal"

[upstream.ajp]
max_packet_size = "64KiB"
# As secrets are shown, so that what is shown reads the same.
secret = "********"

[[upstream.ajp.node]]
route = "b"
secret = "********"

[health]
probe_interval = "7s"
revive_interval = "8s"
probe_timeout = "9s"
silent_after = "10s"
forget_after = "11s"
slow_start = "0s"

[drain]
deadline = "5m"
quiet = "30s"

[peers]
name = "a"
urls = ["https://10.0.0.2:6667"]
secret = "****************"
interval = "1s"
timeout = "500ms"
ca = "/etc/muster/peers.pem"

[cluster]
members = ["http://10.0.0.1:7790"]
follow = false
secret = "****************"
interval = "1s"
timeout = "500ms"
ca = "/etc/muster/cluster.pem"

[retry]
budget_ratio = 1
budget_floor = 0
connect_only = ["/pay/", "/"]

[log]
access = "/var/log/muster/access.log"
access_format = "json"
audit = "/var/log/muster/audit.log"
audit_entries = 50
level = "debug"

[trace]
context = "continue"
endpoint = "http://[::1]:4318/v1/traces"
ratio = 1
service_name = "edge"
queue = 1
batch = 10
interval = "10ms"
timeout = "1m"

[state]
file = "/var/lib/muster/registry.json"
max_bytes = "1MiB"
max_age = "2h"
write_delay = "10ms"
upgrade_timeout = "1m"

[[rate_limit]]
context = "/api/"
requests_per_second = 0.5
burst = 20
by = "context"
max_clients = 2_000

[[rate_limit]]
context = "/api"
requests_per_second = 2.5

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
    assert_eq!(config.drain.deadline, Duration::from_secs(300));
    assert_eq!(config.log.audit.file(), Some("/var/log/muster/audit.log".as_ref()));
    assert_eq!(config.retry.budget_ratio, 1.0);
    assert_eq!(config.retry.connect_only[0].as_str(), "/pay");
    assert_eq!(config.log.access, AccessLog::File("/var/log/muster/access.log".into()));
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.log.access_format, AccessFormat::Json);
    let trace = config.trace;
    assert!(trace.is_on() && !default.trace.is_on());
    let endpoint = trace.endpoint.unwrap();
    assert_eq!((endpoint.address(), endpoint.path()), (("::1", 4318), "/v1/traces"));
    assert_eq!((trace.ratio, trace.service_name.as_str()), (1.0, "edge"));
    assert_eq!((trace.queue, trace.batch), (1, 10));
    assert_eq!(trace.timeout, Duration::from_secs(60));
}

#[test]
fn an_endpoint_of_traces_is_a_url_of_http_and_turns_them_on() {
    let on = good("[trace]\nendpoint = \"http://127.0.0.1:4318/v1/traces\"\n").trace;
    assert!(on.is_on() && on.context == TraceContext::Pass);
    let text = "[trace]\nendpoint = \"https://c/\"\nratio = 2\ncontext = \"on\"\nqueue = 0\n";
    let told = faults(text).join("\n");
    for part in ["spans are sent over http only", "ratio: 2", "none of pass, continue", "queue: 0"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = faults("[trace]\nendpoint = \"4318\"\n").join("\n");
    assert!(told.contains("\"4318\" is no URL"), "{told}");
}

#[test]
fn every_key_of_tls_can_be_set() {
    let config = good(FULL);
    let tls = config.tls;
    assert_eq!(tls.listen[0].port(), 8443);
    assert_eq!((tls.min_version, tls.alpn), (TlsVersion::V1_3, vec![Alpn::Http1]));
    assert_eq!(tls.client_auth, ClientAuth::Optional);
    assert_eq!(tls.client_ca, Some("/etc/muster/clients.pem".into()));
    assert_eq!(tls.handshake_timeout, Duration::from_secs(3));
    assert_eq!((tls.session_tickets, tls.session_cache), (false, 0));
    assert_eq!(tls.certificates[1].chain.to_str(), Some("/etc/muster/blog.pem"));
    let tls = config.upstream.tls;
    assert!(!tls.verify);
    assert_eq!(tls.server_name.as_deref(), Some("nodes.internal"));
    assert_eq!(
        (tls.ca, tls.key),
        (Some("/etc/muster/nodes.pem".into()), Some("/etc/muster/own.key".into()))
    );
}

#[test]
fn the_networks_in_front_can_be_named() {
    let http = good(FULL).http;
    assert_eq!(http.max_connections_per_address, 6);
    assert!(http.trusted_proxies.contains("10.1.2.3".parse().unwrap()));
    assert!(http.trusted_proxies.contains("fd00::1".parse().unwrap()));
    assert!(!http.trusted_proxies.contains("fd00::2".parse().unwrap()));
    assert!(http.proxy_protocol_from.contains("192.0.2.200".parse().unwrap()));
    assert!(Config::default().http.proxy_protocol_from.is_empty());
}

#[test]
fn a_limit_of_a_rate_lets_a_second_come_at_once_unless_it_says_otherwise() {
    let limits = good(FULL).rate_limits;
    assert_eq!((limits[0].context.as_str(), limits[0].by), ("/api", RateBy::Context));
    assert_eq!((limits[0].burst.get(), limits[0].max_clients), (20, 2_000));
    assert_eq!((limits[1].burst.get(), limits[1].by), (3, RateBy::Address));
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
    let known = "threads, drain_timeout, http, tls, mcmp, advertise, manager, upstream, health, drain, \
                 peers, cluster, retry, log, trace, state, \
                 rate_limit, node";
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
    let tls = "[tls]\nlisten = [\"127.0.0.1:8000\"]\n\
               certificates = [{ chain = \"a.pem\", key = \"a.key\" }]";
    assert_eq!(
        faults(tls),
        ["muster.toml:2: tls.listen: 127.0.0.1:8000 is taken by http.listen, 127.0.0.1:8000"]
    );
    assert_eq!(
        faults("[http]\nlisten = [\"0.0.0.0:8000\"]\n[manager]\nlisten = [\"127.0.0.1:8000\"]"),
        ["muster.toml:4: manager.listen: 127.0.0.1:8000 is taken by http.listen, 0.0.0.0:8000"]
    );
    let free = "[http]\nlisten = [\"127.0.0.1:0\"]\n[manager]\nlisten = [\"127.0.0.1:0\"]";
    assert_eq!(good(free).manager.listen.len(), 1);
    assert_eq!(
        faults("[http]\nlisten = []"),
        ["muster.toml:2: http.listen: 0 values are out of bounds: 1 to 64"]
    );
}

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGF0IGFsbA$\
    u1fpyA8zH6Bw0TObVbTlJ4KrPD6nsf5cU6jYI8i8vVk";

#[test]
fn a_manager_that_others_reach_is_refused_until_operators_log_in() {
    let open = "[manager]\nlisten = [\"127.0.0.1:1\", \"0.0.0.0:9\"]\n";
    let missing = faults(open);
    assert_eq!(missing.len(), 1, "{missing:?}");
    for part in ["muster.toml:2: manager.listen: 0.0.0.0:9", "[[manager.user]]", "client_role"] {
        assert!(missing[0].contains(part), "{part} is missing in {missing:?}");
    }
    let user = format!("[[manager.user]]\nname = \"anna\"\npassword = \"{HASH}\"\n");
    assert_eq!(good(&format!("{open}{user}")).manager.users.len(), 1);
    let tls = "[manager.tls]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\n";
    assert_eq!(faults(&format!("{open}{tls}")).len(), 1, "nobody would be let in");
    assert!(good(&format!("{open}{tls}client_role = \"viewer\"\n")).manager.tls.is_mutual());
    let optional = format!("{open}{tls}client_role = \"viewer\"\nrequired = false\n");
    assert_eq!(faults(&optional).len(), 1, "nobody would have to show one");
}

#[test]
fn operators_are_read_with_every_fault_and_their_secrets_are_never_told() {
    let text = "\
[[manager.user]]
name = \"a:b\"
password = \"hunter2\"
[[manager.user]]
name = \"anna\"
role = \"root\"
[[manager.user]]
name = \"anna\"
certificate = \"CN=anna\"
[[manager.token]]
name = \"ci\"
hash = \"abc\"
";
    let all = faults(text);
    for part in [
        "muster.toml:2: manager.user[0].name: \"a:b\" is none",
        "muster.toml:3: manager.user[0].password: it is no hash as `muster password` prints one",
        "manager.user[1].password: it is missing, and so is certificate",
        "muster.toml:6: manager.user[1].role: \"root\" is none of viewer, operator",
        "muster.toml:8: manager.user[2].name: \"anna\" stands there already",
        "muster.toml:12: manager.token[0].hash: it is no SHA-256 as `muster token` prints one",
    ] {
        assert!(all.iter().any(|fault| fault.contains(part)), "{part} is missing in {all:#?}");
    }
    assert!(!format!("{all:?}").contains("hunter2"), "{all:?}");
    let ca = faults("[[manager.user]]\nname = \"anna\"\ncertificate = \"CN=anna\"\n");
    assert!(ca[0].contains("manager.tls.client_ca: it is missing"), "{ca:?}");

    let user = format!("[[manager.user]]\nname = \"anna\"\npassword = \"{HASH}\"\n");
    let config = good(&user);
    for shown in [config.to_toml(), format!("{config:?}")] {
        assert!(shown.contains("anna") && !shown.contains("u1fpyA8z"), "{shown}");
    }
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
fn every_fault_of_tls_is_named_with_its_line() {
    let text = "\
[tls]
listen = [\"127.0.0.1:1\"]
min_version = \"1.1\"
alpn = [\"h2\", \"h3\"]
handshake_timeout = \"0s\"
client_auth = \"required\"
session_cache = -1
[upstream.tls]
verify = \"no\"
key = \"own.key\"
server_name = \"a b\"
";
    assert_eq!(
        faults(text),
        [
            "muster.toml:1: tls.certificates: tls.listen needs at least one",
            "muster.toml:1: tls.client_ca: it is missing: tls.client_auth asks for it",
            "muster.toml:3: tls.min_version: \"1.1\" is none of 1.2, 1.3",
            "muster.toml:4: tls.alpn: \"h3\" is none of h2, http/1.1",
            "muster.toml:5: tls.handshake_timeout: 0s is out of bounds: 1ms to 1day",
            "muster.toml:7: tls.session_cache: -1 is no count",
            "muster.toml:8: upstream.tls.certificate: it is missing: certificate and key go together",
            "muster.toml:9: upstream.tls.verify: \"no\" is neither true nor false",
            "muster.toml:11: upstream.tls.server_name: \"a b\" is no host name and no address",
        ]
    );
}

#[test]
fn a_secret_of_ajp_is_never_shown() {
    let text = "\
[upstream.ajp]
secret = \"of all\"
[[upstream.ajp.node]]
route = \"b\"
secret = \"of b\"
";
    let config = good(text);
    let ajp = &config.upstream.ajp;
    let secret_of = |route: &str| ajp.secret_of(&route.parse().unwrap());
    assert_eq!((secret_of("a"), secret_of("b")), (Some("of all"), Some("of b")));
    for shown in [config.to_toml(), format!("{config:?}")] {
        assert!(!shown.contains("of all") && !shown.contains("of b"), "{shown}");
    }
    assert_eq!(
        faults("[upstream.ajp]\nmax_packet_size = 8191\nsecret = \"\"\n[[upstream.ajp.node]]"),
        [
            "muster.toml:2: upstream.ajp.max_packet_size: 8191B is out of bounds: 8KiB to 64KiB",
            "muster.toml:3: upstream.ajp.secret: a secret has 1 to 255 bytes, not 0",
            "muster.toml:4: upstream.ajp.node[0].route: it is missing",
            "muster.toml:4: upstream.ajp.node[0].secret: it is missing",
        ]
    );
}

#[test]
fn every_key_of_advertise_can_be_set() {
    let advertise = good(FULL).advertise;
    assert_eq!(advertise.send, muster_balancer::config::advertise::Send::Always);
    assert_eq!(advertise.group.to_string(), "239.1.2.3:9");
    assert_eq!((advertise.ttl, advertise.interval), (0, Duration::from_secs(1)));
    assert_eq!(advertise.interface.unwrap().to_string(), "10.0.0.7");
    assert_eq!(advertise.address.unwrap().to_string(), "192.0.2.1:6666");
    assert!(advertise.key().unwrap().is_some());
}

#[test]
fn a_key_of_advertise_is_never_shown_and_may_stand_in_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret\n").unwrap();
    let path = file.path().display();
    let kept = good(&format!("[advertise]\nsecurity_key_file = \"{path}\"\n"));
    let written = good("[advertise]\nsecurity_key = \"s3cret\"\n");
    assert_eq!(kept.advertise.key().unwrap(), written.advertise.key().unwrap());
    for shown in [kept.to_toml(), written.to_toml(), format!("{written:?}")] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    let nowhere = good("[advertise]\nsecurity_key_file = \"/no/key\"\n").advertise.key();
    assert_eq!(nowhere.unwrap_err().to_string(), "advertise.security_key_file: cannot use /no/key");
}

#[test]
fn every_fault_of_advertise_is_named_with_its_line() {
    let text = "\
[advertise]
send = \"sometimes\"
group = \"10.0.0.1:23364\"
ttl = 256
interval = \"99ms\"
security_key = \"\"
security_key_file = \"x\"
interface = \"eth0\"
address = \"0.0.0.0:6666\"
";
    assert_eq!(
        faults(text),
        [
            "muster.toml:2: advertise.send: \"sometimes\" is none of loopback, always, never",
            "muster.toml:3: advertise.group: \"10.0.0.1:23364\" is no IPv4 multicast address \
             (224.0.1.105:23364)",
            "muster.toml:4: advertise.ttl: 256 is out of bounds: 0 to 255",
            "muster.toml:5: advertise.interval: 99ms is out of bounds: 100ms to 1h",
            "muster.toml:6: advertise.security_key: a security key has 1 to 255 bytes, not 0",
            "muster.toml:7: advertise.security_key_file: advertise.security_key is there already",
            "muster.toml:8: advertise.interface: \"eth0\" is no IPv4 address of an interface \
             (10.0.0.7)",
            "muster.toml:9: advertise.address: \"0.0.0.0:6666\" is no address that a node could \
             connect to (ip:port)",
        ]
    );
}

#[test]
fn a_certificate_without_its_key_is_named_by_its_line() {
    let text = "\
[tls]
certificates = [
  { chain = \"shop.pem\", key = \"\" },
  { chain = \"blog.pem\" },
]
client_ca = \"clients.pem\"
alpn = [\"h2\", \"h2\"]
";
    assert_eq!(
        faults(text),
        [
            "muster.toml:3: tls.certificates[0].key: it can't be empty",
            "muster.toml:4: tls.certificates[1].key: it is missing",
            "muster.toml:6: tls.client_ca: it has no use while tls.client_auth is \"none\"",
            "muster.toml:7: tls.alpn: \"h2\" is named twice",
        ]
    );
    assert_eq!(
        faults("[tls.certificates]\nchain = \"shop.pem\""),
        ["muster.toml:1: tls.certificates: it is to be written [[tls.certificates]]"]
    );
}

#[test]
fn a_bad_network_is_named_with_what_was_meant() {
    let text = "\
[http]
max_connections_per_address = 10_000_001
trusted_proxies = [\"10.0.0.1/8\"]
proxy_protocol_from = [\"lb.example\"]
";
    assert_eq!(
        faults(text),
        [
            "muster.toml:2: http.max_connections_per_address: 10000001 is out of bounds: \
             0 to 10000000",
            "muster.toml:3: http.trusted_proxies: 10.0.0.1/8 has bits beyond its prefix; \
             the network is 10.0.0.0/8",
            "muster.toml:4: http.proxy_protocol_from: \"lb.example\" is no network \
             (\"10.0.0.0/8\") and no address",
        ]
    );
}

#[test]
fn a_limit_of_a_rate_without_its_keys_is_named_by_its_line() {
    let text = "\
[[rate_limit]]
burst = 0
by = \"cookie\"
[[rate_limit]]
context = \"/api\"
requests_per_second = 0
[[rate_limit]]
context = \"/\"
requests_per_second = 1
[[rate_limit]]
context = \"/\"
requests_per_second = 2
max_clients = 3
";
    assert_eq!(
        faults(text),
        [
            "muster.toml:1: rate_limit[0].context: it is missing",
            "muster.toml:1: rate_limit[0].requests_per_second: it is missing",
            "muster.toml:2: rate_limit[0].burst: 0 is out of bounds: 1 to 1000000",
            "muster.toml:3: rate_limit[0].by: \"cookie\" is none of address, context",
            "muster.toml:6: rate_limit[1].requests_per_second: 0 is out of bounds: \
             0.001 to 1000000",
            "muster.toml:11: rate_limit[3].context: / has such a limit already",
            "muster.toml:13: rate_limit[3].max_clients: 3 is out of bounds: 1024 to 10000000",
        ]
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
    // They take the place of another key.
    shown.extend(["security_key_file", "secret_file"].map(str::to_owned));
    // Of operators: masked, and so no part of a file that reads the same.
    shown.extend(["name", "password", "hash", "role"].map(str::to_owned));
    for keys in [&mut documented, &mut shown] {
        keys.sort();
    }
    shown.dedup();
    documented.dedup();
    assert_eq!(documented, shown);
}

#[test]
fn what_is_documented_in_comments_is_good() {
    for start in ["# [[tls.certificates]]", "# ca = ", "# [[rate_limit]]"] {
        let (_, rest) = DOCUMENTED.split_once(start).unwrap();
        let (lines, _) = rest.split_once("\n\n").unwrap();
        let lines = format!("{start}{lines}").replace("\n# ", "\n");
        let section = if start == "# ca = " { "[upstream.tls]\n" } else { "" };
        let config = good(&format!("{section}{}", lines.trim_start_matches("# ")));
        assert_ne!(config, Config::default(), "{start}");
    }
}

#[test]
fn the_documented_node_is_a_good_node() {
    let (_, node) = DOCUMENTED.split_once("# [[node]]").unwrap();
    let node = format!("[[node]]{}", node.replace("\n# ", "\n"));
    assert_eq!(good(&node).nodes.len(), 1);
}

#[test]
fn a_listener_of_nodes_that_others_reach_needs_a_lock() {
    let open = |more: &str| faults(&format!("[mcmp]\nlisten = [\"0.0.0.0:6666\"]\n{more}"));
    let lock = "0.0.0.0:6666 is no loopback address, so it needs a lock: missing";
    let allow = "mcmp.allow (the networks of nodes)";
    let secret = "mcmp.secret or mcmp.secret_file, or mutual TLS (mcmp.tls with certificate, key, \
                  client_ca and required = true)";
    let fault = |missing: &str| [format!("muster.toml:2: mcmp.listen: {lock} {missing}")];
    assert_eq!(open(""), fault(&format!("{allow}; {secret}")));
    assert_eq!(open("allow = [\"10.0.0.0/8\"]"), fault(secret));
    assert_eq!(open("secret = \"a secret of some length\""), fault(allow));
    let tls = "allow = [\"10.0.0.0/8\"]\n[mcmp.tls]\ncertificate = \"a\"\nkey = \"b\"\n";
    assert_eq!(open(tls), fault(secret));
    let optional = format!("{tls}client_ca = \"c\"\nrequired = false");
    assert_eq!(open(&optional), fault(secret));
    let locked = |more: &str| good(&format!("[mcmp]\nlisten = [\"0.0.0.0:6666\"]\n{more}"));
    locked(&format!("{tls}client_ca = \"c\""));
    locked("allow = [\"10.0.0.0/8\"]\nsecret_file = \"/etc/muster/secret\"");
    good("[mcmp]\nlisten = [\"127.8.8.8:6666\", \"[::1]:6666\"]");
    let everybody = "allow = [\"10.0.0.0/8\"]\nsecret = \"a secret of some length\"\n\
                     allow_unsigned = [\"::/0\"]";
    assert_eq!(
        open(everybody),
        ["muster.toml:2: mcmp.listen: mcmp.allow_unsigned names everybody: name networks"]
    );
}

#[test]
fn the_keys_of_the_lock_belong_together() {
    assert_eq!(
        faults("[mcmp]\nsecret = \"short\""),
        ["muster.toml:2: mcmp.secret: a secret has 16 to 255 bytes, not 5"]
    );
    assert_eq!(
        faults("[mcmp]\nsecret = \"a secret of some length\"\nsecret_file = \"x\""),
        ["muster.toml:3: mcmp.secret_file: there is mcmp.secret already: one of them"]
    );
    let useless = "it has no use without mcmp.secret or mcmp.secret_file";
    assert_eq!(
        faults("[mcmp]\nold_secrets = [\"a secret of some length\"]\nallow_unsigned = []"),
        [
            format!("muster.toml:2: mcmp.old_secrets: {useless}"),
            format!("muster.toml:3: mcmp.allow_unsigned: {useless}"),
        ]
    );
    assert_eq!(
        faults("[mcmp.tls]\nclient_ca = \"c\""),
        ["muster.toml:1: mcmp.tls.certificate: it is missing: mcmp.tls.client_ca asks for TLS"]
    );
    let shown = good("[mcmp]\nsecret = \"a secret of some length\"").to_toml();
    assert!(
        shown.contains("secret = \"****************\"") && !shown.contains("of some"),
        "{shown}"
    );
}
