//! INFO: the nodes with their counters, their virtual hosts and contexts, in the byte forms that
//! real clients read. (reference: MCMP, the answers; recorded exchanges 050 and 051)

use std::fmt::Write as _;

use super::command::{FlushPackets, NodeConfig};
use super::report::{
    ContextStatus, Cursor, ReportError, XML_HEAD, attribute, decoded, element, plain, read_lines,
};

/// The report. Each id of a virtual host or context must belong to a node of the report: real
/// clients fail at a line whose ids they have not met.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Info {
    /// One row per node.
    pub nodes: Vec<InfoNode>,
    /// One row per alias.
    pub vhosts: Vec<InfoVhost>,
    /// One row per context of a virtual host.
    pub contexts: Vec<InfoContext>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct InfoNode {
    /// The number that other rows mean it by.
    pub id: u32,
    /// Its route.
    pub name: String,
    /// The balancer name that it registered for.
    pub balancer: String,
    /// Its failover group, or empty.
    pub domain: String,
    /// Where it answers.
    pub host: String,
    /// At which port; 0 where another balancer shows none.
    pub port: u16,
    /// How to speak: `ajp`, `http` and so on.
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
    /// Requests that were sent to it.
    pub elected: u64,
    /// Bytes that it sent (the wire's unit is the balancer's affair).
    pub read: u64,
    /// Bytes that were sent to it.
    pub transferred: u64,
    /// Requests in flight.
    pub connected: u64,
    /// Its load factor as the wire has it: 1 to 100, 0 standby, -1 broken, -2 not yet probed.
    pub load: i32,
}

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct InfoVhost {
    /// The node's id.
    pub node: u32,
    /// The number of the virtual host on that node, from 1.
    pub vhost: u32,
    /// The row's own number; some balancers show -1.
    pub id: i64,
    /// The alias.
    pub alias: String,
}

/// A context.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct InfoContext {
    /// The node's id.
    pub node: u32,
    /// The number of the virtual host on that node.
    pub vhost: u32,
    /// The row's own number.
    pub id: i64,
    /// Where the application is mounted.
    pub path: String,
    /// What it takes.
    pub status: ContextStatus,
}

// === impl Info ===

impl Info {
    /// The report as text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.nodes.iter().for_each(|node| node.add_text(&mut text));
        for InfoVhost { node, vhost, id, alias } in &self.vhosts {
            let alias = plain(alias);
            line(&mut text, format_args!("Vhost: [{node}:{vhost}:{id}], Alias: {alias}"));
        }
        for InfoContext { node, vhost, id, path, status } in &self.contexts {
            let (path, word) = (plain(path), status.word());
            let ids = format_args!("[{node}:{vhost}:{id}]");
            line(&mut text, format_args!("Context: {ids}, Context: {path}, Status: {word}"));
        }
        text
    }

    /// The report as XML.
    pub fn to_xml(&self) -> String {
        let mut xml = format!("{XML_HEAD}<Info><Nodes>");
        self.nodes.iter().for_each(|node| node.add_xml(&mut xml));
        xml.push_str("</Nodes><Vhosts>");
        for InfoVhost { node, vhost, alias, .. } in &self.vhosts {
            let alias = attribute(alias);
            let row = format_args!(r#"<Vhost id="{vhost}" alias="{alias}"><Node id="{node}"/>"#);
            xml.write_fmt(row).expect("a String takes any text");
            xml.push_str("</Vhost>");
        }
        xml.push_str("</Vhosts><Contexts>");
        self.contexts.iter().for_each(|context| context.add_xml(&mut xml));
        xml.push_str("</Contexts></Info>");
        xml
    }

    /// The report as JSON: an object of the lists `nodes`, `vhosts` and `contexts`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("rows of numbers and text always become JSON")
    }

    /// Reads the text of this or another balancer; lines of an unknown kind are skipped.
    pub fn parse_text(text: &str) -> Result<Info, ReportError> {
        let mut info = Info::default();
        read_lines(text, |line| {
            if let Some(row) = line.strip_prefix("Node: [") {
                info.nodes.push(InfoNode::read(row)?);
            } else if let Some(row) = line.strip_prefix("Vhost: [") {
                info.vhosts.push(InfoVhost::read(row)?);
            } else if let Some(row) = line.strip_prefix("Context: [") {
                info.contexts.push(InfoContext::read(row)?);
            }
            Some(())
        })?;
        Ok(info)
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a String takes any text");
    text.push('\n');
}

// === impl InfoNode ===

impl InfoNode {
    /// A fresh node as it configured itself: counters at 0, not yet probed (-2).
    pub fn of(id: u32, config: &NodeConfig) -> InfoNode {
        InfoNode {
            id,
            name: config.route.to_string(),
            balancer: config.balancer.to_string(),
            domain: config.domain.as_ref().map(ToString::to_string).unwrap_or_default(),
            host: config.address.host.to_string(),
            port: config.address.port,
            scheme: config.address.scheme.to_string(),
            flush_packets: config.flush_packets,
            flush_wait_ms: i64::try_from(config.flush_wait.as_millis()).unwrap_or(i64::MAX),
            ping_s: i64::try_from(config.ping.as_secs()).unwrap_or(i64::MAX),
            smax: config.smax.map_or(-1, i64::from),
            ttl_s: i64::try_from(config.ttl.as_secs()).unwrap_or(i64::MAX),
            elected: 0,
            read: 0,
            transferred: 0,
            connected: 0,
            load: -2,
        }
    }

    /// The columns after id and name: key and value, in the wire's order and spelling.
    fn columns(&self) -> [(&'static str, String); 15] {
        [
            ("Balancer", self.balancer.clone()),
            ("LBGroup", self.domain.clone()),
            ("Host", self.host.clone()),
            ("Port", self.port.to_string()),
            ("Type", self.scheme.clone()),
            ("Flushpackets", self.flush_packets.word().to_owned()),
            ("Flushwait", self.flush_wait_ms.to_string()),
            ("Ping", self.ping_s.to_string()),
            ("Smax", self.smax.to_string()),
            ("Ttl", self.ttl_s.to_string()),
            ("Elected", self.elected.to_string()),
            ("Read", self.read.to_string()),
            ("Transfered", self.transferred.to_string()),
            ("Connected", self.connected.to_string()),
            ("Load", self.load.to_string()),
        ]
    }

    fn add_text(&self, text: &mut String) {
        let mut row = format!("Node: [{}],Name: {}", self.id, plain(&self.name));
        for (key, value) in self.columns() {
            row.extend([",", key, ": ", &plain(&value)]);
        }
        line(text, format_args!("{row}"));
    }

    fn add_xml(&self, xml: &mut String) {
        let (id, name) = (self.id, attribute(&self.name));
        write!(xml, r#"<Node id="{id}" name="{name}">"#).expect("a String takes any text");
        for (key, value) in self.columns() {
            element(xml, key, value);
        }
        xml.push_str("</Node>");
    }

    fn read(row: &str) -> Option<InfoNode> {
        let mut row = Cursor::new(row);
        Some(InfoNode {
            id: row.number("],Name: ")?,
            name: decoded(row.until(",Balancer: ")?),
            balancer: decoded(row.until(",LBGroup: ")?),
            domain: decoded(row.until(",Host: ")?),
            host: decoded(row.until(",Port: ")?),
            port: match row.until(",Type: ")? {
                "" => 0,
                port => port.parse().ok()?,
            },
            scheme: decoded(row.until(",Flushpackets: ")?),
            flush_packets: FlushPackets::from_word(row.until(",Flushwait: ")?)?,
            flush_wait_ms: row.number(",Ping: ")?,
            ping_s: row.number(",Smax: ")?,
            smax: row.number(",Ttl: ")?,
            ttl_s: row.number(",Elected: ")?,
            elected: row.number(",Read: ")?,
            read: row.number(",Transfered: ")?,
            transferred: row.number(",Connected: ")?,
            connected: row.number(",Load: ")?,
            load: row.last().trim().parse().ok()?,
        })
    }
}

// === impl InfoVhost ===

impl InfoVhost {
    fn read(row: &str) -> Option<InfoVhost> {
        let mut row = Cursor::new(row);
        Some(InfoVhost {
            node: row.number(":")?,
            vhost: row.number(":")?,
            id: row.number("], Alias: ")?,
            alias: decoded(row.last()),
        })
    }
}

// === impl InfoContext ===

impl InfoContext {
    fn add_xml(&self, xml: &mut String) {
        let InfoContext { node, vhost, id, path, status } = self;
        let (number, word) = (status.number(), status.word());
        let head = format_args!(r#"<Context id="{id}"><Status id="{number}">{word}</Status>"#);
        xml.write_fmt(head).expect("a String takes any text");
        element(xml, "Context", path);
        let tail = format_args!(r#"<Node id="{node}"/><Vhost id="{vhost}"/></Context>"#);
        xml.write_fmt(tail).expect("a String takes any text");
    }

    fn read(row: &str) -> Option<InfoContext> {
        let mut row = Cursor::new(row);
        Some(InfoContext {
            node: row.number(":")?,
            vhost: row.number(":")?,
            id: row.number("], Context: ")?,
            path: decoded(row.until(", Status: ")?),
            status: ContextStatus::from_word(row.last().trim())?,
        })
    }
}
