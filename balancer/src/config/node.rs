//! Static nodes (`[[node]]`): back ends that do not register themselves.

use std::collections::{HashMap, HashSet};
use std::net::Ipv6Addr;

use muster_protocol::mcmp::{Address, Load, NodeConfig, Scheme, VirtualHost};
use muster_protocol::names::{Alias, ContextPath, NameError, NodeHost, Route};
use serde::Serializer;
use toml::de::DeValue;

use super::reader::{Section, count, parsed, text};

/// `[[node]]`: a node as if it had registered itself, with its contexts enabled.
///
/// | key | meaning | default |
/// |---|---|---|
/// | route | its name, under 64 bytes | mandatory |
/// | url | `http://host:port`, also https, ajp, h2, h2c | mandatory |
/// | contexts | where its applications are mounted, 1 to 1,000 | `["/"]` |
/// | aliases | host names of its virtual host, 1 to 1,000 | `["localhost"]` |
/// | load | its load factor, 1 to 100; 0 is standby | 100 |
/// | domain | its failover group, under 20 bytes | none |
/// | balancer | its balancer name, under 40 bytes | `mycluster` |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticNode {
    /// What its CONFIG would say; it always has a virtual host.
    pub config: NodeConfig,
    /// What its STATUS would say: usable or standby.
    pub load: Load,
}

/// The nodes before: no two may share a route or a place.
#[derive(Default)]
pub(super) struct Seen {
    routes: HashSet<Route>,
    places: HashMap<(NodeHost, u16), Route>,
}

// === impl StaticNode ===

impl StaticNode {
    /// Most values of a list of one node.
    const MAX_LIST: usize = 1_000;

    pub(super) fn read(section: &mut Section<'_, '_>, seen: &mut Seen) -> Option<StaticNode> {
        let route = section.mandatory("route", parsed);
        let address = section.mandatory("url", |value| address(text(value)?));
        let named = |error: NameError| error.to_string();
        let root: ContextPath = "/".parse().expect("the root is a good context");
        let localhost: Alias = "localhost".parse().expect("localhost is a good alias");
        let list = 1..=StaticNode::MAX_LIST;
        let context = |text: &str| text.parse().map_err(named);
        let contexts = section.list("contexts", vec![root], list.clone(), context);
        let alias = |text: &str| text.parse().map_err(named);
        let aliases = section.list("aliases", vec![localhost], list, alias);
        let load = section.read("load", Load::Usable(100), load);
        let domain = section.maybe("domain", parsed);
        let balancer = section.maybe("balancer", parsed);
        let mut config = NodeConfig::new(route?, address?);
        seen.check(section, &config);
        config.domain = domain;
        config.balancer = balancer.unwrap_or(config.balancer);
        config.virtual_host = Some(VirtualHost { aliases, contexts });
        Some(StaticNode { config, load })
    }
}

// === impl Seen ===

impl Seen {
    fn check(&mut self, section: &mut Section<'_, '_>, config: &NodeConfig) {
        let NodeConfig { route, address, .. } = config;
        if !self.routes.insert(route.clone()) {
            section.fault("route", format!("{route:?} is the route of an earlier node"));
        }
        let place = (address.host.clone(), address.port);
        if let Some(earlier) = self.places.insert(place, route.clone()) {
            section.fault("url", format!("{address} is where node {earlier:?} answers"));
        }
    }
}

fn load(value: &DeValue<'_>) -> Result<Load, String> {
    let factor = count(0..=100)(value)?;
    Ok(u8::try_from(factor).ok().filter(|&factor| factor > 0).map_or(Load::Standby, Load::Usable))
}

impl serde::Serialize for StaticNode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Row<'n> {
            route: &'n str,
            url: String,
            contexts: Vec<&'n str>,
            aliases: Vec<&'n str>,
            load: i32,
            #[serde(skip_serializing_if = "Option::is_none")]
            domain: Option<&'n str>,
            balancer: &'n str,
        }
        let host = self.config.virtual_host.as_ref();
        let (contexts, aliases) =
            host.map_or((&[][..], &[][..]), |host| (&host.contexts[..], &host.aliases[..]));
        let row = Row {
            route: self.config.route.as_str(),
            url: self.config.address.to_string(),
            contexts: contexts.iter().map(ContextPath::as_str).collect(),
            aliases: aliases.iter().map(Alias::as_str).collect(),
            load: self.load.number(),
            domain: self.config.domain.as_ref().map(|domain| domain.as_str()),
            balancer: self.config.balancer.as_str(),
        };
        row.serialize(serializer)
    }
}

// === the address ===

fn address(url: &str) -> Result<Address, String> {
    let bad = |reason: &str| format!("{url:?} is no node's url (http://host:port): {reason}");
    let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
    let scheme = Scheme::from_word(scheme)
        .ok_or_else(|| bad("its scheme is none of http, https, ajp, h2, h2c"))?;
    let place = rest.strip_suffix('/').unwrap_or(rest);
    if place.contains(['/', '?', '#']) {
        return Err(bad("it has a path; mount one with `contexts`"));
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (place, None),
    };
    if host.parse::<Ipv6Addr>().is_ok() || place.parse::<Ipv6Addr>().is_ok() {
        return Err(bad("an IPv6 address stands in brackets"));
    }
    let host = host.parse().map_err(|error: NameError| bad(&error.to_string()))?;
    let port = match port.map(str::parse) {
        None => usual_port(scheme),
        Some(Ok(port)) if port != 0 => port,
        Some(_) => return Err(bad("its port is none of 1 to 65535")),
    };
    Ok(Address { scheme, host, port })
}

fn usual_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Ajp => 8009,
        Scheme::Http | Scheme::H2c => 80,
        Scheme::Https | Scheme::H2 => 443,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_how_and_where_a_node_answers() {
        let shown = |url| address(url).map(|address| address.to_string());
        assert_eq!(shown("http://127.0.0.1:9000"), Ok("http://127.0.0.1:9000".to_owned()));
        assert_eq!(shown("https://shop.example/"), Ok("https://shop.example:443".to_owned()));
        assert_eq!(shown("AJP://[::1]"), Ok("ajp://[::1]:8009".to_owned()));
        assert_eq!(shown("h2c://[::1]:81"), Ok("h2c://[::1]:81".to_owned()));
    }

    #[test]
    fn a_bad_url_is_named_with_its_reason() {
        for (url, reason) in [
            ("127.0.0.1:9000", "no scheme"),
            ("ftp://a:1", "its scheme"),
            ("http://a:1/shop", "a path"),
            ("http://", "can't be empty"),
            ("http://a:0", "its port"),
            ("http://a:x", "its port"),
            ("http://a:65536", "its port"),
            ("http://::1", "brackets"),
            ("http://user@a:1", "no host name"),
        ] {
            let error = address(url).unwrap_err();
            assert!(error.contains(reason) && error.contains(url), "{error}");
        }
    }
}
