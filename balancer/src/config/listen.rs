//! The listener of browsers (`[http]`), and what listeners have in common.

use std::net::SocketAddr;
use std::time::Duration;

use super::reader::{Section, bytes, count, duration};
use super::trust::networks;
use super::{DAY, KIB, MIB, SECOND};
use crate::trusted::Networks;

/// Most addresses of one listener.
const MAX_ADDRESSES: usize = 64;

/// `[http]`: the public listener.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Http {
    /// Addresses, `ip:port`; port 0 takes a free one. 1 to 64 of them.
    /// Default `["127.0.0.1:8000"]`.
    pub listen: Vec<SocketAddr>,
    /// Most connections at once, 1 to 10,000,000; further ones wait in the backlog.
    /// Default 20,000.
    pub max_connections: usize,
    /// Most connections of one client at once, an IPv4 address or an IPv6 /64, up to 10,000,000;
    /// further ones are closed at once. 0 is no limit. Default 1,000: one client cannot take more
    /// than a twentieth of the places, and the people behind one address of a company or a mobile
    /// network rarely have more. Loopback addresses and `trusted_proxies` are not counted, for
    /// many clients come through one of them.
    pub max_connections_per_address: usize,
    /// How long a client may take for the head of a request, from its first byte, 1 ms to 1 day.
    /// Default 10 s.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long a connection may idle between requests, 1 s to 1 day, counted in whole seconds;
    /// it holds for the manager's connections too. Default 60 s.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// How long a client may be silent within a body, 1 ms to 1 day. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    /// How long a client's body may be slower than `min_body_rate`, 1 ms to 1 day; only the time
    /// that is spent waiting for the client counts. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub body_grace: Duration,
    /// Least bytes per second of a body, 1 B to 1 MiB. Default 500.
    #[serde(serialize_with = "super::show_bytes")]
    pub min_body_rate: usize,
    /// Who serves HTTP/1. Default `"muster"`.
    pub engine: Engine,
    /// Most bytes of a request's head, 1 KiB to 1 MiB. Default 32 KiB.
    #[serde(serialize_with = "super::show_bytes")]
    pub max_head_bytes: usize,
    /// Most bytes of a request's body, 0 or more, or `"none"`. Default none.
    #[serde(serialize_with = "super::show_limit")]
    pub body_limit: Option<usize>,
    /// Networks of the proxies in front, up to 1,000. What they say of their clients in
    /// X-Forwarded-For, -Proto, -Host, -Port and Forwarded is believed, and told on to nodes. From
    /// anybody else these are taken out, so that no client can say that it is another.
    /// Default none.
    pub trusted_proxies: Networks,
    /// Networks of the load balancers in front that begin each connection with a PROXY protocol
    /// header, version 1 or 2, up to 1,000; for this listener and that of `[tls]`. From there the
    /// header is *required*, a connection without one is closed; from anywhere else it is not
    /// understood, so that no client can say that it is another. Default none.
    pub proxy_protocol_from: Networks,
}

/// Who serves HTTP/1 clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Our own engine.
    Muster,
    /// pingora-proxy, which serves HTTP/2 in any case.
    Pingora,
}

// === impl Http ===

impl Default for Http {
    fn default() -> Self {
        Http {
            listen: vec![loopback(8000)],
            max_connections: 20_000,
            max_connections_per_address: 1_000,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(30),
            body_grace: Duration::from_secs(10),
            min_body_rate: 500,
            engine: Engine::Muster,
            max_head_bytes: 32 * KIB,
            body_limit: None,
            trusted_proxies: Networks::NONE,
            proxy_protocol_from: Networks::NONE,
        }
    }
}

impl Http {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Http {
        let default = Http::default();
        let wait = || duration(SECOND / 1000..=DAY);
        Http {
            listen: addresses(section, 1, default.listen),
            max_connections: section.read(
                "max_connections",
                default.max_connections,
                count(1..=10_000_000),
            ),
            max_connections_per_address: section.read(
                "max_connections_per_address",
                default.max_connections_per_address,
                count(0..=10_000_000),
            ),
            idle_timeout: section.read(
                "idle_timeout",
                default.idle_timeout,
                duration(SECOND..=DAY),
            ),
            header_timeout: section.read("header_timeout", default.header_timeout, wait()),
            read_timeout: section.read("read_timeout", default.read_timeout, wait()),
            body_grace: section.read("body_grace", default.body_grace, wait()),
            min_body_rate: section.read("min_body_rate", default.min_body_rate, bytes(1..=MIB)),
            engine: section.read("engine", default.engine, |value| match value.as_str() {
                Some("muster") => Ok(Engine::Muster),
                Some("pingora") => Ok(Engine::Pingora),
                _ => Err("neither \"muster\" nor \"pingora\"".to_owned()),
            }),
            max_head_bytes: section.read(
                "max_head_bytes",
                default.max_head_bytes,
                bytes(KIB..=MIB),
            ),
            body_limit: section.read("body_limit", default.body_limit, |value| {
                match value.as_str() {
                    Some("none") => Ok(None),
                    _ => bytes(0..=usize::MAX)(value).map(Some),
                }
            }),
            trusted_proxies: networks(section, "trusted_proxies"),
            proxy_protocol_from: networks(section, "proxy_protocol_from"),
        }
    }
}

// === addresses ===

pub(super) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub(super) fn addresses(
    section: &mut Section<'_, '_>,
    least: usize,
    default: Vec<SocketAddr>,
) -> Vec<SocketAddr> {
    section.list("listen", default, least..=MAX_ADDRESSES, |text| {
        text.parse().map_err(|_| format!("{text:?} is no address (ip:port)"))
    })
}

/// Whether two listeners would want the same port: a wildcard address covers all of its family.
pub(super) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && same_ip
}
