//! What an answer states, fact by fact, so that two answers can be compared whatever their ids
//! and the order of their rows.

use std::collections::{BTreeMap, HashMap};

use muster_protocol::mcmp::{Dump, Info, read_status, read_stop};

use crate::exchange::{Answer, Exchange};

/// A fact that two answers state otherwise; `-` where one of them is silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) fact: String,
    pub(crate) recorded: String,
    pub(crate) ours: String,
}

/// The status of an answer and the `Type` of a refusal. Where they differ, nothing else counts.
pub(crate) const ANSWER: &str = "answer";

type Facts = BTreeMap<String, String>;

/// Where our answer states other facts than the recorded one.
pub(crate) fn differences(exchange: &Exchange, ours: &Answer) -> Vec<Difference> {
    let method = exchange.request.method();
    let (recorded, ours) = (facts(&method, &exchange.answer), facts(&method, ours));
    for first in [ANSWER, "Content-Type"] {
        if recorded.get(first) != ours.get(first) {
            return vec![difference(first, &recorded, &ours)];
        }
    }
    let mut all: Vec<&String> = recorded.keys().chain(ours.keys()).collect();
    all.sort();
    all.dedup();
    let differs = |fact: &&String| recorded.get(*fact) != ours.get(*fact);
    let differing: Vec<&String> = all.into_iter().filter(differs).collect();
    let is_told = |fact: &&&String| {
        !differing.iter().any(|other| other.starts_with("node ") && within(fact, other))
    };
    differing.iter().filter(is_told).map(|fact| difference(fact, &recorded, &ours)).collect()
}

/// Whether a fact is about a node of which the other fact says that it is not there at all.
fn within(fact: &str, other: &str) -> bool {
    let node = &other["node ".len()..];
    fact.strip_prefix(node).is_some_and(|rest| rest.starts_with(' '))
}

fn difference(fact: &str, recorded: &Facts, ours: &Facts) -> Difference {
    let value = |facts: &Facts| facts.get(fact).cloned().unwrap_or_else(|| "-".to_owned());
    Difference { fact: fact.to_owned(), recorded: value(recorded), ours: value(ours) }
}

fn facts(method: &str, answer: &Answer) -> Facts {
    let mut facts = Facts::new();
    let mut state = |fact: &str, value: String| facts.insert(fact.to_owned(), value);
    let status = answer.status.map_or("none".to_owned(), |status| status.to_string());
    let kind = answer.header("Type").map(|kind| format!(" {kind}")).unwrap_or_default();
    state(ANSWER, status + &kind);
    if answer.status != Some(200) {
        return facts;
    }
    let form = answer.header("Content-Type").unwrap_or_default().to_owned();
    match method {
        "STATUS" | "PING" => {
            let reply = read_status(&answer.body);
            state("State", reply.map_or("?", |r| if r.ok { "OK" } else { "NOTOK" }).to_owned());
        }
        "STOP-APP" => {
            let requests = read_stop(&answer.body).map_or("-".to_owned(), |n| n.to_string());
            state("Requests", requests);
        }
        "VERSION" => {
            state("Content-Type", form);
            state("is 0.2.1", answer.body.contains("0.2.1").to_string());
        }
        "INFO" | "DUMP" => {
            let is_text = form.starts_with("text/plain");
            state("Content-Type", form);
            match (is_text, method) {
                (true, "INFO") => info(&mut facts, &Info::parse_text(&answer.body).unwrap()),
                (true, _) => dump(&mut facts, &Dump::parse_text(&answer.body).unwrap()),
                (false, _) => {}
            }
        }
        _ => {}
    }
    facts
}

/// A report as XML says what the same report says as text.
pub(crate) fn check_xml(method: &str, xml: &str, text: &str) {
    match method {
        "INFO" => assert_eq!(Info::parse_text(text).unwrap().to_xml(), xml),
        "DUMP" => assert_eq!(Dump::parse_text(text).unwrap().to_xml(), xml),
        _ => {}
    }
}

/// A removed node that the real balancer still lists has no port: it is left out.
fn info(facts: &mut Facts, info: &Info) {
    let mut state = |fact: String, value: String| facts.insert(fact, value);
    let live: Vec<_> = info.nodes.iter().filter(|node| node.port != 0).collect();
    for node in &live {
        let name = &node.name;
        state(format!("node {name}"), "listed".to_owned());
        for (key, value) in [
            ("Balancer", node.balancer.clone()),
            ("LBGroup", node.domain.clone()),
            ("Host", node.host.clone()),
            ("Port", node.port.to_string()),
            ("Type", node.scheme.clone()),
            ("Flushpackets", node.flush_packets.word().to_owned()),
            ("Flushwait", node.flush_wait_ms.to_string()),
            ("Ping", node.ping_s.to_string()),
            ("Smax", node.smax.to_string()),
            ("Ttl", node.ttl_s.to_string()),
            ("Elected", node.elected.to_string()),
            ("Read", node.read.to_string()),
            ("Transfered", node.transferred.to_string()),
            ("Connected", node.connected.to_string()),
            ("Load", node.load.to_string()),
        ] {
            state(format!("{name} {key}"), value);
        }
    }
    let names: HashMap<u32, &str> = live.iter().map(|node| (node.id, &*node.name)).collect();
    let aliases = info.vhosts.iter().map(|row| (row.node, row.vhost, row.id, &*row.alias));
    let contexts = info.contexts.iter().map(|row| (row.node, row.vhost, &*row.path, row.status));
    mounts(facts, &names, aliases.collect(), contexts.map(|(n, v, p, s)| (n, v, p, s.word())));
}

fn dump(facts: &mut Facts, dump: &Dump) {
    let mut state = |fact: String, value: String| facts.insert(fact, value);
    for balancer in &dump.balancers {
        let name = &balancer.name;
        for (key, value) in [
            ("Sticky", u8::from(balancer.sticky).to_string()),
            ("cookie", balancer.cookie.clone()),
            ("path", balancer.path.clone()),
            ("remove", u8::from(balancer.remove).to_string()),
            ("force", u8::from(balancer.force).to_string()),
            ("Timeout", balancer.timeout_s.to_string()),
            ("maxAttempts", balancer.max_attempts.to_string()),
        ] {
            state(format!("balancer {name} {key}"), value);
        }
    }
    let live: Vec<_> = dump.nodes.iter().filter(|node| node.port != 0).collect();
    for node in &live {
        let name = &node.route;
        state(format!("node {name}"), "listed".to_owned());
        for (key, value) in [
            ("Balancer", node.balancer.clone()),
            ("LBGroup", node.domain.clone()),
            ("Host", node.host.clone()),
            ("Port", node.port.to_string()),
            ("Type", node.scheme.clone()),
            ("flushpackets", node.flush_packets.number().to_string()),
            ("flushwait", node.flush_wait_ms.to_string()),
            ("ping", node.ping_s.to_string()),
            ("smax", node.smax.to_string()),
            ("ttl", node.ttl_s.to_string()),
            ("timeout", node.timeout_s.to_string()),
        ] {
            state(format!("{name} {key}"), value);
        }
    }
    let names: HashMap<u32, &str> = live.iter().map(|node| (node.id, &*node.route)).collect();
    let aliases = dump.hosts.iter().map(|row| (row.node, row.vhost, row.id.into(), &*row.alias));
    let contexts = dump.contexts.iter().map(|row| (row.node, row.vhost, &*row.path, row.status));
    mounts(facts, &names, aliases.collect(), contexts.map(|(n, v, p, s)| (n, v, p, s.word())));
}

/// Virtual hosts are told apart by the alias that each had first, for their numbers are a
/// balancer's own.
fn mounts<'r>(
    facts: &mut Facts,
    names: &HashMap<u32, &str>,
    aliases: Vec<(u32, u32, i64, &str)>,
    contexts: impl Iterator<Item = (u32, u32, &'r str, &'static str)>,
) {
    let first = |node: u32, vhost: u32| {
        let own = aliases.iter().filter(|(n, v, ..)| (*n, *v) == (node, vhost));
        own.min_by_key(|(_, _, id, _)| *id).map_or("", |(.., alias)| *alias)
    };
    for (node, vhost, _, alias) in &aliases {
        if let Some(name) = names.get(node) {
            let fact = format!("{name} {} alias {alias:?}", first(*node, *vhost));
            facts.insert(fact, "listed".to_owned());
        }
    }
    for (node, vhost, path, status) in contexts {
        if let Some(name) = names.get(&node) {
            let fact = format!("{name} {} {path:?}", first(node, vhost));
            facts.insert(fact, status.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::recorded;

    fn exchange(number: &str) -> Exchange {
        recorded().into_iter().find(|exchange| exchange.number == number).unwrap()
    }

    fn against(number: &str, change: impl FnOnce(&mut Answer)) -> Vec<(String, String, String)> {
        let exchange = exchange(number);
        let mut ours = exchange.answer.clone();
        change(&mut ours);
        let found = differences(&exchange, &ours).into_iter();
        found.map(|d| (d.fact, d.recorded, d.ours)).collect()
    }

    fn one(fact: &str, recorded: &str, ours: &str) -> Vec<(String, String, String)> {
        vec![(fact.to_owned(), recorded.to_owned(), ours.to_owned())]
    }

    #[test]
    fn an_answer_states_what_it_states() {
        for exchange in recorded() {
            assert_eq!(differences(&exchange, &exchange.answer), [], "{}", exchange.number);
        }
    }

    #[test]
    fn a_field_of_a_node_is_a_fact_whatever_its_row() {
        let changed = against("050", |ours| {
            ours.body = ours.body.replace("Load: 75", "Load: 74");
            ours.body = ours.body.replace("[1", "[31");
            let mut lines: Vec<&str> = ours.body.lines().collect();
            lines.reverse();
            ours.body = lines.join("\n");
        });
        assert_eq!(changed, one("node2 Load", "75", "74"));
        let removed = against("050", |ours| {
            let lines = ours.body.lines().filter(|line| !line.contains("minimal"));
            ours.body = lines.collect::<Vec<_>>().join("\n");
        });
        assert_eq!(removed, []);
    }

    #[test]
    fn a_node_that_is_not_there_is_one_difference() {
        let gone = against("052", |ours| {
            let lines = ours.body.lines().filter(|line| !line.contains("JVMRoute: node2"));
            ours.body = lines.collect::<Vec<_>>().join("\n");
        });
        assert_eq!(gone, one("node node2", "listed", "-"));
    }

    #[test]
    fn the_state_of_a_context_is_a_fact() {
        let stopped = against("052", |ours| {
            let line = "[/b] vhost: 1 node: 2 status: 1";
            ours.body = ours.body.replace(line, "[/b] vhost: 1 node: 2 status: 3");
        });
        assert_eq!(stopped, one("node2 localhost \"/b\"", "ENABLED", "STOPPED"));
    }

    #[test]
    fn a_refusal_differs_from_a_good_answer() {
        let refused = against("038", |ours| {
            ours.status = Some(500);
            ours.headers = vec![("type".to_owned(), "MEM".to_owned())];
        });
        assert_eq!(refused, one(ANSWER, "200", "500 MEM"));
    }
}
