//! The judgements: from what was gathered to what is wrong and what to do, each a small function.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::facts::{Bound, Certificate, Facts, Listener, Node, Running};
use super::{Finding, Severity};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A certificate that ends sooner than this wants to be renewed now.
const RENEW: Duration = Duration::from_secs(30 * 24 * 3600);

/// 2026-01-01, older than this program: a clock before that is wrong.
const OLDEST: Duration = Duration::from_secs(1_767_225_600);

/// Every check, in the order of a start.
pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    let checks: [fn(&Facts) -> Vec<Finding>; 9] =
        [config, clock, listeners, lock, certificates, files, multicast, written, running];
    checks.iter().flat_map(|check| check(facts)).collect()
}

fn good(check: &'static str, what: impl Into<String>) -> Finding {
    Finding { check, severity: Severity::Good, what: what.into(), advice: String::new() }
}

fn warning(check: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Finding {
    let (what, advice) = (what.into(), advice.into());
    Finding { check, severity: Severity::Warning, what, advice }
}

fn fault(check: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { severity: Severity::Fault, ..warning(check, what, advice) }
}

fn config(facts: &Facts) -> Vec<Finding> {
    if facts.config_faults.is_empty() {
        return vec![good("configuration", "the configuration can be used")];
    }
    let told = |what: &String| {
        fault(
            "configuration",
            what,
            "correct it; docs/configuration.md has every key with its bounds",
        )
    };
    facts.config_faults.iter().map(told).collect()
}

fn clock(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "clock";
    const ADVICE: &str = "start a time service (systemd-timesyncd, chrony): certificates, signed \
                          messages and advertise are judged by the clock";
    if facts.now < UNIX_EPOCH + OLDEST {
        return vec![fault(CHECK, "the clock is older than this program", ADVICE)];
    }
    vec![match facts.clock_is_synchronized {
        Some(false) => warning(CHECK, "the clock follows no other", ADVICE),
        Some(true) => good(CHECK, "the clock follows others"),
        None => good(CHECK, "the clock is plausible; whether it follows others is not known"),
    }]
}

fn listeners(facts: &Facts) -> Vec<Finding> {
    facts.listeners.iter().map(|listener| judge(listener, facts.running.is_there())).collect()
}

fn judge(listener: &Listener, is_running: bool) -> Finding {
    let Listener { key, address, bound } = listener;
    match bound {
        Bound::Free => good("listeners", format!("{key}: {address} is free")),
        Bound::Taken if is_running => {
            good("listeners", format!("{key}: {address} is taken, as a running balancer takes it"))
        }
        Bound::Taken => fault(
            "listeners",
            format!("{key}: {address} is taken by another program"),
            format!(
                "`ss -ltnp 'sport = :{}'` names it; end it, or choose another port",
                address.port()
            ),
        ),
        Bound::Denied => fault(
            "listeners",
            format!("{key}: {address} may not be bound by this user"),
            "ports below 1024 need CAP_NET_BIND_SERVICE (the systemd unit has it), or the sysctl \
             net.ipv4.ip_unprivileged_port_start",
        ),
        Bound::NoSuchAddress => fault(
            "listeners",
            format!("{key}: this machine has no address {}", address.ip()),
            "`ip address` shows those that it has; an address that moves between machines (VRRP) \
             needs the sysctl net.ipv4.ip_nonlocal_bind",
        ),
        Bound::Other(reason) => fault(
            "listeners",
            format!("{key}: {address} cannot be bound: {reason}"),
            "choose an address that can be bound",
        ),
    }
}

/// Who reaches the listener of nodes can register one.
fn lock(facts: &Facts) -> Vec<Finding> {
    let open = facts.config.mcmp.listen.iter().find(|address| !address.ip().is_loopback());
    let Some(address) = open else {
        return vec![good("mcmp", "messages of nodes are taken on loopback only")];
    };
    vec![match facts.config.mcmp.unlocked() {
        None => good("mcmp", format!("mcmp.listen: {address} is locked")),
        Some((_, missing)) => fault(
            "mcmp",
            format!("mcmp.listen: {missing}"),
            "bind it to loopback, or lock it: docs/security.md says how",
        ),
    }]
}

fn certificates(facts: &Facts) -> Vec<Finding> {
    facts.certificates.iter().map(|certificate| age(certificate, facts.now)).collect()
}

fn age(certificate: &Certificate, now: SystemTime) -> Finding {
    const CHECK: &str = "certificates";
    let Certificate { key, file, names, from, until } = certificate;
    let named = format!("{key}: {}", file.display());
    let renew = "renew it, and `systemctl reload muster` (SIGHUP) takes it without a restart";
    if now < *from {
        return fault(CHECK, format!("{named} is not yet valid"), "look at the clock");
    }
    let Ok(left) = until.duration_since(now) else {
        return fault(CHECK, format!("{named} has expired"), renew);
    };
    let days = left.as_secs() / DAY.as_secs();
    if left < RENEW {
        return warning(CHECK, format!("{named} ends in {days} days"), renew);
    }
    if *names == 0 {
        return warning(
            CHECK,
            format!("{named} is for no host name (subjectAltName)"),
            "clients refuse it; ask for one with the names that they use",
        );
    }
    good(CHECK, format!("{named} is good for {days} more days"))
}

fn files(facts: &Facts) -> Vec<Finding> {
    let wanted = facts.config.http.max_connections + facts.config.upstream.idle_connections;
    let Some(limit) = facts.open_files else {
        return vec![good("open files", "the limit is not known")];
    };
    vec![match limit < wanted as u64 {
        true => warning(
            "open files",
            format!("{limit} may be open, and the configured connections may need {wanted}"),
            "raise the hard limit (LimitNOFILE= of the unit), or lower http.max_connections",
        ),
        false => good("open files", format!("{limit} may be open, {wanted} are enough")),
    }]
}

fn multicast(facts: &Facts) -> Vec<Finding> {
    let judge = |(place, way): &(String, Result<(), String>)| match way {
        Ok(()) => good("advertise", format!("{place} can be advertised")),
        Err(reason) => warning(
            "advertise",
            format!("{place} cannot be advertised: {reason}"),
            "give the machine a route (`ip route add 224.0.0.0/4 dev eth0`), set \
             advertise.interface, or turn it off: advertise.send = \"never\"",
        ),
    };
    facts.multicast.iter().map(judge).collect()
}

fn written(facts: &Facts) -> Vec<Finding> {
    let judge = |(key, file, result): &(&str, std::path::PathBuf, Result<(), String>)| {
        let file = file.display();
        match result {
            Ok(()) => good("files", format!("{key}: {file} can be written")),
            Err(reason) => fault(
                "files",
                format!("{key}: {file} cannot be written: {reason}"),
                "make its folder, and give it to the user that runs the balancer",
            ),
        }
    };
    facts.written.iter().map(judge).collect()
}

fn running(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "balancer";
    match &facts.running {
        Running::Unasked => vec![warning(
            CHECK,
            "there is no manager to ask how the balancer does",
            "give manager.listen an address with a port",
        )],
        Running::Silent { manager, reason } => vec![warning(
            CHECK,
            format!("no balancer answers at {manager}: {reason}"),
            "start it (`systemctl start muster`), or look at another configuration file",
        )],
        Running::Answers { manager, ready, nodes } => {
            let mut findings = vec![readiness(manager, ready)];
            match nodes {
                Ok(nodes) => findings.extend(self::nodes(nodes)),
                Err(reason) => findings.push(warning(
                    CHECK,
                    format!("its nodes cannot be seen: {reason}"),
                    "ask the manager as a user who may",
                )),
            }
            findings
        }
    }
}

fn readiness(manager: &std::net::SocketAddr, (status, text): &(u16, String)) -> Finding {
    match status {
        200 => good("balancer", format!("the balancer at {manager} takes requests")),
        _ => fault(
            "balancer",
            format!("the balancer at {manager} takes no requests: {text}"),
            "it starts or drains; its log says which",
        ),
    }
}

fn nodes(nodes: &[Node]) -> Vec<Finding> {
    if nodes.is_empty() {
        return vec![warning(
            "nodes",
            "no node is registered: every request gets 404",
            "start one; it must know mcmp.listen, or follow the advertise",
        )];
    }
    let ill = nodes.iter().filter_map(|node| {
        let Node { route, address, state, .. } = node;
        match state.as_str() {
            "down" => Some(fault(
                "nodes",
                format!("node {route} does not answer at {address}"),
                "is it running, and may this machine connect there? It is taken back by itself",
            )),
            "error" => Some(fault(
                "nodes",
                format!("node {route} reports itself broken (load -1)"),
                "look at the node's own log",
            )),
            "checking" => Some(warning(
                "nodes",
                format!("node {route} has not answered its first probe at {address}"),
                "wait a moment; if it stays so, this machine cannot connect there",
            )),
            _ => None,
        }
    });
    let mut findings: Vec<Finding> = ill.collect();
    findings.extend(contexts(nodes));
    if findings.is_empty() {
        findings.push(good("nodes", format!("all {} nodes answer", nodes.len())));
    }
    findings
}

fn contexts(nodes: &[Node]) -> Vec<Finding> {
    let mut usable: BTreeMap<&str, bool> = BTreeMap::new();
    for node in nodes {
        let is_usable = !matches!(node.state.as_str(), "down" | "error" | "checking");
        for (path, state) in &node.contexts {
            *usable.entry(path).or_default() |= is_usable && state != "stopped";
        }
    }
    let lost = usable.into_iter().filter(|(_, is_usable)| !is_usable);
    lost.map(|(path, _)| {
        fault(
            "nodes",
            format!("context {path} has no usable node: clients get 503"),
            "enable it on a node (`muster enable`, or the manager page), or start one more",
        )
    })
    .collect()
}

#[cfg(test)]
mod tests;
