//! DUMP: the configuration of balancer names, nodes, hosts and contexts, in the byte forms of a
//! real balancer. (reference: MCMP, the answers; recorded exchanges 052 and 053)

use std::fmt::Write as _;

use super::command::{BalancerSettings, FlushPackets, NodeConfig};
use super::report::{
    ContextStatus, Cursor, ReportError, XML_HEAD, attribute, bracketed, decoded, element, plain,
    read_lines,
};
use crate::names::BalancerName;

/// The report.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Dump {
    /// One row per balancer name.
    pub balancers: Vec<DumpBalancer>,
    /// One row per node.
    pub nodes: Vec<DumpNode>,
    /// One row per alias.
    pub hosts: Vec<DumpHost>,
    /// One row per context of a virtual host.
    pub contexts: Vec<DumpContext>,
}

/// The settings of a balancer name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DumpBalancer {
    /// The row's number.
    pub id: u32,
    /// The balancer name.
    pub name: String,
    /// Whether sessions stay with their node.
    pub sticky: bool,
    /// The session cookie.
    pub cookie: String,
    /// The session path parameter.
    pub path: String,
    /// StickySessionRemove.
    pub remove: bool,
    /// StickySessionForce.
    pub force: bool,
    /// WaitWorker in seconds.
    pub timeout_s: i64,
    /// Retries after the first try.
    pub max_attempts: i64,
}

/// A node as it configured itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DumpNode {
    /// The number that other rows mean it by.
    pub id: u32,
    /// The balancer name that it registered for.
    pub balancer: String,
    /// Its route.
    pub route: String,
    /// Its failover group, or empty.
    pub domain: String,
    /// Where it answers.
    pub host: String,
    /// At which port; 0 where another balancer shows none.
    pub port: u16,
    /// How to speak.
    pub scheme: String,
    /// When to flush.
    pub flush_packets: FlushPackets,
    /// Milliseconds.
    pub flush_wait_ms: i64,
    /// Seconds.
    pub ping_s: i64,
    /// Most idle connections; -1 for the balancer's own bound.
    pub smax: i64,
    /// Seconds.
    pub ttl_s: i64,
    /// Seconds; 0 for the balancer's own bound.
    pub timeout_s: i64,
}

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DumpHost {
    /// The row's number.
    pub id: u32,
    /// The alias.
    pub alias: String,
    /// The number of the virtual host on its node.
    pub vhost: u32,
    /// The node's id.
    pub node: u32,
}

/// A context.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DumpContext {
    /// The row's number.
    pub id: u32,
    /// Where the application is mounted.
    pub path: String,
    /// The number of the virtual host on its node.
    pub vhost: u32,
    /// The node's id.
    pub node: u32,
    /// What it takes.
    pub status: ContextStatus,
}

// === impl Dump ===

impl Dump {
    /// The report as text.
    pub fn to_text(&self) -> String {
        let rows = self.balancers.iter().map(DumpBalancer::text);
        let rows = rows.chain(self.nodes.iter().map(DumpNode::text));
        let rows = rows.chain(self.hosts.iter().map(DumpHost::text));
        rows.chain(self.contexts.iter().map(DumpContext::text)).collect()
    }

    /// The report as XML.
    pub fn to_xml(&self) -> String {
        let mut xml = format!("{XML_HEAD}<Dump><Balancers>");
        self.balancers.iter().for_each(|balancer| balancer.add_xml(&mut xml));
        xml.push_str("</Balancers><Nodes>");
        self.nodes.iter().for_each(|node| node.add_xml(&mut xml));
        xml.push_str("</Nodes><Hosts>");
        self.hosts.iter().for_each(|host| host.add_xml(&mut xml));
        xml.push_str("</Hosts><Contexts>");
        self.contexts.iter().for_each(|context| context.add_xml(&mut xml));
        xml.push_str("</Contexts></Dump>");
        xml
    }

    /// The report as JSON: an object of the lists `balancers`, `nodes`, `hosts` and `contexts`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("rows of numbers and text always become JSON")
    }

    /// Reads the text of this or another balancer; lines of an unknown kind are skipped.
    pub fn parse_text(text: &str) -> Result<Dump, ReportError> {
        let mut dump = Dump::default();
        read_lines(text, |line| {
            if let Some(row) = line.strip_prefix("balancer: [") {
                dump.balancers.push(DumpBalancer::read(row)?);
            } else if let Some(row) = line.strip_prefix("node: [") {
                dump.nodes.push(DumpNode::read(row)?);
            } else if let Some(row) = line.strip_prefix("host: ") {
                dump.hosts.push(DumpHost::read(row)?);
            } else if let Some(row) = line.strip_prefix("context: ") {
                dump.contexts.push(DumpContext::read(row)?);
            }
            Some(())
        })?;
        Ok(dump)
    }
}

// === impl DumpBalancer ===

impl DumpBalancer {
    /// The row of a balancer name.
    pub fn of(id: u32, name: &BalancerName, settings: &BalancerSettings) -> DumpBalancer {
        DumpBalancer {
            id,
            name: name.to_string(),
            sticky: settings.sticky,
            cookie: settings.cookie.to_string(),
            path: settings.path.to_string(),
            remove: settings.sticky_remove,
            force: settings.sticky_force,
            timeout_s: i64::try_from(settings.wait_worker.as_secs()).unwrap_or(i64::MAX),
            max_attempts: settings.max_attempts.into(),
        }
    }

    fn text(&self) -> String {
        format!(
            "balancer: [{}] Name: {} Sticky: {} [{}]/[{}] remove: {} force: {} Timeout: {} \
             maxAttempts: {}\n",
            self.id,
            bracketed(&self.name),
            u8::from(self.sticky),
            bracketed(&self.cookie),
            bracketed(&self.path),
            u8::from(self.remove),
            u8::from(self.force),
            self.timeout_s,
            self.max_attempts,
        )
    }

    fn add_xml(&self, xml: &mut String) {
        let (id, name) = (self.id, attribute(&self.name));
        let head = format_args!(r#"<Balancer id="{id}" name="{name}"><StickySession>"#);
        xml.write_fmt(head).expect("a String takes any text");
        element(xml, "Enabled", u8::from(self.sticky));
        element(xml, "Cookie", &self.cookie);
        element(xml, "Path", &self.path);
        element(xml, "Remove", u8::from(self.remove));
        element(xml, "Force", u8::from(self.force));
        xml.push_str("</StickySession>");
        element(xml, "Timeout", self.timeout_s);
        element(xml, "MaxAttempts", self.max_attempts);
        xml.push_str("</Balancer>");
    }

    fn read(row: &str) -> Option<DumpBalancer> {
        let mut row = Cursor::new(row);
        Some(DumpBalancer {
            id: row.number("] Name: ")?,
            name: decoded(row.until(" Sticky: ")?),
            sticky: flag(row.until(" [")?)?,
            cookie: decoded(row.until("]/[")?),
            path: decoded(row.until("] remove: ")?),
            remove: flag(row.until(" force: ")?)?,
            force: flag(row.until(" Timeout: ")?)?,
            timeout_s: row.number(" maxAttempts: ")?,
            max_attempts: row.last().trim().parse().ok()?,
        })
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

// === impl DumpNode ===

impl DumpNode {
    /// The row of a node.
    pub fn of(id: u32, config: &NodeConfig) -> DumpNode {
        let seconds =
            |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        DumpNode {
            id,
            balancer: config.balancer.to_string(),
            route: config.route.to_string(),
            domain: config.domain.as_ref().map(ToString::to_string).unwrap_or_default(),
            host: config.address.host.to_string(),
            port: config.address.port,
            scheme: config.address.scheme.to_string(),
            flush_packets: config.flush_packets,
            flush_wait_ms: i64::try_from(config.flush_wait.as_millis()).unwrap_or(i64::MAX),
            ping_s: seconds(config.ping),
            smax: config.smax.map_or(-1, i64::from),
            ttl_s: seconds(config.ttl),
            timeout_s: config.timeout.map_or(0, seconds),
        }
    }

    fn text(&self) -> String {
        format!(
            "node: [{id}:{id}],Balancer: {},JVMRoute: {},LBGroup: [{}],Host: {},Port: {},\
             Type: {},flushpackets: {},flushwait: {},ping: {},smax: {},ttl: {},timeout: {}\n",
            plain(&self.balancer),
            plain(&self.route),
            bracketed(&self.domain),
            plain(&self.host),
            self.port,
            plain(&self.scheme),
            self.flush_packets.number(),
            self.flush_wait_ms,
            self.ping_s,
            self.smax,
            self.ttl_s,
            self.timeout_s,
            id = self.id,
        )
    }

    fn add_xml(&self, xml: &mut String) {
        write!(xml, r#"<Node id="{}">"#, self.id).expect("a String takes any text");
        element(xml, "Balancer", &self.balancer);
        element(xml, "JVMRoute", &self.route);
        element(xml, "LBGroup", &self.domain);
        element(xml, "Host", &self.host);
        element(xml, "Port", self.port);
        element(xml, "Type", &self.scheme);
        element(xml, "FlushPackets", self.flush_packets.number());
        element(xml, "FlushWait", self.flush_wait_ms);
        element(xml, "Ping", self.ping_s);
        element(xml, "Smax", self.smax);
        element(xml, "Ttl", self.ttl_s);
        element(xml, "Timeout", self.timeout_s);
        xml.push_str("</Node>");
    }

    fn read(row: &str) -> Option<DumpNode> {
        let mut row = Cursor::new(row);
        row.until(":")?;
        Some(DumpNode {
            id: row.number("],Balancer: ")?,
            balancer: decoded(row.until(",JVMRoute: ")?),
            route: decoded(row.until(",LBGroup: [")?),
            domain: decoded(row.until("],Host: ")?),
            host: decoded(row.until(",Port: ")?),
            port: match row.until(",Type: ")? {
                "" => 0,
                port => port.parse().ok()?,
            },
            scheme: decoded(row.until(",flushpackets: ")?),
            flush_packets: match row.number(",flushwait: ")? {
                0 => FlushPackets::Off,
                1 => FlushPackets::On,
                2 => FlushPackets::Auto,
                _ => return None,
            },
            flush_wait_ms: row.number(",ping: ")?,
            ping_s: row.number(",smax: ")?,
            smax: row.number(",ttl: ")?,
            ttl_s: row.number(",timeout: ")?,
            timeout_s: row.last().trim().parse().ok()?,
        })
    }
}

// === impl DumpHost ===

impl DumpHost {
    fn text(&self) -> String {
        let DumpHost { id, alias, vhost, node } = self;
        format!("host: {id} [{}] vhost: {vhost} node: {node}\n", bracketed(alias))
    }

    fn add_xml(&self, xml: &mut String) {
        let (id, alias) = (self.id, attribute(&self.alias));
        write!(xml, r#"<Host id="{id}" alias="{alias}">"#).expect("a String takes any text");
        element(xml, "Vhost", self.vhost);
        element(xml, "Node", self.node);
        xml.push_str("</Host>");
    }

    fn read(row: &str) -> Option<DumpHost> {
        let mut row = Cursor::new(row);
        Some(DumpHost {
            id: row.number(" [")?,
            alias: decoded(row.until("] vhost: ")?),
            vhost: row.number(" node: ")?,
            node: row.last().trim().parse().ok()?,
        })
    }
}

// === impl DumpContext ===

impl DumpContext {
    fn text(&self) -> String {
        let DumpContext { id, path, vhost, node, status } = self;
        let (path, number) = (bracketed(path), status.number());
        format!("context: {id} [{path}] vhost: {vhost} node: {node} status: {number}\n")
    }

    fn add_xml(&self, xml: &mut String) {
        let (id, path) = (self.id, attribute(&self.path));
        write!(xml, r#"<Context id="{id}" path="{path}">"#).expect("a String takes any text");
        element(xml, "Vhost", self.vhost);
        element(xml, "Node", self.node);
        let (number, word) = (self.status.number(), self.status.word());
        let tail = format_args!(r#"<Status id="{number}">{word}</Status></Context>"#);
        xml.write_fmt(tail).expect("a String takes any text");
    }

    fn read(row: &str) -> Option<DumpContext> {
        let mut row = Cursor::new(row);
        Some(DumpContext {
            id: row.number(" [")?,
            path: decoded(row.until("] vhost: ")?),
            vhost: row.number(" node: ")?,
            node: row.number(" status: ")?,
            status: ContextStatus::from_number(row.last().trim().parse().ok()?)?,
        })
    }
}
