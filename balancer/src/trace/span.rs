//! What is told of a request: a span of its own, and one for each attempt at a node.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use muster_protocol::mcmp::Scheme;
use muster_routing::node::Node;

use super::{Context, SpanId};

/// The spans of one request.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) context: Context,
    pub(super) clock: Clock,
    pub(super) ended: Instant,
    pub(super) request: Request,
    pub(super) attempts: Vec<Attempt>,
}

/// One moment by two clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) began: SystemTime,
    pub(super) started: Instant,
}

/// What the client asked, and was told.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Box<str>,
    pub(super) path: Box<str>,
    pub(super) query: Option<Box<str>>,
    pub(super) host: Box<str>,
    pub(super) is_tls: bool,
    pub(super) version: &'static str,
    pub(super) client: Option<IpAddr>,
    /// The context.
    pub(super) route: Option<Box<str>>,
    pub(super) status: Option<u16>,
    pub(super) refused: Option<&'static str>,
}

/// One attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) id: SpanId,
    pub(super) node: Arc<Node>,
    pub(super) socket: SocketAddr,
    /// Why this node.
    pub(super) how: &'static str,
    pub(super) started: Instant,
    pub(super) ended: Option<Instant>,
    pub(super) status: Option<u16>,
    pub(super) error: Option<&'static str>,
}

/// What a span says, by name (OpenTelemetry's conventions for HTTP, and our own with `muster.`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
}

/// A list of what a span says.
pub(super) type Attributes = Vec<(&'static str, Value)>;

// === impl Clock ===

impl Clock {
    /// Nanoseconds since 1970.
    pub(super) fn nanos(&self, at: Instant) -> u128 {
        let began = self.began.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        (began + at.saturating_duration_since(self.started)).as_nanos()
    }
}

// === impl Request ===

impl Request {
    /// The name of its span: few of them, so never with a path.
    pub(super) fn name(&self) -> String {
        match &self.route {
            Some(route) => format!("{} {route}", self.known_method().unwrap_or("HTTP")),
            None => self.known_method().unwrap_or("HTTP").to_owned(),
        }
    }

    /// The method, if it is one of those that everybody knows.
    fn known_method(&self) -> Option<&'static str> {
        const KNOWN: [&str; 9] =
            ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];
        KNOWN.into_iter().find(|known| *known == &*self.method)
    }

    fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    pub(super) fn attributes(&self) -> Attributes {
        let mut all = self.method_attributes();
        all.push(("url.scheme", text(self.scheme())));
        all.push(("url.path", text(&self.path)));
        if let Some(query) = &self.query {
            all.push(("url.query", text(query)));
        }
        let (host, port) = host_and_port(&self.host);
        if !host.is_empty() {
            all.push(("server.address", text(host)));
        }
        if let Some(port) = port {
            all.push(("server.port", Value::Number(port.into())));
        }
        if let Some(client) = self.client {
            all.push(("client.address", text(&client.to_string())));
        }
        if let Some(version) = self.version.strip_prefix("HTTP/") {
            all.push(("network.protocol.version", text(version.trim_end_matches(".0"))));
        }
        if let Some(route) = &self.route {
            all.push(("http.route", text(route)));
        }
        if let Some(status) = self.status {
            all.push(("http.response.status_code", Value::Number(status.into())));
        }
        match (self.refused, self.status) {
            (Some(word), _) => all.push(("error.type", text(word))),
            (None, Some(status @ 500..)) => all.push(("error.type", text(&status.to_string()))),
            (None, Some(_)) => {}
            (None, None) => all.push(("error.type", text("cancelled"))),
        }
        all
    }

    pub(super) fn is_error(&self) -> bool {
        self.status.is_none_or(|status| status >= 500)
    }

    fn method_attributes(&self) -> Attributes {
        match self.known_method() {
            Some(method) => vec![("http.request.method", text(method))],
            None => vec![
                ("http.request.method", text("_OTHER")),
                ("http.request.method_original", text(&self.method)),
            ],
        }
    }
}

// === impl Attempt ===

impl Attempt {
    pub(super) fn name(&self, request: &Request) -> String {
        request.known_method().unwrap_or("HTTP").to_owned()
    }

    /// `resend`: how many attempts there were before.
    pub(super) fn attributes(&self, request: &Request, resend: usize) -> Attributes {
        let address = &self.node.config.address;
        let scheme = match address.scheme {
            Scheme::Http | Scheme::H2c => "http",
            Scheme::Https | Scheme::H2 => "https",
            Scheme::Ajp => "ajp",
        };
        let (host, port) = (address.host.as_str(), address.port);
        let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let url = format!("{scheme}://{host}:{port}{}{query}", request.path);
        let mut all = request.method_attributes();
        all.push(("url.full", Value::Text(url)));
        all.push(("server.address", text(host)));
        all.push(("server.port", Value::Number(port.into())));
        all.push(("network.peer.address", text(&self.socket.ip().to_string())));
        all.push(("network.peer.port", Value::Number(self.socket.port().into())));
        all.push(("muster.node", text(self.node.config.route.as_str())));
        all.push(("muster.chosen", text(self.how)));
        if resend > 0 {
            all.push(("http.request.resend_count", Value::Number(resend as i64)));
        }
        if let Some(status) = self.status {
            all.push(("http.response.status_code", Value::Number(status.into())));
        }
        match (self.error, self.status) {
            (Some(word), _) => all.push(("error.type", text(word))),
            (None, Some(status @ 400..)) => all.push(("error.type", text(&status.to_string()))),
            (None, Some(_) | None) => {}
        }
        all
    }

    pub(super) fn is_error(&self) -> bool {
        self.error.is_some() || self.status.is_none_or(|status| status >= 400)
    }
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// The name and the port of a Host; an IPv6 address keeps its brackets.
fn host_and_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (host, None),
        },
        _ => (host, None),
    }
}
