//! What is written is read again, whatever names a node has chosen; and no bytes make it panic.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use muster_protocol::mcmp::{
    Address, App, BalancerSettings, Command, ContextStatus, Dump, DumpBalancer, DumpContext,
    DumpHost, DumpNode, FlushPackets, Info, InfoContext, InfoNode, InfoVhost, Load, NodeConfig,
    Ping, Scheme, Scope, Status, Verb, VirtualHost, parse, read_status, read_stop, write,
};
use muster_protocol::names::{
    Alias, BalancerName, ContextPath, Domain, NodeHost, Route, StickyName,
};
use proptest::prelude::*;
use proptest::sample::select;

// === names ===

/// Text that no name forbids: separators of forms and reports, blanks and other alphabets.
const HOSTILE: &str = "[a-z0-9 %&=+,;:/\\[\\]äß水.-]";

fn matching<T: std::fmt::Debug + 'static>(
    pattern: &str,
    read: impl Fn(String) -> T + 'static,
) -> BoxedStrategy<T> {
    proptest::string::string_regex(pattern).unwrap().prop_map(read).boxed()
}

fn route() -> BoxedStrategy<Route> {
    matching(&format!("{HOSTILE}{{1,14}}"), |text| text.parse().unwrap())
}

fn balancer_name() -> BoxedStrategy<BalancerName> {
    matching(&format!("{HOSTILE}{{1,9}}"), |text| text.parse().unwrap())
}

fn domain() -> BoxedStrategy<Domain> {
    matching("[a-z0-9 %&=+,]{1,19}", |text| text.parse().unwrap())
}

fn host() -> BoxedStrategy<NodeHost> {
    let address = select(vec!["localhost", "127.0.0.1", "[::1]", "a-b.example.com"]);
    let zoned = matching("\\[fe80::1%[!#-&(-;=?-\\[^-~]{1,15}\\]", |text| text.parse().unwrap());
    prop_oneof![3 => address.prop_map(|text| text.parse().unwrap()), 1 => zoned].boxed()
}

fn sticky_name() -> BoxedStrategy<StickyName> {
    matching("[A-Za-z0-9_.%&+-]{1,29}", |text| text.parse().unwrap())
}

fn virtual_host() -> impl Strategy<Value = VirtualHost> {
    let alias = matching("[a-z0-9 %&=+.-]{1,20}", |text| text.parse::<Alias>().unwrap());
    let context =
        matching("/[a-z0-9 %&=+.äß水-]{0,20}", |text| text.parse::<ContextPath>().unwrap());
    let aliases = proptest::collection::hash_set(alias, 1..4);
    let contexts = proptest::collection::hash_set(context, 1..4);
    (aliases, contexts).prop_map(|(aliases, contexts)| VirtualHost {
        aliases: aliases.into_iter().collect(),
        contexts: contexts.into_iter().collect(),
    })
}

// === commands ===

fn maybe<S: Strategy>(value: S) -> impl Strategy<Value = Option<S::Value>> {
    proptest::option::of(value)
}

fn scheme() -> impl Strategy<Value = Scheme> {
    select(vec![Scheme::Ajp, Scheme::Http, Scheme::Https, Scheme::H2, Scheme::H2c])
}

fn seconds(from: u64) -> impl Strategy<Value = Duration> {
    (from..100_000).prop_map(Duration::from_secs)
}

fn settings() -> impl Strategy<Value = BalancerSettings> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (flags, sticky_name(), sticky_name(), seconds(0), 0..9u32).prop_map(
        |(flags, cookie, path, wait_worker, max_attempts)| {
            let (sticky, sticky_force, sticky_remove) = flags;
            BalancerSettings {
                sticky,
                sticky_force,
                sticky_remove,
                cookie,
                path,
                wait_worker,
                max_attempts,
            }
        },
    )
}

fn config() -> impl Strategy<Value = NodeConfig> {
    let who = (route(), balancer_name(), maybe(domain()), settings());
    let address = (scheme(), host(), 1..=u16::MAX).prop_map(|(scheme, host, port)| Address {
        scheme,
        host,
        port,
    });
    let flush = (select(vec![FlushPackets::Off, FlushPackets::On, FlushPackets::Auto]), 0..999u64);
    let bounds = (seconds(0), maybe(0..99u32), seconds(0), maybe(seconds(1)));
    let rest = (any::<bool>(), maybe(virtual_host()));
    (who, address, flush, bounds, rest).prop_map(|(who, address, flush, bounds, rest)| {
        let (route, balancer, domain, settings) = who;
        let (ping, smax, ttl, timeout) = bounds;
        NodeConfig {
            route,
            balancer,
            settings,
            domain,
            address,
            reversed: rest.0,
            flush_packets: flush.0,
            flush_wait: Duration::from_millis(flush.1),
            ping,
            smax,
            ttl,
            timeout,
            virtual_host: rest.1,
        }
    })
}

fn app() -> impl Strategy<Value = App> {
    let verb = select(vec![Verb::Enable, Verb::Disable, Verb::Stop, Verb::Remove]);
    let scope = prop_oneof![Just(Scope::Node), virtual_host().prop_map(Scope::Contexts)];
    (verb, route(), scope).prop_map(|(verb, route, scope)| App { verb, route, scope })
}

fn status() -> impl Strategy<Value = Status> {
    let load = (-2..=100i64).prop_map(|number| Load::from_number(number).unwrap());
    (maybe(route()), load).prop_map(|(route, load)| Status { route, load })
}

fn ping() -> impl Strategy<Value = Ping> {
    let address = (maybe(scheme()), host(), 1..=u16::MAX)
        .prop_map(|(scheme, host, port)| Ping::Address { scheme, host, port });
    prop_oneof![Just(Ping::Balancer), route().prop_map(Ping::Node), address]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        config().prop_map(|config| Command::Config(Box::new(config))),
        app().prop_map(Command::App),
        status().prop_map(Command::Status),
        ping().prop_map(Command::Ping),
        select(vec![Command::Info, Command::Dump, Command::Version]),
    ]
}

// === reports ===

fn text() -> BoxedStrategy<String> {
    matching("[a-zA-Z0-9 %,:\\[\\]<&\"\\n\\r\u{85}äß水]{0,12}", |text| text)
}

fn context_status() -> impl Strategy<Value = ContextStatus> {
    select(vec![ContextStatus::Enabled, ContextStatus::Disabled, ContextStatus::Stopped])
}

fn rows<S: Strategy>(row: S) -> impl Strategy<Value = Vec<S::Value>> {
    proptest::collection::vec(row, 0..4)
}

fn info() -> impl Strategy<Value = Info> {
    let node = (config(), any::<u32>(), any::<[u64; 4]>(), -2..=100, [text(), text(), text()])
        .prop_map(|(config, id, counters, load, [name, balancer, domain])| {
            let [elected, read, transferred, connected] = counters;
            let node = InfoNode {
                elected,
                read,
                transferred,
                connected,
                load,
                ..InfoNode::of(id, &config)
            };
            InfoNode { name, balancer, domain, ..node }
        });
    let vhost = (any::<u32>(), any::<u32>(), any::<i64>(), text())
        .prop_map(|(node, vhost, id, alias)| InfoVhost { node, vhost, id, alias });
    let context = (any::<u32>(), any::<u32>(), any::<i64>(), text(), context_status())
        .prop_map(|(node, vhost, id, path, status)| InfoContext { node, vhost, id, path, status });
    (rows(node), rows(vhost), rows(context)).prop_map(|(nodes, vhosts, contexts)| Info {
        nodes,
        vhosts,
        contexts,
    })
}

fn dump() -> impl Strategy<Value = Dump> {
    let balancer = (any::<u32>(), config(), text()).prop_map(|(id, c, name)| DumpBalancer {
        name,
        ..DumpBalancer::of(id, &c.balancer, &c.settings)
    });
    let node = (any::<u32>(), config(), [text(), text(), text()]).prop_map(
        |(id, config, [route, balancer, domain])| DumpNode {
            route,
            balancer,
            domain,
            ..DumpNode::of(id, &config)
        },
    );
    let host = (any::<u32>(), text(), any::<u32>(), any::<u32>())
        .prop_map(|(id, alias, vhost, node)| DumpHost { id, alias, vhost, node });
    let context = (any::<u32>(), text(), any::<u32>(), any::<u32>(), context_status())
        .prop_map(|(id, path, vhost, node, status)| DumpContext { id, path, vhost, node, status });
    (rows(balancer), rows(node), rows(host), rows(context))
        .prop_map(|(balancers, nodes, hosts, contexts)| Dump { balancers, nodes, hosts, contexts })
}

proptest! {
    #[test]
    fn every_command_is_read_as_it_was_written(command in command()) {
        let message = write(&command);
        let read = parse(message.method, message.uri, message.body.as_bytes());
        prop_assert_eq!(read.unwrap(), command);
    }

    #[test]
    fn every_info_is_read_as_it_was_written(info in info()) {
        prop_assert_eq!(Info::parse_text(&info.to_text()).unwrap(), info);
    }

    #[test]
    fn every_dump_is_read_as_it_was_written(dump in dump()) {
        prop_assert_eq!(Dump::parse_text(&dump.to_text()).unwrap(), dump);
    }

    #[test]
    fn no_name_breaks_the_xml_or_the_json(info in info(), dump in dump()) {
        for xml in [info.to_xml(), dump.to_xml()] {
            let mut reader = quick_xml::Reader::from_str(&xml);
            while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
        }
        serde_json::from_str::<serde_json::Value>(&info.to_json()).unwrap();
        serde_json::from_str::<serde_json::Value>(&dump.to_json()).unwrap();
    }

    #[test]
    fn no_bytes_make_the_parser_panic(
        method in select(vec!["CONFIG", "ENABLE-APP", "STATUS", "ping", "INFO", "GET", ""]),
        uri in select(vec!["/", "/*", "*", ""]),
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = parse(method, uri, &body);
    }

    #[test]
    fn no_values_make_the_parser_panic(
        method in select(vec!["CONFIG", "ENABLE-APP", "STATUS", "PING"]),
        keys in proptest::collection::vec(select(vec![
            "JVMRoute", "Balancer", "Domain", "Host", "Port", "Type", "Alias", "Context", "Load",
            "StickySession", "flushpackets", "flushwait", "ping", "smax", "ttl", "Timeout",
        ]), 0..8),
        values in proptest::collection::vec("[-a-z0-9%,/.=&]{0,12}", 8),
    ) {
        let pairs = keys.iter().zip(&values).map(|(key, value)| format!("{key}={value}"));
        let _ = parse(method, "/", pairs.collect::<Vec<_>>().join("&").as_bytes());
    }

    #[test]
    fn no_answer_makes_the_client_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        key in select(vec!["", "id=", "State=OK&id=", "Requests="]),
    ) {
        let body = format!("{key}{}", String::from_utf8_lossy(&bytes));
        let _ = (read_status(&body), read_stop(&body));
        let _ = (Info::parse_text(&body), Dump::parse_text(&body));
    }

    #[test]
    fn no_line_of_a_report_makes_the_client_panic(rest in any::<String>()) {
        for kind in ["Node: [", "Vhost: [", "Vhost: [1:1:", "Context: [", "Context: [1:1:1], Context: "] {
            let _ = Info::parse_text(&format!("{kind}{rest}"));
        }
        for kind in ["balancer: [", "node: [", "node: [1:", "host: ", "host: 1 [", "context: 1 ["] {
            let _ = Dump::parse_text(&format!("{kind}{rest}"));
        }
    }

    #[test]
    fn no_damage_to_a_report_makes_the_client_panic(
        info in info(),
        dump in dump(),
        at in any::<proptest::sample::Index>(),
        lost in 0..40usize,
        instead in "[-0-9:,\\[\\]% \n]{0,3}",
    ) {
        let damaged = |report: String| {
            let start = report.floor_char_boundary(at.index(report.len() + 1));
            let end = report.floor_char_boundary((start + lost).min(report.len())).max(start);
            format!("{}{instead}{}", &report[..start], &report[end..])
        };
        let _ = Info::parse_text(&damaged(info.to_text()));
        let _ = Dump::parse_text(&damaged(dump.to_text()));
    }
}
