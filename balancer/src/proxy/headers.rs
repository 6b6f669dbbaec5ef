//! What a node is told of the client, and what it must not be told by the client.
//!
//! One piece of policy for both engines: [`told`] is a pure function of the connection, of what
//! the request says in Forwarded and X-Forwarded-*, and of whom we trust. Whatever a request
//! says there is taken out; what [`told`] says comes in its place.
//!
//! - From anybody but a trusted proxy nothing is believed: X-Forwarded-For is the peer alone, Proto
//!   and Host are what we saw ourselves.
//! - A trusted proxy's X-Forwarded-For is told on with the proxy itself at its end. The client is
//!   the right-most address that is no trusted proxy: what stands left of it was said by the
//!   client, who may say anything. Of Proto, Host and Port the right-most value counts, which is
//!   the proxy's own; Forwarded is told on only where it came, and counts for what the others
//!   do not say. Other headers of the kind (X-Forwarded-Prefix, -Ssl) are never told on.

mod forwarded;
mod said;

use std::borrow::Cow;
use std::io::Write as _;
use std::net::IpAddr;

use http::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue};
use muster_protocol::mcmp::BalancerSettings;

use super::strip::without_session;
use crate::text::push_ip;
use crate::trusted::Networks;

pub use said::Said;

/// Most bytes of a chain of proxies that are told on; of a longer one those at its end, which
/// are the ones that can be believed.
const MAX_CHAIN: usize = 2 * 1024;

/// The connection and the request, as we see them ourselves.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'r> {
    /// Who the connection is from; with the PROXY protocol, whom its header named.
    pub peer: Option<IpAddr>,
    /// Whether the client came over TLS, to us or, by the PROXY protocol, to who named it.
    pub is_tls: bool,
    /// The Host that the request asked for.
    pub host: Option<&'r [u8]>,
}

/// What the node is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<'r> {
    /// The client: for the access log, limits of rates, and AJP.
    pub client: Option<IpAddr>,
    /// How the client came: `http` or `https` (`ws` and `wss` where a trusted proxy says so).
    pub proto: &'static str,
    /// The Host that the client asked for.
    pub host: Option<&'r [u8]>,
    /// The port that the client asked; only trusted proxies tell it.
    pub port: Option<u16>,
    peer: Option<IpAddr>,
    /// What stands in X-Forwarded-For before the peer.
    before: Cow<'r, [u8]>,
    /// What stands in Forwarded before the peer; `None` where there is no such header.
    forwarded: Option<Vec<u8>>,
}

/// A request's head as Pingora has it.
pub trait Head {
    /// Its headers.
    fn headers(&self) -> &HeaderMap;
    /// Puts one value in the place of all that the header has.
    fn set(&mut self, name: &'static str, value: HeaderValue);
    /// Takes a header out.
    fn remove(&mut self, name: &str);
}

/// Writes a value; false where there is nothing to tell.
type Writer = fn(&Told<'_>, &mut Vec<u8>) -> bool;

/// The headers that nodes are told by.
const HEADERS: [(&str, Writer); 5] = [
    ("X-Forwarded-For", |told, out| told.write_for(out)),
    ("X-Forwarded-Host", |told, out| told.write_host(out)),
    ("X-Forwarded-Proto", |told, out| told.write_proto(out)),
    ("X-Forwarded-Port", |told, out| told.write_port(out)),
    ("Forwarded", |told, out| told.write_forwarded(out)),
];

/// What the node is told of who asks, by which name and how.
///
/// `said` may be empty where the peer is not trusted, for it is not looked at then.
pub fn told<'r>(seen: Seen<'r>, said: &Said<'r>, trusted: &Networks) -> Told<'r> {
    let Seen { peer, is_tls, host } = seen;
    let own = Told {
        client: peer.map(|peer| peer.to_canonical()),
        proto: if is_tls { "https" } else { "http" },
        host,
        port: None,
        peer: peer.map(|peer| peer.to_canonical()),
        before: Cow::Borrowed(b""),
        forwarded: None,
    };
    match peer.filter(|peer| trusted.contains(*peer)) {
        Some(proxy) => said.believed(own, proxy, trusted),
        None => own,
    }
}

/// Adds the header lines that tell it, each with its CRLF.
pub fn told_lines(told: &Told<'_>, out: &mut Vec<u8>) {
    for (name, write) in HEADERS {
        let start = out.len();
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        match write(told, out) {
            true => out.extend_from_slice(b"\r\n"),
            false => out.truncate(start),
        }
    }
}

/// Whether a header is of the kind that is taken out of every request.
pub fn is_told(name: &str) -> bool {
    const PREFIX: &str = "x-forwarded-";
    let start = name.get(..PREFIX.len()).unwrap_or_default();
    start.eq_ignore_ascii_case(PREFIX) || name.eq_ignore_ascii_case("forwarded")
}

/// Tells the node in a head of Pingora's, and gives the client.
pub fn forward(
    head: &mut impl Head,
    peer: Option<IpAddr>,
    is_tls: bool,
    trusted: &Networks,
) -> Option<IpAddr> {
    let headers = head.headers();
    let mut said = Said::default();
    for (name, value) in headers {
        said.note(name.as_str(), value.as_bytes());
    }
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    let told = told(Seen { peer, is_tls, host }, &said, trusted);
    let value = |write: Writer| {
        let mut value = Vec::new();
        let value = write(&told, &mut value).then_some(value)?;
        HeaderValue::from_maybe_shared(bytes::Bytes::from(value)).ok()
    };
    let values = HEADERS.map(|(name, write)| (name, value(write)));
    let client = told.client;
    let foreign: Vec<HeaderName> =
        headers.keys().filter(|name| is_told(name.as_str())).cloned().collect();
    for name in foreign {
        head.remove(name.as_str());
    }
    for (name, value) in values {
        if let Some(value) = value {
            head.set(name, value);
        }
    }
    client
}

/// Takes the session's cookie out of the request (StickySessionRemove). The path parameter is
/// the engine's to take out, for it owns the target.
pub(crate) fn strip_session(head: &mut impl Head, settings: &BalancerSettings) {
    let cookies = head.headers().get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    match HeaderValue::from_bytes(&without_session(cookies, settings)) {
        Ok(cookies) if !cookies.is_empty() => head.set("Cookie", cookies),
        _ => head.remove(COOKIE.as_str()),
    }
}

// === impl Told ===

impl Told<'_> {
    /// Whether the client came over TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.proto, "https" | "wss")
    }

    fn write_for(&self, out: &mut Vec<u8>) -> bool {
        let Some(peer) = self.peer else { return false };
        if !self.before.is_empty() {
            out.extend_from_slice(&self.before);
            out.extend_from_slice(b", ");
        }
        push_ip(peer, out);
        true
    }

    fn write_host(&self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(self.host.unwrap_or_default());
        self.host.is_some()
    }

    fn write_proto(&self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(self.proto.as_bytes());
        true
    }

    fn write_port(&self, out: &mut Vec<u8>) -> bool {
        self.port.is_some_and(|port| write!(out, "{port}").is_ok())
    }

    fn write_forwarded(&self, out: &mut Vec<u8>) -> bool {
        let (Some(before), Some(peer)) = (&self.forwarded, self.peer) else { return false };
        if !before.is_empty() {
            out.extend_from_slice(before);
            out.extend_from_slice(b", ");
        }
        forwarded::write(peer, out);
        true
    }
}

#[cfg(test)]
mod tests;
